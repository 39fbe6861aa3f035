package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

func trainCommand() *cli.Command {
	return &cli.Command{
		Name:      "train",
		Usage:     "train on images of good parts and export to ONNX",
		ArgsUsage: " ",
		Description: `DIR is a folder of images, a data set in MVTec AD's or VisA's layout (its training
images are used), a folder with MNIST's idx files, or an .npy or idx file.

The state is kept in FILE.ckpt after every epoch and when interrupted; --resume
goes on from it. It is removed when the model is written.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` with images of good parts (required)"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` to write the model to", Value: "model.onnx"},
			&cli.StringFlag{Name: "model", Usage: "architecture: " + strings.Join(models.Names(), ", "), Value: "dcae"},
			&cli.IntFlag{Name: "size", Usage: "`PIXELS` on each side of the network's image", Value: 128},
			&cli.IntFlag{Name: "channels", Usage: "3 for colour, 1 for grey", Value: 3},
			&cli.IntFlag{Name: "filters", Usage: "channels of the hidden layers", Value: 32},
			&cli.IntFlag{Name: "depth", Usage: "how often the image is halved", Value: 3},
			&cli.StringFlag{Name: "loss", Usage: "mse, l1, ssim or a weighted sum such as ssim+mse:0.1", Value: "ssim"},
			&cli.IntFlag{Name: "epochs", Usage: "passes over the images", Value: 50},
			&cli.IntFlag{Name: "batch", Usage: "images a step", Value: 16},
			&cli.Float64Flag{Name: "lr", Usage: "learning rate of Adam at its peak", Value: 1e-3},
			&cli.Uint64Flag{Name: "seed", Usage: "of everything random", Value: 1},
			&cli.Float64Flag{Name: "val", Usage: "share of images held back to set the threshold from", Value: 0.1},
			&cli.StringFlag{Name: "map", Usage: "anomaly map of the exported model: ssim, l2, l1", Value: "ssim"},
			&cli.Float64Flag{Name: "blur", Usage: "`PIXELS` (standard deviation) by which the map is smoothed", DefaultText: "3/128 of the size"},
			&cli.Float64Flag{Name: "false-reject", Usage: "share of good images that the threshold may reject", Value: 0.01},
			&cli.StringFlag{Name: "threshold-rule", Usage: "rate (for --false-reject) or max (largest score of a good image)", Value: "rate"},
			&cli.StringFlag{Name: "profile", Usage: "what is exported: detector or reconstruction", Value: "detector"},
			&cli.StringFlag{Name: "input", Usage: "input of the exported model: uint8 (NHWC) or float (NCHW in [0,1])", Value: "uint8"},
			&cli.BoolFlag{Name: "resume", Usage: "go on from the checkpoint", DisableDefaultText: true},
			providerFlag, threadsFlag, maxPixelsFlag,
		},
		Action: trainAction,
	}
}

func trainAction(c *cli.Context) error {
	switch {
	case c.Args().Present():
		return usagef("train takes no arguments but flags, got %q", c.Args().Slice())
	case c.String("data") == "":
		return usagef("--data is missing: a folder with images of good parts")
	case c.String("out") == "":
		return usagef("--out: want a file")
	case c.Uint64("seed") == 0:
		return usagef("--seed: got 0, want 1 or more")
	}
	// To the packages below a zero is the default.
	for _, name := range []string{"size", "filters", "depth", "epochs", "batch"} {
		if n := c.Int(name); n < 1 {
			return usagef("--%s: got %d, want 1 or more", name, n)
		}
	}
	for _, name := range []string{"lr", "val", "false-reject"} {
		if x := c.Float64(name); !(x > 0) {
			return usagef("--%s: got %v, want more than 0", name, x)
		}
	}
	o := &trainOptions{
		data: c.String("data"), out: c.String("out"),
		spec: models.Spec{
			Model: c.String("model"), Channels: c.Int("channels"), Height: c.Int("size"), Width: c.Int("size"),
			Filters: c.Int("filters"), Depth: c.Int("depth"),
		},
		settings: train.Settings{
			Loss: c.String("loss"), Epochs: c.Int("epochs"), Batch: c.Int("batch"), LearningRate: c.Float64("lr"),
			Seed: c.Uint64("seed"), Val: c.Float64("val"), FalseReject: c.Float64("false-reject"),
			ThresholdRule: train.ThresholdRule(c.String("threshold-rule")),
			Workers:       c.Int("threads"), Resume: c.Bool("resume"),
		},
	}
	o.settings.Map = train.DefaultMap(o.spec)
	o.settings.Map.Kind = residual.Kind(c.String("map"))
	if c.IsSet("blur") {
		o.settings.Map.Blur = c.Float64("blur")
	}
	var err error
	if o.settings.Provider, err = parseProvider(c); err != nil {
		return err
	}
	if o.maxPixels, err = parseMaxPixels(c); err != nil {
		return err
	}
	if o.export.Profile, err = parse(c, "profile", onnxexport.Detector, onnxexport.Reconstruction); err != nil {
		return err
	}
	if o.export.Input, err = parse(c, "input", onnxexport.Uint8NHWC, onnxexport.FloatNCHW); err != nil {
		return err
	}
	return newConsole(c).train(c.Context, o)
}

// checkpointSuffix is what a checkpoint's name ends in, behind the model's.
const checkpointSuffix = ".ckpt"

// trainOptions are the flags of `anomaly train`.
type trainOptions struct {
	data, out string
	spec      models.Spec
	settings  train.Settings
	export    onnxexport.Options
	maxPixels int // of an image; 0 is the default
}

// train is `anomaly train`.
func (c *console) train(ctx context.Context, o *trainOptions) error {
	s := &o.settings
	s.Checkpoint = o.out + checkpointSuffix
	s.Logf = c.logf
	s.Progress = c.trainProgress()
	// Everything that can be wrong is said before an hour of training.
	for _, err := range []error{o.spec.Validate(), s.Validate()} {
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	for _, path := range []string{o.out, s.Checkpoint} {
		if err := writable(path); err != nil {
			return err
		}
	}
	set, err := dataset.Open(o.data, nil)
	if err != nil {
		return err
	}
	limit(set.Train, o.maxPixels)
	switch len(set.Train) {
	case 0:
		return fmt.Errorf("%s has no training images", o.data)
	case 1:
		return fmt.Errorf("%s has one training image, want two or more", o.data)
	}
	if err := spared(o.out, set.Train); err != nil {
		return err
	}
	if _, err := os.Stat(s.Checkpoint); err == nil && !s.Resume {
		c.notef("replacing the checkpoint %s of an earlier run (--resume would go on from it)", s.Checkpoint)
	}

	started := time.Now()
	data := &train.Data{}
	if data.Pixels, err = dataset.Load(ctx, set.Train, o.spec.Height, o.spec.Width, o.spec.Channels, 0); err != nil {
		return err
	}
	if data.Hash, err = dataset.Fingerprint(set.Train); err != nil {
		return err
	}
	for i := range set.Train {
		data.Names = append(data.Names, set.Train[i].Name)
	}
	c.notef("%d images of %s read in %v", len(set.Train), set.Name, time.Since(started).Round(time.Millisecond))

	c.noteProvider(s.Provider)
	result, err := train.Fit(ctx, o.spec, data, s)
	c.clear()
	if err != nil {
		return err
	}
	if err := exportTrained(o.out, result, o.export); err != nil {
		return err
	}
	if err := os.Remove(s.Checkpoint); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	last := result.History[len(result.History)-1]
	_, err = fmt.Fprintf(c.out, "%s  threshold %.4g  loss %.4f  %v\n", o.out, result.Calibration.Threshold, last.Loss, time.Since(started).Round(time.Second))
	return err
}

// exportTrained writes the model of a training run, with what is known of it in the metadata.
func exportTrained(path string, result *train.Result, o onnxexport.Options) error {
	o.Map = *result.Settings.Map
	o.Threshold = result.Calibration.Threshold
	var err error
	if o.Metadata, err = result.Metadata(version); err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error {
		return onnxexport.Write(w, result.Spec, result.Weights, &o)
	})
}

// writable reports early that nothing can be written at path.
func writable(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("cannot write %s: it is no file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".anomaly-*")
	var op *fs.PathError
	switch {
	case errors.As(err, &op):
		return fmt.Errorf("cannot write %s: %w", path, op.Err)
	case err != nil:
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// spared reports that the file at path, which would be replaced, is one of the samples.
func spared(path string, samples []dataset.Sample) error {
	there, err := os.Stat(path)
	if err != nil {
		return nil // nothing is replaced
	}
	last := ""
	for _, s := range samples {
		if s.Path == last { // of rows
			continue
		}
		last = s.Path
		if info, err := os.Stat(s.Path); err == nil && os.SameFile(there, info) {
			return usagef("--out: %s is one of the images to train on: choose another", path)
		}
	}
	return nil
}
