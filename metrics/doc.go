// Package metrics measures how well scores separate good from anomalous:
// AUROC, average precision and the best F1 over images and over pixels, and
// MVTec's AU-PRO over pixels and their defects.
//
// Every figure is exact: each distinct score is a threshold, nothing is binned,
// and scores that tie are one threshold. Higher scores mean more anomalous.
// Scores are taken raw: a normalisation that clamps them creates ties and with
// them another result.
//
// What does not live here: making scores (packages residual and runtime),
// reading masks and bringing maps to their size (dataset, heatmap), choosing the
// threshold to ship (calibrate).
package metrics
