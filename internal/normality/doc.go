// Package normality models in closed form what features of good images are like:
// a Gaussian for each place of the image, its covariance shrunk, and the nearest
// of a sample of features from anywhere; after Defard et al., PaDiM (ICPR 2020),
// and Roth et al., PatchCore (CVPR 2022). Each is scaled by what it says of
// images it has not seen, so that the two can be added.
//
// It computes; which features there are, and the operators that apply a model,
// are package models'.
package normality
