package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/urfave/cli/v2"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "find anomalies in images",
		ArgsUsage: "model.onnx IMAGES|DIR…",
		Description: `Images are files, folders (read with all below them), patterns, and .npy or idx
files, each row of which is an image: [N,H,W,C], [N,H,W] or [N,C,H,W], uint8 or
float in [0,1].

Standard output has a line per image; with --json an object:

  {"path": "part.png", "score": 0.41, "threshold": 0.3, "anomalous": true,
   "regions": [{"x": 10, "y": 20, "w": 30, "h": 8, "area": 160, "score": 0.41}]}

Regions are in pixels of the original image. threshold and anomalous are null
where the model has no threshold and --threshold gives none.

With --out, DIR gets index.html, a report to open in a browser (sorted, filtered
and searched there, its threshold moved, its pictures enlarged under the heat
map), and per image what --save lists: <image>.picture.jpg, <image>.map.npy (float32 [H,W] at the
model's resolution), <image>.mask.png and <image>.reconstruction.png. The page
needs nothing but the pictures beside it; enlarged, it shows the image itself as
long as that lies where it was.

The exit code is 1 if an image could not be read, else 3 if one is anomalous and
--fail-on-anomaly is given, else 0.`,
		Flags: append([]cli.Flag{
			&cli.Float64Flag{Name: "threshold", Usage: "score above which an image, and residual above which a pixel, is anomalous", DefaultText: "the model's"},
			jsonFlag,
			&cli.BoolFlag{Name: "fail-on-anomaly", Usage: "exit with 3 if an image is anomalous", DisableDefaultText: true},
		}, surveyFlags...),
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	if c.NArg() < 2 {
		return usagef("run takes a model and images, got %q", c.Args().Slice())
	}
	o := &runOptions{images: c.Args().Tail(), json: c.Bool("json"), failOnAnomaly: c.Bool("fail-on-anomaly")}
	var err error
	if o.survey, err = parseSurvey(c, c.Args().First()); err != nil {
		return err
	}
	switch t := c.Float64("threshold"); {
	case !(math.Abs(t) <= math.MaxFloat32):
		return usagef("--threshold: got %v, want a finite number", t)
	case c.IsSet("threshold"):
		t := float32(t)
		o.survey.detector.Threshold = &t
	}
	return newConsole(c).run(c.Context, o)
}

// runOptions are the arguments and flags of `anomaly run`.
type runOptions struct {
	images []string
	survey surveyOptions

	json, failOnAnomaly bool
}

// run is `anomaly run`.
func (c *console) run(ctx context.Context, o *runOptions) error {
	spell, err := spelling(o.images)
	if err != nil {
		return err
	}
	samples, err := dataset.Find(o.images...)
	if err != nil {
		return err
	}
	head := tableHead + "\n"
	report, err := c.survey(ctx, samples, spell, &o.survey, func(_ *outcome, f finding) error {
		if o.json {
			return json.NewEncoder(c.out).Encode(f)
		}
		_, err := fmt.Fprintf(c.out, "%s%s\n", head, f)
		head = ""
		return err
	})
	switch {
	case err != nil:
		return err
	case o.failOnAnomaly && report.Anomalous > 0:
		return errAnomaly
	}
	return nil
}

// spelling returns how to print the paths of images that args name: absolute if
// one of args is, else from the working folder.
func spelling(args []string) (func(*dataset.Sample) string, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	absolute := slices.ContainsFunc(args, filepath.IsAbs)
	return func(s *dataset.Sample) string {
		path := s.Path
		if rel, err := filepath.Rel(here, path); err == nil && !absolute {
			path = rel
		}
		if s.Row >= 0 {
			path += "#" + strconv.Itoa(s.Row)
		}
		return path
	}, nil
}

// A finding is what is printed of an image.
type finding struct {
	Path      string           `json:"path"`
	Score     float32          `json:"score"`
	Threshold *float32         `json:"threshold"`
	Anomalous *bool            `json:"anomalous"`
	Regions   []heatmap.Region `json:"regions"`
}

// Verdict is "anomalous", "good", or "-" without a threshold.
func (f finding) Verdict() string {
	switch {
	case f.Anomalous == nil:
		return "-"
	case *f.Anomalous:
		return "anomalous"
	}
	return "good"
}

const tableHead = "verdict         score   threshold  regions  path"

// String is the finding's line of the table.
func (f finding) String() string {
	threshold := "-"
	if f.Threshold != nil {
		threshold = short(*f.Threshold)
	}
	return fmt.Sprintf("%-9s  %10s  %10s  %7d  %s", f.Verdict(), short(f.Score), threshold, len(f.Regions), printable(f.Path))
}

// printable quotes a path that would move a terminal's cursor.
func printable(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}
