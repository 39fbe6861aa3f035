// Package calibrate chooses thresholds from scores and says how sure they are:
// numbers in, numbers out.
//
// [FromGood] sets one from good images alone, for a target rate of false rejects;
// [F1] and [Recall] from good and anomalous ones; [PixelF1] and
// [PixelFalsePositive] from maps. [ShareAbove] and [Decide] say what a threshold
// does, with bounds.
//
// A threshold is float32, as the graph that compares with it has it, and strict:
// anomalous is score > threshold.
//
// What does not live here: making scores (packages runtime and judge), measuring
// how well they separate whatever the threshold (metrics), storing thresholds in
// a model (onnxexport).
package calibrate
