package commands

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	goruntime "runtime"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/parts"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
)

func demoCommand() *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "train, export, run and measure on generated images",
		ArgsUsage: " ",
		Description: `It takes pictures of imaginary steel flanges, some with defects, trains on good
ones and looks for the defects in others: DIR gets data (in MVTec AD's layout),
model.onnx and results (index.html is the report). Nothing needs to be installed.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`DIR` to work in", Value: "anomaly-demo"},
			&cli.Uint64Flag{Name: "seed", Usage: "`N` that the images and the training depend on", Value: 1},
		}, engineFlags...),
		Action: func(c *cli.Context) error {
			switch {
			case c.Args().Present():
				return usagef("demo takes no arguments but flags, got %q", c.Args().Slice())
			case c.Uint64("seed") == 0:
				return usagef("--seed: got 0, want 1 or more")
			}
			o := fullDemo
			o.dir, o.seed = c.String("out"), c.Uint64("seed")
			var err error
			if o.engine, err = parseEngine(c); err != nil {
				return err
			}
			return newConsole(c).demo(c.Context, &o)
		},
	}
}

// demoOptions are the flags of `anomaly demo` and how much it does.
type demoOptions struct {
	dir    string
	seed   uint64
	engine anrt.SessionOptions

	train, good, defective int // images: to train on, good ones to test, of each defect
	spec                   models.Spec
	epochs                 int
}

var fullDemo = demoOptions{
	train: 160, good: 24, defective: 8,
	spec:   models.Spec{Model: "dcae", Channels: 1, Height: 64, Width: 64, Filters: 16, Depth: 4},
	epochs: 26,
}

// demo is `anomaly demo`.
func (c *console) demo(ctx context.Context, o *demoOptions) error {
	if err := claim(o.dir); err != nil {
		return err
	}
	data, model, results := filepath.Join(o.dir, "data"), filepath.Join(o.dir, "model.onnx"), filepath.Join(o.dir, "results")

	c.notef("taking pictures of %d flanges", o.train+o.good+len(parts.Defects)*o.defective)
	if err := o.takePictures(ctx, data); err != nil {
		return err
	}
	// What an interrupted demo left may be of another seed.
	if err := os.Remove(model + checkpointSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := c.train(ctx, &trainOptions{
		data: data, out: model, spec: o.spec,
		settings: train.Settings{
			Loss: "ssim+mse:10", Epochs: o.epochs, Batch: 8, LearningRate: 5e-3, Seed: o.seed,
			Provider: o.engine.Provider, ProviderOptions: o.engine.ProviderOptions, Workers: o.engine.Threads,
		},
	})
	if err != nil {
		return err
	}
	survey := surveyOptions{
		model: model, detector: anrt.Options{SessionOptions: o.engine}, dir: results, saves: page.Saves{Picture: true}, minArea: 1,
	}
	if err := c.eval(ctx, &evalOptions{data: data, survey: survey}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, `
Open %s in a browser. Then try
  anomaly inspect %s
  anomaly run %[2]s %s
  anomaly train --data FOLDER --out my.onnx   with images of your own good parts
`, filepath.Join(results, "index.html"), model, filepath.Join(data, "test", "scratch"))
	return err
}

// marker is the file that says that a folder is a demo's, to be written over.
const marker = ".anomaly-demo"

// claim makes the folder, which must be new, empty or of an earlier demo.
func claim(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, marker)); err != nil {
			return fmt.Errorf("%s is not empty and not of an earlier demo: choose another --out", dir)
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, marker), nil, 0o644)
}

// takePictures writes the data set, in MVTec AD's layout.
func (o *demoOptions) takePictures(ctx context.Context, dir string) error {
	work, failed := errgroup.WithContext(ctx)
	work.SetLimit(goruntime.GOMAXPROCS(0))
	counter := uint64(0)
	shoot := func(folder, defect string, n int) {
		for i := range n {
			if failed.Err() != nil {
				return
			}
			counter++
			p := parts.New(rand.New(rand.NewPCG(o.seed, counter)), defect)
			work.Go(func() error {
				img, mask := p.Draw()
				name := fmt.Sprintf("%03d", i)
				if defect != "" {
					if err := writePNG(filepath.Join(dir, "ground_truth", defect, name+"_mask.png"), mask); err != nil {
						return err
					}
				}
				return writePNG(filepath.Join(dir, folder, name+".png"), img)
			})
		}
	}
	shoot("train/"+dataset.Good, "", o.train)
	shoot("test/"+dataset.Good, "", o.good)
	for _, defect := range parts.Defects {
		shoot("test/"+defect, defect, o.defective)
	}
	return cmp.Or(work.Wait(), ctx.Err())
}

func writePNG(path string, img image.Image) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, func(w io.Writer) error { return page.EncodePNG(w, img) })
}
