// Package label finds the connected regions of a binary mask. It is what
// metrics (defects of the ground truth) and heatmap (regions of a map) share;
// what a region means, and what is measured on it, is theirs.
package label
