package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// surveyOptions say how images are looked at, and what is written of them.
type surveyOptions struct {
	model    string
	detector anrt.Options
	dir      string // "" writes nothing
	saves    saves
	minArea  int // of regions, in pixels of the map

	maxPixels int // of an image; 0 is the default
}

// scoringFlags are flags of the commands that score images.
var scoringFlags = []cli.Flag{
	providerFlag, providerOptionFlag, threadsFlag, maxPixelsFlag,
	&cli.IntFlag{Name: "batch", Usage: "`N` images at once", DefaultText: "what suits the provider and the size"},
	&cli.IntFlag{Name: "min-area", Usage: "smallest area in `PIXELS` at the model's resolution that counts: scores are what so many connected pixels reach together", Value: 1},
	&cli.StringFlag{Name: "zones", Usage: "PNG `FILE` with a palette, or grey, whose pixels are numbers of zones; without --zone all but 0 are ignored"},
	&cli.StringSliceFlag{Name: "zone", Usage: "`NUMBER=RULE` of a zone: ignore, or a threshold of its own; may be repeated"},
}

// surveyFlags are flags of the commands that look at images.
var surveyFlags = slices.Concat(scoringFlags, []cli.Flag{
	&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`DIR` for pictures and the report"},
	&cli.StringFlag{Name: "save", Usage: "what --out gets of each image: `LIST` of picture, map, mask, reconstruction", Value: "picture"},
})

// parseScoring reads scoringFlags.
func parseScoring(c *cli.Context, model string) (surveyOptions, error) {
	o := surveyOptions{
		model:    model,
		detector: anrt.Options{Threads: c.Int("threads"), Batch: c.Int("batch"), MinArea: c.Int("min-area")},
		minArea:  c.Int("min-area"),
	}
	var err error
	if o.detector.Provider, o.detector.ProviderOptions, err = parseProvider(c); err != nil {
		return o, err
	}
	if o.maxPixels, err = parseMaxPixels(c); err != nil {
		return o, err
	}
	switch {
	case c.IsSet("batch") && o.detector.Batch < 1:
		return o, usagef("--batch: got %d, want 1 or more", o.detector.Batch)
	case o.detector.Threads < 0:
		return o, usagef("--threads: got %d, want 0 or more", o.detector.Threads)
	case o.minArea < 1:
		return o, usagef("--min-area: got %d, want 1 or more", o.minArea)
	case c.IsSet("zone") && c.String("zones") == "":
		return o, usagef("--zone needs --zones")
	case c.IsSet("zones"):
		o.detector.Zones, err = readZones(c.String("zones"), c.StringSlice("zone"))
	}
	return o, err
}

func parseSurvey(c *cli.Context, model string) (surveyOptions, error) {
	o, err := parseScoring(c, model)
	if err != nil {
		return o, err
	}
	o.dir = c.String("out")
	if o.saves, err = parseSaves(c.String("save")); err != nil {
		return o, err
	}
	switch {
	case c.IsSet("out") && o.dir == "":
		return o, usagef("--out: want a folder")
	case c.IsSet("save") && o.dir == "":
		return o, usagef("--save needs --out")
	}
	return o, nil
}

// survey looks at all samples and hands on what it found, in their order. It
// writes what o asks for and says what failed; spell gives an image's path.
//
// The error is that of the first thing that ended it, ctx's if that did, or else
// says how many images failed. What was done by then is written.
func (c *console) survey(ctx context.Context, samples []dataset.Sample, spell func(*dataset.Sample) string, o *surveyOptions, each func(*outcome, finding) error) (*report, error) {
	limit(samples, o.maxPixels)
	pictures := o.dir != "" && o.saves.Picture
	o.detector.Reconstruction = pictures || o.dir != "" && o.saves.Reconstruction
	det, err := c.openDetector(o.model, &o.detector)
	if err != nil {
		return nil, err
	}
	defer det.Close()
	info := det.Info()
	threshold := pixelThreshold(info, o.detector.Threshold)
	if o.dir != "" && o.saves.Mask && threshold == nil {
		return nil, usagef("--save mask needs a threshold, and the model has none")
	}
	files, err := newSaver(o.dir, o.saves, threshold)
	if err != nil {
		return nil, err
	}

	report := &report{Model: filepath.Base(o.model), Provider: info.Provider, Threshold: info.Threshold, Review: info.Review, Of: len(samples), Saves: o.saves}
	report.pictures = heatmap.PictureOptions{Reconstruction: image.Black, Threshold: threshold, Tile: pictureTile}
	started := time.Now()
	c.startBar(len(samples), "images")
	err = detect(ctx, det, samples, &detectOptions{keepImages: pictures}, func(out *outcome) error {
		c.stepBar()
		name := out.sample.OutputName()
		if out.err != nil {
			c.notef("anomaly: %s: %v", printable(spell(out.sample)), out.err)
			report.fail(name, out.err)
			return nil
		}
		f := finding{
			Path: spell(out.sample), Score: out.result.Score, Threshold: out.result.Threshold, Regions: []heatmap.Region{},
			Decision: out.result.Verdict,
		}
		if f.Threshold != nil {
			f.Anomalous = &out.result.Anomalous
		}
		if out.result.Anomalous {
			f.Regions = append(f.Regions, heatmap.Regions(out.result.Map, &heatmap.RegionOptions{
				Threshold: *threshold, MinArea: o.minArea, Width: out.size.X, Height: out.size.Y,
			})...)
		}
		report.add(out, f)
		if err := files.save(out); err != nil {
			return err
		}
		return each(out, f)
	})
	c.endBar()
	interrupted := ctx.Err() != nil
	if failed := files.wait(); failed != nil && (err == nil || interrupted) {
		return nil, failed
	}
	if o.dir != "" && (err == nil || interrupted) {
		report.Interrupted = interrupted && err != nil
		if err := report.write(o.dir); err != nil {
			return nil, err
		}
	}
	n := len(report.Rows)
	c.notef("%d images, %d anomalous, %d failed, %.1f images/s", n, report.Anomalous, report.Failed, float64(n)/time.Since(started).Seconds())
	if err == nil && report.Failed > 0 {
		err = fmt.Errorf("%d of %d %w", report.Failed, n, errImages)
	}
	return report, err
}

var errImages = errors.New("images failed")

// openDetector opens a model and says which provider computes.
func (c *console) openDetector(path string, o *anrt.Options) (*anrt.Detector, error) {
	o.Logf = c.logf
	det, err := anrt.Open(path, o)
	if errors.Is(err, anrt.ErrInput) { // options that the model does not go with
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return nil, err
	}
	c.noteProvider(o.Provider)
	return det, nil
}

// noteProvider says which provider computes, where package runtime does not say
// what it chose.
func (c *console) noteProvider(name string) {
	if name != anrt.Auto && !strings.Contains(name, ",") {
		c.notef("using provider %s", name)
	}
}

// pixelThreshold returns the residual above which a pixel is anomalous: the one
// given, or else the model's for pixels, or else its only one; nil for none.
func pixelThreshold(info anrt.ModelInfo, given *float32) *float32 {
	switch {
	case given != nil:
		return given
	case info.PixelThreshold != nil:
		return info.PixelThreshold
	}
	return info.Threshold
}
