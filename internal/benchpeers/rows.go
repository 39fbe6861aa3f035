package main

import (
	"context"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A row is a piece of work that is compared.
type row struct {
	name      string
	work      string // in words
	unit      string // that times are of
	with      string // the peer
	target    float64
	same      string // what both compute
	tolerance float64
	open      func(ctx context.Context, b *bench) (*pair, error)
}

// Tolerances, relative to the largest value. Rounding alone differs where both
// compute from the same pixels.
const (
	lossTol    = 1e-3 // of losses over three steps, in which Adam enlarges what rounding left of gradients near 0
	unetTol    = 1e-2 // the same of the U-Net on provider go: gradients agree to 2e-6, losses at 32 pixels to .006
	mapTol     = 1e-3 // of maps, whose SSIM divides by variances near 0
	reducedTol = .1   // of maps of which one side has a network of 8 bits: the least variances, where SSIM's quotient has most
	scoreTol   = .02  // of scores of files: OpenCV reduces images by the mean of what a pixel covers, we as Pillow does, by a triangle
	exact      = 0    // of decoded pixels
)

const (
	torchTrain  = "torch, channels_last"
	torchInfer  = "torch.compile"
	onnxPython  = "onnxruntime in Python"
	ourORT      = "ONNX Runtime, provider cpu"
	opencvLoop  = "OpenCV and onnxruntime, a loop"
	opencvPool  = "OpenCV and onnxruntime, a pool of threads"
	opencvAlone = "OpenCV, a pool of threads"
)

var rows = []row{
	{"train/mse", "training step of dcae, squared error", "step", torchTrain, .65, "the losses of three steps", lossTol, trainBeside(trained{loss: "mse", mse: 1})},
	{"train/ssim", "training step of dcae, SSIM", "step", torchTrain, .65, "the losses of three steps", lossTol, trainBeside(trained{loss: "ssim", ssim: 1})},
	{"train/unet", "training step of unet, squared error and SSIM", "step", torchTrain, .8, "the losses of three steps", unetTol, trainBeside(trained{network: "unet", loss: "mse:10+ssim", mse: 10, ssim: 1})},
	{"infer/b1", "reconstruction, SSIM map, its blur, score: one image", "image", torchInfer, 1, "the map", mapTol, detectBeside(1)},
	{"infer/b16", "the same, sixteen images", "image", torchInfer, 1, "the map", mapTol, detectBeside(16)},
	{"infer/features", "the default detector: backbone, Gaussians, nearest neighbour", "image", onnxPython, 1, "the map", mapTol, featuresBeside},
	{"infer/reduced", "as infer/b16, the network in int8, provider openvino", "image", torchInfer + ", float32", .4, "the map", reducedTol, reducedBeside(anrt.OpenVINO)},
	{"files/loop", "files to scores", "image", opencvLoop, .55, "the scores", scoreTol, filesBeside("loop")},
	{"files/pool", "files to scores", "image", opencvPool, .85, "the scores", scoreTol, filesBeside("pool")},
	{"files/pictures", "files to scores, pictures and a report", "image", opencvPool, .5, "the scores", scoreTol, picturesBeside},
	{"files/decode", "files to pixels", "image", opencvAlone, 1.25, "the sums of pixels", exact, decodeBeside},
	{"go/infer", "as infer/b16, provider go", "image", ourORT, 2, "the map", mapTol, detectOurs(anrt.Go, (*bench).dcae, 16)},
	{"go/features", "as infer/features, provider go", "image", ourORT, 2.5, "the map", mapTol, detectOurs(anrt.Go, (*bench).featuresModel, 1)},
	{"go/train", "as train/ssim, provider go", "step", ourORT, 3, "the losses of three steps", lossTol, trainOurs(trained{loss: "ssim", ssim: 1})},
}
