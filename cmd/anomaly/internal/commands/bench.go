package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
	"gonum.org/v1/gonum/stat"
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
	o := &benchOptions{
		model: c.Args().First(), images: c.Args().Tail(), json: c.Bool("json"), duration: c.Duration("duration"), rate: c.Float64("rate"),
	}
	var err error
	if o.detector, o.maxPixels, err = parseDetector(c); err != nil {
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
	case !(o.rate >= 0 && o.rate*o.duration.Seconds() <= mostTriggered):
		return usagef("--rate: got %v, want 0 or more, and at most %d images in %v", o.rate, mostTriggered, o.duration)
	}
	return newConsole(c).bench(c.Context, o)
}

// benchOptions are the arguments and flags of `anomaly bench`.
type benchOptions struct {
	model     string
	images    []string
	detector  anrt.Options
	maxPixels int
	batches   []int
	duration  time.Duration // of each measurement
	rate      float64       // images a second; 0 is half of what one after the other gives
	json      bool
}

// A benchmark is what `anomaly bench` measures. Times are in milliseconds.
type benchmark struct {
	Tool      string        `json:"anomaly"`
	Model     string        `json:"model"`
	Kind      string        `json:"kind"`
	Provider  anrt.Provider `json:"provider"`
	Library   string        `json:"onnxruntime,omitempty"` // version
	CPUs      int           `json:"cpus"`
	Threads   int           `json:"threads"`
	Channels  int           `json:"channels"`
	Height    int           `json:"height"`
	Width     int           `json:"width"`
	Images    int           `json:"images"` // that were given; 0: pixels that are there already
	OpenMS    float64       `json:"open_ms"`
	Completed bool          `json:"completed"` // false: it was interrupted

	Throughput []throughput `json:"throughput"`
	OneByOne   *latency     `json:"one_by_one,omitempty"`
	AtRate     *latency     `json:"at_rate,omitempty"`

	PeakMB float64 `json:"peak_mb,omitempty"` // resident memory of the process; 0 where the system does not tell
}

// throughput is that of batches.
type throughput struct {
	Batch     int     `json:"batch"`
	Images    int     `json:"images"`
	PerSecond float64 `json:"images_per_second"`
}

// latency is that of single images.
type latency struct {
	Rate      float64    `json:"rate,omitempty"` // images triggered a second; 0: one after the other
	Images    int        `json:"images"`
	P50       float64    `json:"p50_ms"`
	P99       float64    `json:"p99_ms"`
	P999      float64    `json:"p99.9_ms"`
	Max       float64    `json:"max_ms"`
	PerSecond float64    `json:"images_per_second"`
	Garbage   collection `json:"garbage_collection"`
	TooFast   bool       `json:"rate_too_high,omitempty"`
}

// collection is what the garbage collector did meanwhile.
type collection struct {
	Cycles    uint32  `json:"cycles"`
	PauseMS   float64 `json:"pause_ms"` // in all
	LongestMS float64 `json:"longest_pause_ms"`
	Allocated float64 `json:"allocated_kb_per_image"`
}

// mostTriggered images are noted.
const mostTriggered = 10_000_000

// mostWaiting triggered images wait at once.
const mostWaiting = 1024

var errTooFast = errors.New("the rate is too high")

// bench is `anomaly bench`.
func (c *console) bench(ctx context.Context, o *benchOptions) error {
	var samples []dataset.Sample
	if len(o.images) > 0 {
		var err error
		if samples, err = dataset.Find(o.images...); err != nil {
			return err
		}
		limit(samples, o.maxPixels)
	}
	b := &benchmark{Tool: c.version, Model: filepath.Base(o.model), CPUs: goruntime.GOMAXPROCS(0), Threads: o.detector.Threads, Images: len(samples)}
	if b.Threads == 0 {
		b.Threads = b.CPUs
	}
	c.startBar(len(o.batches)+2, "measurements")
	err := c.measure(ctx, b, o, samples)
	c.endBar()
	interrupted := ctx.Err() != nil && errors.Is(err, ctx.Err())
	if err != nil && !interrupted {
		return err
	}
	b.Completed, b.PeakMB = err == nil, peakMemory()
	if b.Kind == "" { // not even opened
		return err
	}
	var printing error
	if o.json {
		printing = json.NewEncoder(c.out).Encode(b)
	} else {
		printing = b.print(c.out)
	}
	if err == nil && b.AtRate.TooFast {
		err = fmt.Errorf("%s images a second are too many: %d were waiting", figure(b.AtRate.Rate), mostWaiting)
	}
	return errors.Join(printing, err)
}

// measure does it all, up to an error: ctx's if that ended.
func (c *console) measure(ctx context.Context, b *benchmark, o *benchOptions, samples []dataset.Sample) error {
	for _, batch := range o.batches {
		options := o.detector
		options.Batch, options.BatchWindow = batch, 0
		s, err := c.openSubject(b, o, options, samples)
		if err != nil {
			return err
		}
		if s.info.Fixed && len(b.Throughput) > 0 {
			s.detector.Close()
			break // one size is all there is
		}
		t, err := s.throughput(ctx, o.duration)
		c.stepBar()
		if t.Images > 0 {
			b.Throughput = append(b.Throughput, t)
		}
		if err := errors.Join(err, s.detector.Close()); err != nil {
			return err
		}
	}
	s, err := c.openSubject(b, o, o.detector, samples)
	if err != nil {
		return err
	}
	defer s.detector.Close()
	if b.OneByOne, err = s.oneByOne(ctx, o.duration); err != nil {
		return err
	}
	rate := o.rate
	if rate == 0 {
		rate = b.OneByOne.PerSecond / 2
		if digits := math.Pow(10, math.Floor(math.Log10(rate))-1); digits > 0 { // two are enough
			rate = math.Floor(rate/digits) * digits
		}
	}
	c.stepBar()
	b.AtRate, err = s.atRate(ctx, rate, o.duration)
	c.stepBar()
	return err
}

// A subject is a detector that is measured.
type subject struct {
	detector *anrt.Detector
	info     anrt.ModelInfo
	samples  []dataset.Sample
	pixels   []uint8 // of a batch, where there are no samples
}

// openSubject opens the model, and notes what it is and how long that took.
func (c *console) openSubject(b *benchmark, o *benchOptions, options anrt.Options, samples []dataset.Sample) (*subject, error) {
	started := time.Now()
	var det *anrt.Detector
	var err error
	if b.Kind == "" {
		det, err = c.openDetector(o.model, &options)
	} else { // which has said what there is to say
		det, err = anrt.Open(o.model, &options)
	}
	if err != nil {
		return nil, err
	}
	s := &subject{detector: det, info: det.Info(), samples: samples}
	i := s.info
	if b.Kind == "" {
		b.OpenMS = milliseconds(time.Since(started))
		b.Kind, b.Provider, b.Library, b.Channels, b.Height, b.Width = i.Kind, i.Provider, i.Library, i.Channels, i.Height, i.Width
	}
	if samples == nil {
		if i.Height == 0 {
			det.Close()
			return nil, usagef("the model takes images of any size: name some after it, or give --size")
		}
		s.pixels = make([]uint8, i.Batch*i.Height*i.Width*i.Channels)
		for at := range s.pixels {
			s.pixels[at] = uint8(at * at >> 7)
		}
	}
	return s, nil
}

// one computes image i: what there is of it, or else decodes it.
func (s *subject) one(ctx context.Context, i int) error {
	if s.samples == nil {
		size := len(s.pixels) / s.info.Batch
		_, err := s.detector.DetectPixels(ctx, s.pixels[:size], 1)
		return err
	}
	img, err := s.samples[i%len(s.samples)].Image()
	if err != nil {
		return err
	}
	_, err = s.detector.Detect(ctx, img)
	return err
}

// throughput computes batch after batch. With images it is what `anomaly run` does:
// the next ones are decoded meanwhile.
func (s *subject) throughput(ctx context.Context, d time.Duration) (throughput, error) {
	t := throughput{Batch: s.info.Batch}
	started := time.Now()
	over := func() bool {
		took := time.Since(started)
		t.PerSecond = float64(t.Images) / took.Seconds()
		return took >= d
	}
	if s.samples == nil {
		for {
			if _, err := s.detector.DetectPixels(ctx, s.pixels, t.Batch); err != nil {
				return t, err
			}
			t.Images += t.Batch
			if over() {
				return t, nil
			}
		}
	}
	errOver := errors.New("over")
	for {
		err := detect(ctx, s.detector, s.samples, nil, func(o *outcome) error {
			if o.err != nil {
				return o.err
			}
			if t.Images++; t.Images%t.Batch == 0 && over() {
				return errOver
			}
			return nil
		})
		switch {
		case err == errOver:
			return t, nil
		case err != nil:
			return t, err
		}
	}
}

// oneByOne computes one image after the other.
func (s *subject) oneByOne(ctx context.Context, d time.Duration) (*latency, error) {
	var took []float64
	meter := startMeter()
	started := time.Now()
	var err error
	for i := 0; time.Since(started) < d; i++ {
		begin := time.Now()
		if err = s.one(ctx, i); err != nil {
			break
		}
		took = append(took, milliseconds(time.Since(begin)))
	}
	return summarize(took, time.Since(started), 0, meter.stop(len(took))), err
}

// atRate triggers images at fixed times. What is due is triggered however many are
// still waiting, and counts from when it was due.
func (s *subject) atRate(ctx context.Context, rate float64, d time.Duration) (*latency, error) {
	n := min(max(int(rate*d.Seconds()), 1), mostTriggered)
	took, errs := make([]float64, n), make([]error, n)
	waiting := make(chan struct{}, mostWaiting)
	var group sync.WaitGroup
	meter := startMeter()
	started := time.Now()
	triggered := 0
	var err error
trigger:
	for ; triggered < n; triggered++ {
		due := started.Add(time.Duration(float64(triggered) / rate * float64(time.Second)))
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			err = ctx.Err()
			break trigger
		}
		select {
		case waiting <- struct{}{}:
		default:
			err = errTooFast
			break trigger
		}
		i := triggered
		group.Go(func() {
			errs[i] = s.one(context.WithoutCancel(ctx), i)
			took[i] = milliseconds(time.Since(due))
			<-waiting
		})
	}
	group.Wait()
	l := summarize(took[:triggered], time.Since(started), rate, meter.stop(triggered))
	for _, e := range errs {
		if e != nil {
			return l, e
		}
	}
	if errors.Is(err, errTooFast) {
		l.TooFast, err = true, nil
	}
	return l, err
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }

// summarize returns nil if nothing was measured.
func summarize(took []float64, all time.Duration, rate float64, garbage collection) *latency {
	n := len(took)
	if n == 0 {
		return nil
	}
	slices.Sort(took)
	at := func(p float64) float64 { return stat.Quantile(p, stat.Empirical, took, nil) }
	return &latency{
		Rate: rate, Images: n, P50: at(.5), P99: at(.99), P999: at(.999), Max: took[n-1],
		PerSecond: float64(n) / all.Seconds(), Garbage: garbage,
	}
}

// A meter watches the garbage collector.
type meter struct {
	before  goruntime.MemStats
	longest time.Duration // pause
	stopped chan struct{}
	done    sync.WaitGroup
}

func startMeter() *meter {
	m := &meter{stopped: make(chan struct{})}
	goruntime.ReadMemStats(&m.before)
	m.done.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond) // of all pauses only the last 256 are known
		defer tick.Stop()
		var s debug.GCStats
		seen := int64(m.before.NumGC)
		for running := true; running; {
			select {
			case <-tick.C:
			case <-m.stopped:
				running = false
			}
			debug.ReadGCStats(&s)
			for _, pause := range s.Pause[:min(int(s.NumGC-seen), len(s.Pause))] {
				m.longest = max(m.longest, pause)
			}
			seen = s.NumGC
		}
	})
	return m
}

// stop returns what was collected since, for n images.
func (m *meter) stop(n int) collection {
	close(m.stopped)
	m.done.Wait()
	var after goruntime.MemStats
	goruntime.ReadMemStats(&after)
	return collection{
		Cycles:    after.NumGC - m.before.NumGC,
		PauseMS:   float64(after.PauseTotalNs-m.before.PauseTotalNs) / 1e6,
		LongestMS: milliseconds(m.longest),
		Allocated: float64(after.TotalAlloc-m.before.TotalAlloc) / 1e3 / float64(max(n, 1)),
	}
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
	var measured []*latency
	for _, l := range []*latency{b.OneByOne, b.AtRate} {
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
