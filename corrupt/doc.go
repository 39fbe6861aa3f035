// Package corrupt makes defects on images of good parts: what a network of
// package models is shown where it is to make the clean image of it, and what
// stands for defects where there are no images of any.
//
// A [Generator] holds the images of a set. [Generator.Corrupt] changes one in
// places: a mask (thresholded smooth noise in a box, an ellipse, or noise alone)
// lies mostly on the part, which is told from the background by
// [Generator.Foreground], and is filled with something else (the image moved,
// turned or warped, another image, a colour, coloured noise, other brightness or
// a blur), more or less opaque. That is the structured corruption of the
// reconstruction-based detectors that need no pretrained features (Zavrtanik,
// Kristan and Skočaj, DRÆM, ICCV 2021, section 3.3; Schlüter et al., Natural
// synthetic anomalies, ECCV 2022, section 3).
//
// [Generator.Defect] makes one defect of a size and contrast that can be seen,
// by which a detector is judged.
//
// All that is random depends on the seed, a counter and the image, so that neither
// the order nor the number of goroutines matters.
package corrupt
