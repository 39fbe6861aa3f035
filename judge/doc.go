// Package judge runs images through a detector and says what was found: one
// [Finding] per image, with one [runtime.Verdict], in the order of the images. What
// is built on findings lives here too: [Evaluate] and [Compare] measure them against
// the truth, [Appraise] says how good a detector is and what to do next, [Perturb]
// what disturbances cost, a [Gate] refuses models that do worse on a golden set,
// [Bench] measures speed, an [Inbox] finds images as they come.
//
// It prints nothing and writes no files. Training, and thresholds from numbers, are
// elsewhere (train, calibrate).
package judge
