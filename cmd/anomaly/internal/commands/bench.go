package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func benchCommand() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure throughput and latency of a model",
		ArgsUsage: "model.onnx [IMAGES|DIR…]",
		Description: `It measures, for --duration each: throughput by --batch, the latency of one image
after the other, and the latency of images that are triggered at a fixed --rate, as
a camera on a line does.

At a rate, latency counts from the moment an image was due, whether or not those
before it were finished: what an image waited is not left out. Images that wait
while a batch is computed go into the next one together. 1024 that wait at once
end it: the rate is too high.

Without images it computes pixels that are there already; with images each is
decoded and resized every time. Garbage collection goes on as in any program, and
is reported. Ctrl-C prints what was measured so far and exits with 130.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "batch", Usage: "`LIST` of images at once", Value: "1,4,16,64"},
			&cli.DurationFlag{Name: "duration", Usage: "`TIME` of each measurement", Value: 3 * time.Second},
			&cli.Float64Flag{Name: "rate", Usage: "`N` images are triggered a second", DefaultText: "half of what one after the other gives"},
			&cli.DurationFlag{Name: "batch-window", Usage: "`TIME` that a triggered image waits for others to be computed with"},
			jsonFlag,
		}, detectorFlags...),
		Action: benchAction,
	}
}

func benchAction(c *cli.Context) error {
	if !c.Args().Present() {
		return usagef("bench takes a model, got nothing")
	}
	if err := checkModel("bench", c.Args().First(), c.Args().Tail()...); err != nil {
		return err
	}
	o := &benchOptions{
		model: c.Args().First(), images: c.Args().Tail(), json: c.Bool("json"), duration: c.Duration("duration"), rate: c.Float64("rate"),
	}
	var err error
	if o.detector, o.decoding, err = parseDetector(c); err != nil {
		return err
	}
	o.detector.BatchWindow = c.Duration("batch-window")
	for s := range strings.SplitSeq(c.String("batch"), ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil || n < 1 {
			return usagef("--batch: got %q, want numbers of images, 1 or more, such as 1,16", c.String("batch"))
		}
		o.batches = append(o.batches, n)
	}
	switch {
	case o.duration <= 0:
		return usagef("--duration: got %v, want more than 0", o.duration)
	case o.detector.BatchWindow < 0:
		return usagef("--batch-window: got %v, want 0 or more", o.detector.BatchWindow)
	case !(o.rate >= 0 && o.rate*o.duration.Seconds() <= judge.MostTriggered):
		return usagef("--rate: got %v, want 0 or more, and at most %d images in %v", o.rate, judge.MostTriggered, o.duration)
	}
	return newConsole(c).bench(c.Context, o)
}

// benchOptions are the arguments and flags of `anomaly bench`.
type benchOptions struct {
	model    string
	images   []string
	detector anrt.Options
	decoding *dataset.Decoding
	batches  []int
	duration time.Duration // of each measurement
	rate     float64       // images a second; 0 is half of what one after the other gives
	json     bool
}

// A benchmark is what `anomaly bench` measures. Times are in milliseconds.
type benchmark struct {
	Tool     string        `json:"anomaly"`
	Model    string        `json:"model"`
	Kind     string        `json:"kind"`
	Provider anrt.Provider `json:"provider"`
	Library  string        `json:"onnxruntime,omitempty"` // version
	CPUs     int           `json:"cpus"`
	Threads  int           `json:"threads"`
	Channels int           `json:"channels"`
	Height   int           `json:"height"`
	Width    int           `json:"width"`
	Images   int           `json:"images"` // that were given; 0: pixels that are there already

	*judge.Benchmark

	PeakMB float64 `json:"peak_mb,omitempty"` // resident memory of the process; 0 where the system does not tell
}

// bench is `anomaly bench`.
func (c *console) bench(ctx context.Context, o *benchOptions) error {
	defer c.noteImages(o.decoding)
	var samples []dataset.Sample
	if len(o.images) > 0 {
		var err error
		if samples, err = (&dataset.Options{Decoding: o.decoding}).Find(o.images...); err != nil {
			return err
		}
	}
	opened := false
	open := func(batch int) (*anrt.Detector, error) {
		options := o.detector
		if batch > 0 {
			options.Batch, options.BatchWindow = batch, 0
		}
		if opened { // which has said what there is to say
			return anrt.OpenContext(ctx, o.model, &options)
		}
		opened = true
		return c.openDetector(ctx, o.model, &options)
	}
	c.startBar(len(o.batches)+2, "measurements")
	measured, err := judge.Bench(ctx, open, samples, &judge.BenchOptions{Batches: o.batches, Duration: o.duration, Rate: o.rate, Step: c.stepBar})
	c.endBar()
	switch interrupted := ctx.Err() != nil && errors.Is(err, ctx.Err()); {
	case errors.Is(err, judge.ErrNoSize):
		return usagef("%v: name some after it, or give --size", judge.ErrNoSize)
	case err != nil && !interrupted, measured.Model.Kind == "": // not even opened
		return err
	}
	m := measured.Model
	b := &benchmark{
		Tool: c.version, Model: filepath.Base(o.model), Kind: m.Kind, Provider: m.Provider, Library: m.Library,
		CPUs: goruntime.GOMAXPROCS(0), Threads: o.detector.Threads, Channels: m.Channels, Height: m.Height, Width: m.Width,
		Images: len(samples), Benchmark: measured, PeakMB: peakMemory(),
	}
	if b.Threads == 0 {
		b.Threads = b.CPUs
	}
	var printing error
	if o.json {
		printing = json.NewEncoder(c.out).Encode(b)
	} else {
		printing = b.print(c.out)
	}
	if err == nil && b.AtRate.TooFast {
		err = fmt.Errorf("%s images a second are too many: %d were waiting", figure(b.AtRate.Rate), judge.MostWaiting)
	}
	return errors.Join(printing, err)
}

// peakMemory returns the most resident memory that the process has had, in MB; 0
// where the system does not tell.
func peakMemory() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), " kB"), 64)
			if err == nil {
				return kb * 1024 / 1e6
			}
		}
	}
	return 0
}

// print writes tables for a person.
func (b *benchmark) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	library := ""
	if b.Library != "" {
		library = " (ONNX Runtime " + b.Library + ")"
	}
	what := "pixels that are there already"
	if b.Images > 0 {
		what = plural(b.Images, "image") + ", decoded and resized each time"
	}
	size := "any size"
	if b.Height > 0 {
		size = fmt.Sprintf("%dx%d", b.Height, b.Width)
	}
	colours := "RGB"
	if b.Channels == 1 {
		colours = "grey"
	}
	fmt.Fprintf(w, "%s, %s, %s, %s; provider %s%s, %s on %s\n", b.Model, b.Kind, size, colours, b.Provider, library, plural(b.Threads, "thread"), plural(b.CPUs, "CPU"))
	fmt.Fprintf(w, "%s; opened in %s ms\n", what, figure(b.OpenMS))
	if len(b.Throughput) > 0 {
		fmt.Fprintf(t, "\nbatch\timages/s\tms/image\timages\t\n")
		for _, m := range b.Throughput {
			fmt.Fprintf(t, "%d\t%s\t%s\t%d\t\n", m.Batch, figure(m.PerSecond), figure(1e3/m.PerSecond), m.Images)
		}
	}
	var measured []*judge.Latency
	for _, l := range []*judge.Latency{b.OneByOne, b.AtRate} {
		if l != nil {
			measured = append(measured, l)
		}
	}
	if len(measured) > 0 {
		t.Flush()
		fmt.Fprintf(t, "\nlatency, ms\tp50\tp99\tp99.9\tmax\timages\tGC cycles\tpauses, ms\tlongest\tKB/image\t\n")
		for _, l := range measured {
			name := "one after the other"
			if l.Rate > 0 {
				name = fmt.Sprintf("%s a second", figure(l.Rate))
			}
			g := l.Garbage
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\t\n", name, figure(l.P50), figure(l.P99), figure(l.P999), figure(l.Max), l.Images,
				g.Cycles, figure(g.PauseMS), figure(g.LongestMS), figure(g.Allocated))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if b.PeakMB > 0 {
		fmt.Fprintf(w, "\nmemory: %s MB at most\n", figure(b.PeakMB))
	}
	return nil
}

// figure prints three digits.
func figure(x float64) string {
	if x >= 1000 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'g', 3, 64)
}
