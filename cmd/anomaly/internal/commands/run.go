package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func runCommand() *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "find anomalies in images",
		ArgsUsage: "model.onnx IMAGES|DIR…",
		Description: `Images are files, - for one from standard input, folders (read with all below
them), patterns, and .npy or idx
files, each row of which is an image: [N,H,W,C], [N,H,W] or [N,C,H,W], uint8 or
float in [0,1].

Standard output has a line per image; with --json an object:

  {"path": "part.png", "score": 0.41, "threshold": 0.3, "anomalous": true,
   "regions": [{"x": 10, "y": 20, "w": 30, "h": 8, "area": 160, "score": 0.41}]}

Regions are in pixels of the original image. threshold and anomalous are null
where the model has no threshold and --threshold gives none. An image that could not
be read or computed is {"path": "part.png", "error": "…"}. One that is unlike those
that the model was trained on, whatever its score, has one more key: "unlike": ["darker
than the training images (0.12, expected 0.35 to 0.48)"]. That may be its brightness,
sharpness, aspect or size.

With a review band, the model's (anomaly calibrate) or --review-band LOW:HIGH,
there is a third verdict: accept up to LOW, reject above HIGH, between them
review, to be looked at again. The object then has one more key:
"verdict": "accept", "review" or "reject"; "anomalous" stays what it is. The band
must hold the threshold; --threshold without --review-band leaves no band.

Models of other tools are told apart by what they give: anomalib's, since 0.7,
networks that give a reconstruction, and others that give a map, a score or both.
anomaly inspect says what a model is taken for. What it does not give is left out.
Where the file leaves it open, --map-output, --score-output and
--reconstruction-output name outputs, --layout and --range say what images are in
the tensors, --size which size they are brought to, --map how a reconstruction
becomes a map. The verdict is the model's own label where it gives one, unless
--threshold, --min-area or --zones are given.

Defects smaller than --min-area do not count: the score is the highest residual
that so many connected pixels reach together. --zones FILE divides the image: a
pixel of the PNG, brought to the model's resolution by the nearest, is the number
of its zone (its index in the palette, or its grey level, 0 to 255). --zone
3=ignore sets the map to 0 there, --zone 5=0.4 gives it a threshold of its own:
residuals there count times threshold/0.4. All that is printed and saved is of the
map as the zones see it. What a defect does reaches beyond its pixels, by the
map's window and blur: draw ignored zones with a margin.

With --out, DIR gets index.html, a report to open in a browser, and per image what
--save lists: <image>.picture.jpg, <image>.map.npy (float32 [H,W] at the model's
resolution), <image>.mask.png and <image>.reconstruction.png. The page needs
nothing but the pictures beside it; enlarged, it shows the image itself as long as
that lies where it was.

With --watch it keeps on: new images as they come, and another model when one is
put in model.onnx's place, which may be a folder of them. The new one is loaded,
its self-test run, first in a process of its own, and put through --gate while the
old one works on; what cannot be used is said, and the old one stays. Each object then says which "model" gave
it, by the beginning of its SHA-256. Ctrl-C or SIGTERM end it, with the exit code
that it would have had if these had been all images; one that failed and then could
be read is no failure.

--shadow NEW.onnx runs another model beside that in use, whose results are the
ones that count, and says how they differ. With --watch it takes over after
--shadow-images or --shadow-time if it could compute all images, both models say
what is anomalous, and at most the share --shadow-changed of the verdicts differs;
the file of the model in use stays as it is.

` + gateHelp + `

` + driftHelp + `:
with --watch.

` + outputHelp + ` It
needs --watch.

The exit code is 1 if an image could not be read, else 3 if one is anomalous (with
a review band: rejected) and --fail-on-anomaly is given, else 0. --fail-on-anomaly is refused where nothing says
what is anomalous, and so are thresholds that no score can be above.`,
		Flags: slices.Concat([]cli.Flag{
			&cli.Float64Flag{Name: "threshold", Usage: "`SCORE` above which an image, and residual above which a pixel, is anomalous", DefaultText: "the model's"},
			&cli.StringFlag{Name: "review-band", Usage: "`LOW:HIGH`, scores between which an image is to be looked at again, or none", DefaultText: "the model's"},
			jsonFlag, signatureFlag,
			&cli.BoolFlag{Name: "fail-on-anomaly", Usage: "exit with 3 if an image is anomalous", DisableDefaultText: true},
			&cli.BoolFlag{Name: "watch", Usage: "keep on: new images as they come, a new model when there is one", DisableDefaultText: true},
			&cli.DurationFlag{Name: "interval", Usage: "`TIME` between two looks of --watch", Value: time.Second},
			&cli.StringFlag{Name: "shadow", Usage: "`NEW.onnx` that runs beside the model and is compared"},
			&cli.IntFlag{Name: "shadow-images", Usage: "`N` images after which the one in the shadow takes over or not", Value: 200},
			&cli.DurationFlag{Name: "shadow-time", Usage: "`TIME` after which it does, whatever comes first", DefaultText: "no limit"},
			&cli.Float64Flag{Name: "shadow-changed", Usage: "`SHARE` of verdicts that may differ if it is to take over", Value: .01},
		}, driftFlags, gateFlags, outputFlags, surveyFlags),
		Action: runAction,
	}
}

func runAction(c *cli.Context) error {
	if c.NArg() < 2 {
		return usagef("run takes a model and images, got %q", c.Args().Slice())
	}
	if _, err := anrt.Latest(c.Args().First()); !c.Bool("watch") || err != nil { // which takes a folder of models
		if err := checkModel("run", c.Args().First(), c.Args().Tail()...); err != nil {
			return err
		}
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
	if o.survey.detector.Signers, err = parseSigners(c); err != nil {
		return err
	}
	if o.survey.detector.Review, err = parseBand(c); err != nil {
		return err
	}
	s := &o.survey
	s.mustJudge, s.noteVerdict, s.try = o.failOnAnomaly, true, tryApart(c)
	if s.gate, err = parseGate(c); err != nil {
		return err
	}
	s.shadow = shadowOptions{c.String("shadow"), c.Int("shadow-images"), c.Duration("shadow-time"), c.Float64("shadow-changed")}
	if c.IsSet("shadow-time") && !c.IsSet("shadow-images") {
		s.shadow.images = 0
	}
	o.watch, s.interval = c.Bool("watch"), c.Duration("interval")
	if o.outputs, err = parseOutputs(c); err != nil {
		return err
	}
	if o.drift, err = parseDrift(c); err != nil {
		return err
	}
	for _, flag := range driftFlags {
		if name := flag.Names()[0]; c.IsSet(name) && !o.watch {
			return usagef("--%s needs --watch", name)
		}
	}
	switch {
	case o.outputs.urls != nil && !o.watch:
		return usagef("--output needs --watch")
	case s.gate.dir != "" && !o.watch && s.shadow.model == "":
		return usagef("--gate needs --watch or --shadow: without them no other model comes into use")
	case c.IsSet("interval") && !o.watch:
		return usagef("--interval needs --watch")
	case s.interval <= 0:
		return usagef("--interval: got %v, want more than 0", s.interval)
	case c.IsSet("shadow-images") && (!o.watch || s.shadow.model == ""):
		return usagef("--shadow-images needs --shadow and --watch")
	case c.Int("shadow-images") < 1:
		return usagef("--shadow-images: got %d, want 1 or more", s.shadow.images)
	case c.IsSet("shadow-time") && (!o.watch || s.shadow.model == ""):
		return usagef("--shadow-time needs --shadow and --watch")
	case c.IsSet("shadow-time") && s.shadow.duration <= 0:
		return usagef("--shadow-time: got %v, want more than 0", s.shadow.duration)
	case c.IsSet("shadow-changed") && s.shadow.model == "":
		return usagef("--shadow-changed needs --shadow")
	case !(s.shadow.changed >= 0 && s.shadow.changed <= 1):
		return usagef("--shadow-changed: got %v, want 0 to 1", s.shadow.changed)
	}
	console := newConsole(c)
	err = console.run(c.Context, o)
	if o.watch {
		err = console.told(c.Context, err)
	}
	return err
}

// parseBand returns the value of --review-band, nil where it is not given; the zero
// Band is none.
func parseBand(c *cli.Context) (*anrt.Band, error) {
	s := c.String("review-band")
	switch {
	case !c.IsSet("review-band"):
		return nil, nil
	case s == "none":
		return &anrt.Band{}, nil
	}
	band, err := anrt.ParseBand(s)
	if err != nil {
		return nil, usagef("--review-band: %v", err)
	}
	return &band, nil
}

// runOptions are the arguments and flags of `anomaly run`.
type runOptions struct {
	images  []string
	survey  surveyOptions
	outputs outputOptions
	drift   drift.Options

	json, failOnAnomaly, watch bool
}

// run is `anomaly run`.
func (c *console) run(ctx context.Context, o *runOptions) error {
	spell, err := spelling(o.images)
	if err != nil {
		return err
	}
	if i := slices.Index(o.images, "-"); i >= 0 {
		switch {
		case o.watch:
			return usagef("--watch: got - for standard input, want folders, files or patterns, where images come")
		case slices.Contains(o.images[i+1:], "-"):
			return usagef("got - twice, for the one image that standard input has")
		}
		input, remove, err := c.standardInput()
		if err != nil {
			return err
		}
		defer remove()
		o.images[i] = input
		files := spell
		spell = func(s *dataset.Sample) string {
			if s.Path != input {
				return files(s)
			}
			return "-" + strings.TrimPrefix(files(s), files(&dataset.Sample{Path: input, Row: -1}))
		}
	}
	if err := searchedOut(o.images, o.survey.dir); err != nil {
		return err
	}
	defer c.noteImages(o.survey.decoding)
	var samples []dataset.Sample
	if o.watch {
		o.survey.inbox, err = judge.NewInbox(o.images, judge.InboxOptions{
			Interval: o.survey.interval, Results: o.survey.dir, Decoding: o.survey.decoding, Wrong: func(text string) { c.notef("looking on: %s", text) },
		})
	} else if samples, err = (&dataset.Options{Decoding: o.survey.decoding}).Find(o.images...); err == nil {
		samples, err = c.leaveOut(samples, o.survey.dir)
	}
	if err != nil {
		return err
	}
	log := c.noteLogger()
	plant, err := c.openPlant(&o.outputs, log)
	if err != nil {
		return err
	}
	defer plant.close()
	o.survey.tell = plant.tell
	if o.watch {
		o.drift.ScoresOf(&o.survey.detector)
		o.survey.drift = &drifting{options: o.drift, model: modelName(o.survey.model), log: log, watch: drift.NewWatch(plant.tellDrift)}
	}
	head := tableHead + "\n"
	bad, again := 0, 0
	_, err = c.survey(ctx, samples, spell, &o.survey, func(f *judge.Finding) error {
		switch f.Verdict {
		case anrt.Review:
			again++
		case anrt.Reject, anrt.Anomalous:
			bad++
		}
		switch {
		case o.json:
			return json.NewEncoder(c.out).Encode(f)
		case f.Err != nil: // which standard error has
			return nil
		}
		_, err := fmt.Fprintf(c.out, "%s%s\n", head, tableLine(f))
		head = ""
		return err
	})
	if again > 0 {
		c.notef("%d rejected, %d to review", bad, again)
	}
	switch {
	case err != nil:
		return err
	case o.failOnAnomaly && bad > 0:
		return errAnomaly
	}
	return nil
}

// standardInput puts what comes there into a file that remove removes.
func (c *console) standardInput() (path string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "anomaly-*")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, "stdin")
	f, err := os.Create(path)
	if err == nil {
		_, err = io.Copy(f, c.in)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("standard input: %w", err)
	}
	return path, remove, nil
}

// leaveOut leaves out the pictures of an earlier run, and says so.
func (c *console) leaveOut(samples []dataset.Sample, dir string) ([]dataset.Sample, error) {
	samples, left := judge.LeaveOut(samples, dir)
	if left > 0 {
		c.notef("leaving out %s in %s, where results go", plural(left, "image"), dir)
	}
	if len(samples) == 0 {
		return nil, fmt.Errorf("%w outside %s, where results go", dataset.ErrEmpty, dir)
	}
	return samples, nil
}

// searchedOut refuses results that are to go to a folder that args name to be searched
// for images.
func searchedOut(args []string, dir string) error {
	out, err := os.Stat(dir)
	if err != nil {
		return nil // it is to be made
	}
	for _, arg := range args {
		if info, err := os.Stat(arg); err == nil && os.SameFile(info, out) {
			return usagef("--out: %s is searched for images, and its pictures would be among them: choose another folder", dir)
		}
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
		switch {
		case s.Row >= 0:
			path += "#" + strconv.Itoa(s.Row)
		case s.Page > 0:
			path += "#" + strconv.Itoa(s.Page)
		}
		return path
	}, nil
}

const tableHead = "verdict         score   threshold  regions  path"

// tableLine is a finding's line of the table.
func tableLine(f *judge.Finding) string {
	threshold := "-"
	if f.Threshold != nil {
		threshold = page.Short(*f.Threshold)
	}
	return fmt.Sprintf("%-9s  %10s  %10s  %7d  %s", cmp.Or(f.Verdict, "-"), page.Short(f.Score), threshold, len(f.Regions), printable(f.Path))
}

// label is the verdict of a model without a review band: anomalous, good, or "-" where
// nothing says.
func label(anomalous *bool) string {
	switch {
	case anomalous == nil:
		return "-"
	case *anomalous:
		return string(anrt.Anomalous)
	}
	return string(anrt.Good)
}

// printable quotes a name that is no text, or would begin a line or move a terminal's cursor.
func printable(path string) string {
	if !utf8.ValidString(path) || strings.ContainsFunc(path, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(path)
	}
	return path
}
