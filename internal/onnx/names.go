package onnx

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
	KeyReview         = Prefix + "review"           // LOW:HIGH, the scores to look at again
	KeyView           = Prefix + "view"             // what of an image is looked at, and how closely, as JSON
	KeyDataHash       = Prefix + "data.hash"        // of the training images
	KeyModel          = Prefix + "model"            // the network, as JSON
	KeyNormal         = Prefix + "normal.quantiles" // of good images' scores, brightness and sharpness, at levels, as JSON

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

// LegacyOutput is the first output of files of anomalib 0.x and 1.x.
const LegacyOutput = "output"
