package commands

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// surveyOptions say how images are looked at, and what is written of them.
type surveyOptions struct {
	model    string
	detector anrt.Options
	dir      string // "" writes nothing
	saves    page.Saves
	minArea  int // of regions, in pixels of the map

	decoding *dataset.Decoding

	noteVerdict bool // on the detector, where that is not good

	scoresOnly bool // verdicts are those of a threshold that is to be another
	mustJudge  bool // a model that says of no image that it is anomalous is refused

	inbox    *judge.Inbox  // where images come from after the first ones; nil watches nothing
	interval time.Duration // between two looks at it and at the model
	try      func(ctx context.Context, model []byte) error
	gate     gateOptions // of models to be swapped in
	shadow   shadowOptions
	tell     func(*judge.Event) // of each image, where not nil
	drift    *drifting
}

// scoringFlags are flags of the commands that score images.
var scoringFlags = slices.Concat(detectorFlags, viewFlags, []cli.Flag{
	&cli.IntFlag{Name: "batch", Usage: "`N` images at once", DefaultText: "what suits the provider and the size"},
	&cli.IntFlag{Name: "min-area", Usage: "smallest area in `PIXELS` at the model's resolution that counts: scores are what so many connected pixels reach together", Value: 1},
	&cli.StringFlag{Name: "zones", Usage: "PNG `FILE` with a palette, or grey, whose pixels are numbers of zones; without --zone all but 0 are ignored"},
	&cli.StringSliceFlag{Name: "zone", Usage: "`NUMBER=RULE` of a zone: ignore, or a threshold of its own; may be repeated"},
})

// surveyFlags are flags of the commands that look at images.
var surveyFlags = slices.Concat(scoringFlags, []cli.Flag{
	&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`DIR` for pictures and the report"},
	&cli.StringFlag{Name: "heat", Usage: "`LO:HI`, the residuals of the heat maps' first and last colour, such as 0 and twice the threshold", DefaultText: "from what good parts reach on"},
	&cli.StringFlag{Name: "save", Usage: "what --out gets of each image: `LIST` of picture, map, mask, reconstruction", Value: "picture"},
})

// parseScoring reads scoringFlags.
func parseScoring(c *cli.Context, model string) (surveyOptions, error) {
	o := surveyOptions{model: model, minArea: c.Int("min-area")}
	var err error
	if o.detector, o.decoding, err = parseDetector(c); err != nil {
		return o, err
	}
	if o.detector.View, err = parseView(c); err != nil {
		return o, err
	}
	o.detector.Batch, o.detector.MinArea = c.Int("batch"), o.minArea
	switch {
	case c.IsSet("batch") && o.detector.Batch < 1:
		return o, usagef("--batch: got %d, want 1 or more", o.detector.Batch)
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
	if o.saves, err = page.ParseSaves(c.String("save")); err != nil {
		return o, usagef("--save: %v", err)
	}
	if c.IsSet("heat") {
		if o.detector.Scale, err = heatmap.ParseScale(c.String("heat")); err != nil {
			return o, usagef("--heat: %s", strings.TrimPrefix(err.Error(), "heatmap: scale: "))
		}
	}
	switch {
	case c.IsSet("heat") && o.dir == "":
		return o, usagef("--heat needs --out")
	case c.IsSet("save") && o.dir == "":
		return o, usagef("--save needs --out")
	}
	return o, nil
}

// survey looks at all samples and hands on what it found, in their order, of images
// that failed the error; then, if it is to watch, at what comes. It writes what o asks for and says what failed;
// spell gives an image's path.
//
// The error is that of the first thing that ended it, ctx's if that did and it was
// not watching, or else says how many images failed. What was done by then is written.
func (c *console) survey(ctx context.Context, samples []dataset.Sample, spell func(*dataset.Sample) string, o *surveyOptions, each func(*judge.Finding) error) (*page.Report, error) {
	pictures := o.dir != "" && o.saves.Picture
	o.detector.Reconstruction = pictures || o.dir != "" && o.saves.Reconstruction
	path, err := anrt.Latest(o.model)
	if err != nil || o.inbox == nil {
		path = o.model // of which openDetector says what is wrong
	}
	det, err := c.openDetector(ctx, path, &o.detector)
	if err != nil {
		return nil, err
	}
	defer judge.Leave(ctx, func() { det.Close() })
	c.noteTrained(det.Info().Metadata, o.decoding)
	if info := det.Info(); o.mustJudge && !info.Judges && info.Review == nil {
		return nil, usagef("--fail-on-anomaly: the model has no threshold, so that no image would ever be anomalous: give --threshold, or set the model's (anomaly calibrate)")
	}
	files, err := page.NewFiles(o.dir)
	if err != nil {
		return nil, err
	}
	defer files.Release()
	look := &judge.Options{Path: spell, MinArea: o.regions(), KeepImages: pictures || o.shadow.model != "", Swapped: o.inbox != nil}
	if o.shadow.model == "" { // another model would look at the images themselves
		look.Longest = page.Tile
	}
	end, err := c.startTrials(ctx, det, o, look)
	if err != nil {
		return nil, err
	}
	defer judge.Leave(ctx, end)

	report := c.newReport(det.Info(), o)
	report.Of = len(samples)
	images, anomalous, failed, unlike := 0, 0, 0, 0
	highest := float32(math.Inf(-1))
	name := modelName(o.model)
	failing := map[string]bool{} // of a watch: what fails and may come again, whole
	started := time.Now()
	if o.inbox == nil {
		c.startBar(len(samples), "images")
	} else {
		c.notef("looking for images until interrupted")
	}
	handle := func(f *judge.Finding) error {
		c.stepBar()
		images++
		if f.Err == nil && !report.IsOf(f.Result.Model) { // swapped in meanwhile
			if err := report.Retire(o.dir, files); err != nil {
				return err
			}
			report = c.newReport(det.Info(), o)
		}
		if f.Err == nil {
			f.Err = files.Fit(f)
		}
		if o.dir != "" { // else nobody reads its rows, and watching goes on for months
			report.Add(f)
		}
		switch watching := o.inbox != nil; {
		case f.Err != nil && !(watching && failing[f.Path]):
			failed++
			failing[f.Path] = watching
		case f.Err == nil && failing[f.Path]:
			failed--
			delete(failing, f.Path)
		}
		if o.tell != nil {
			o.tell(event(f, name))
		}
		if f.Err != nil {
			c.notef("%s", failure(f))
			return each(f)
		}
		if err := o.drift.add(det, &f.Result); err != nil {
			return err
		}
		if f.Result.Anomalous {
			anomalous++
		}
		if len(f.Unlike) > 0 {
			if unlike++; unlike <= mostUnlike {
				c.notef("%s: %s", printable(f.Path), strings.Join(f.Unlike, "; "))
			}
		}
		highest = max(highest, f.Score)
		if err := files.Save(f, report.Saves); err != nil {
			return err
		}
		return each(f)
	}
	err = judge.Run(ctx, det, samples, look, handle)
	if o.inbox != nil && err == nil {
		err = o.inbox.Serve(ctx, func(samples []dataset.Sample) error {
			return judge.Run(ctx, det, samples, look, handle)
		}, func() error {
			c.noteFresh(o.decoding)
			return report.Update(o.dir, files)
		})
	}
	c.endBar()
	interrupted := ctx.Err() != nil
	if failed := files.Wait(); failed != nil && (err == nil || interrupted) {
		return nil, failed
	}
	if o.inbox != nil && interrupted && errors.Is(err, ctx.Err()) {
		err = nil // as it ends
		report.Of = len(report.Rows)
	}
	if judged := images - failed; judged > 0 {
		share := calibrate.ShareOf(unlike, judged)
		report.Evidence.Unlike = &share
	}
	if o.noteVerdict {
		report.Appraisal = judge.AppraiseRun(report.Evidence, anomalous, images-failed, highest)
	}
	if o.dir != "" && (err == nil || interrupted) {
		report.Interrupted = interrupted && err != nil
		if err := report.Write(o.dir); err != nil {
			return nil, err
		}
	}
	line := plural(images, "image")
	if !o.scoresOnly {
		line += fmt.Sprintf(", %d anomalous", anomalous)
	}
	line += fmt.Sprintf(", %d failed", failed)
	if unlike > 0 {
		line += fmt.Sprintf(", %d unlike the training images", unlike)
	}
	if o.inbox == nil { // else most of the time was waiting
		line += fmt.Sprintf(", %.1f images/s", float64(images)/time.Since(started).Seconds())
	}
	c.notef("%s", line)
	if o.noteVerdict {
		c.noteAppraisal(report)
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d %w", failed, images, errImages)
	}
	return report, err
}

// event is what is told of a finding of a model's.
func event(f *judge.Finding, model string) *judge.Event {
	return &judge.Event{
		ModelName: model, ModelHash: f.Result.Model, Finding: f,
		Image: func() ([]byte, error) {
			file, _, err := f.Sample.File()
			return file, err
		},
	}
}

// mostUnlike is of how many images it is said in what they are unlike those that the
// model was trained on; JSON has it of all.
const mostUnlike = 3

// regions is the smallest area of a region; 0 where nobody reads them.
func (o *surveyOptions) regions() int {
	if o.scoresOnly {
		return 0
	}
	return o.minArea
}

// newReport returns the report of what a model finds.
func (c *console) newReport(info anrt.ModelInfo, o *surveyOptions) *page.Report {
	saves := o.saves
	if o.dir != "" {
		saves = c.givenBy(info, saves)
	}
	r := page.NewReport(info, saves, o.inbox != nil)
	r.Evidence = evidence(info.Metadata, info.Threshold, o)
	r.Appraisal = judge.Appraise(r.Evidence)
	if r.Model = filepath.Base(o.model); o.inbox != nil {
		r.Model += fmt.Sprintf(" (%.*s)", anrt.HashDigits, info.Hash)
	}
	return r
}

// givenBy returns what of saves a model gives, and says what it does not.
func (c *console) givenBy(info anrt.ModelInfo, s page.Saves) page.Saves {
	switch {
	case !info.Maps && (s.Map || s.Mask):
		c.notef("the model gives no maps: none are saved, nor masks")
		s.Map, s.Mask = false, false
	case s.Mask && info.PixelThreshold == nil:
		c.notef("no masks are saved: the model has no threshold (--threshold gives one)")
		s.Mask = false
	}
	if !info.Reconstructs { // which package runtime has said
		s.Reconstruction = false
	}
	return s
}

// failure is what is said of an image that failed.
func failure(f *judge.Finding) string {
	return fmt.Sprintf("anomaly: %s: %v", printable(f.Path), f.Err)
}

var errImages = errors.New("images failed")

// openDetector opens a model and says which provider computes.
func (c *console) openDetector(ctx context.Context, path string, o *anrt.Options) (*anrt.Detector, error) {
	o.Logf = c.logf
	det, err := anrt.OpenContext(ctx, path, o)
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
func (c *console) noteProvider(name anrt.Provider) {
	if name != anrt.Auto && !strings.Contains(string(name), ",") {
		c.logf("using provider %s", name)
	}
}
