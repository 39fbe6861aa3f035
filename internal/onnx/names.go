package onnx

import "strings"

// Names of inputs and outputs in files of ours, and of initializers. Those of
// outputs are anomalib's too.
const (
	Input          = "input"
	Map            = "anomaly_map"
	Score          = "pred_score"
	Label          = "pred_label"
	Mask           = "pred_mask"
	Reconstruction = "reconstruction"

	Threshold      = "threshold"
	PixelThreshold = "pixel_threshold"
)

// Keys of metadata.
const (
	Prefix = "anomaly." // of all that are ours

	KeySchema         = Prefix + "schema"  // version of these keys and of the profiles
	KeyProfile        = Prefix + "profile" // package onnxexport's
	KeyMap            = Prefix + "map"     // kind of map
	KeyMapBlur        = Prefix + "map.blur"
	KeyMapWindow      = Prefix + "map.window"
	KeyMapSigma       = Prefix + "map.sigma"
	KeyThreshold      = Prefix + Threshold
	KeyPixelThreshold = Prefix + PixelThreshold
	KeyCalibration    = Prefix + "calibration" // how the threshold was set anew, as JSON; without it training set it
	KeyReview         = Prefix + "review"      // LOW:HIGH, the scores to look at again
	KeyView           = Prefix + "view"        // what of an image is looked at, and how closely, as JSON
	KeyDataHash       = Prefix + "data.hash"   // of the training images
	KeyDataImages     = Prefix + "data.images"
	KeyDataSize       = Prefix + "data.size" // of the usual training image, WIDTHxHEIGHT
	KeyModel          = Prefix + "model"     // the network, as JSON
	KeySettings       = Prefix + "settings"  // of training, as JSON
	KeyEpoch          = Prefix + "epoch"     // of the weights, from 1
	KeyFinalLoss      = Prefix + "final_loss"
	KeyTool           = Prefix + "tool"      // that trained it, and its version
	KeyConfig         = Prefix + "config"    // flags of training, as JSON
	KeyChoice         = Prefix + "choice"    // why the network was chosen
	KeyLateFall       = Prefix + "late_fall" // share of all that the loss fell by, that it fell by in the second half

	KeyPrecision    = Prefix + "precision"      // in which the network is written, if not float32
	KeyQuantization = Prefix + "quantization"   // of Int8: a Quantization
	KeyLoss         = Prefix + "precision.loss" // what became of scores, as JSON

	// Of scores of images that the network was not trained on; JSON.
	KeyNormalCount  = Prefix + "normal.count" // of good ones
	KeyNormalMin    = Prefix + "normal.score.min"
	KeyNormalMax    = Prefix + "normal.score.max"
	KeyNormal       = Prefix + "normal.quantiles" // a Normal
	KeyPseudoScores = Prefix + "pseudo.scores"    // of artificial defects, ascending
	KeyPseudoAUROC  = Prefix + "pseudo.auroc"

	KeySignature = Prefix + "signature" // of all before it in the file

	KeySelfTestImage = Prefix + "selftest.image"
	KeySelfTestScore = Prefix + "selftest.score"
	KeySelfTestMean  = Prefix + "selftest.mean"

	// ONNX's own (docs/MetadataProps.md of its repository).
	KeyPixelFormat = "Image.BitmapPixelFormat"
	KeyGamma       = "Image.ColorSpaceGamma"
	KeyRange       = "Image.NominalPixelRange"

	// KeySidecar is where [File.Gather] puts anomalib's metadata.json.
	KeySidecar = "anomalib.metadata"
)

// Bare is a key of ours without the prefix, as those are named that build a file.
func Bare(key string) string { return strings.TrimPrefix(key, Prefix) }

// LegacyOutput is the first output of files of anomalib 0.x and 1.x.
const LegacyOutput = "output"
