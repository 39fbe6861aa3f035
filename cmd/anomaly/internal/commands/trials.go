package commands

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// shadowOptions are the flags of a candidate that runs beside the model in use.
type shadowOptions struct {
	model    string        // "" for none
	images   int           // 0 for no limit
	duration time.Duration // 0 for no limit
	changed  float64       // share of verdicts
}

// startTrials lets models be swapped while a detector works: the one that watches
// its file, and a candidate in its shadow. What it adds to look serves the latter.
// end stops it all, and is called before the detector is closed.
func (c *console) startTrials(ctx context.Context, det *anrt.Detector, o *surveyOptions, look *judge.Options) (end func(), err error) {
	var g *judge.Gate
	if o.gate.dir != "" {
		if g, err = c.openGate(&o.gate, o.decoding); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &trial{console: c, watching: o.inbox != nil, path: o.shadow.model}
	if o.shadow.model != "" {
		if err := t.start(ctx, det, o, g); err != nil {
			cancel()
			return nil, err
		}
		look.Batch = t.batch
	}
	var watch sync.WaitGroup
	if o.inbox != nil {
		options := &anrt.WatchOptions{
			Interval: o.interval,
			Try:      o.try,
			Swapped: func(path string, old, new anrt.ModelInfo) {
				c.notef("now using %s (%.*s), in place of %.*s", path, anrt.HashDigits, new.Hash, anrt.HashDigits, old.Hash)
			},
			Failed: func(_ string, err error) { c.notef("the model in use stays: %v", err) },
		}
		if g != nil {
			options.Gate = g.Check
		}
		if o.mustJudge {
			options.Gate = judges(options.Gate)
		}
		watch.Go(func() { det.Watch(ctx, o.model, options) })
	}
	return func() {
		cancel()
		watch.Wait()
		t.end()
	}, nil
}

// judges refuses candidates without a verdict, and then asks next, where not nil.
func judges(next func(ctx context.Context, current, candidate *anrt.Detector) error) func(ctx context.Context, current, candidate *anrt.Detector) error {
	return func(ctx context.Context, current, candidate *anrt.Detector) error {
		if info := candidate.Info(); !info.Judges && info.Review == nil {
			return errors.New("it does not say what is anomalous (it has no threshold), which --fail-on-anomaly needs")
		}
		if next == nil {
			return nil
		}
		return next(ctx, current, candidate)
	}
}

// A trial is that of a candidate in the shadow of the model in use.
type trial struct {
	console  *console
	path     string
	watching bool         // and not waiting for the candidate, which is promoted if it may be
	shadow   *anrt.Shadow // nil for none
	over     bool
	promote  sync.WaitGroup
}

func (t *trial) start(ctx context.Context, det *anrt.Detector, o *surveyOptions, g *judge.Gate) (err error) {
	options := &anrt.ShadowOptions{Images: o.shadow.images, Duration: o.shadow.duration, MaxChanged: &o.shadow.changed}
	if !t.watching {
		options.Images, options.Duration = 0, 1 // all there are, and then the rule speaks
	}
	if t.shadow, err = anrt.NewShadow(det, t.path, options); err != nil {
		return err
	}
	if g != nil {
		if err := g.Check(ctx, det, t.shadow.Candidate()); err != nil {
			t.shadow.Close()
			return fmt.Errorf("%s: %w", t.path, err)
		}
	}
	return nil
}

// batch shows the candidate what the model in use has judged.
func (t *trial) batch(ctx context.Context, batch []*judge.Finding) error {
	if t.over {
		return nil
	}
	var images []image.Image
	var live []anrt.Result
	var names []string
	for _, f := range batch {
		if f.Err == nil {
			images, live, names = append(images, f.Image), append(live, f.Result), append(names, f.Path)
		}
	}
	switch {
	case len(images) == 0:
		return nil
	case !t.watching:
		return t.observe(ctx, images, live, names)
	}
	t.shadow.Offer(images, live, names)
	r := t.shadow.Report()
	switch {
	case r.Live == r.Candidate:
		t.over = true
		t.console.notef("%s is in use now: its trial is over", t.path)
	case r.Done:
		t.over = true
		t.print(&r)
		if !r.Promote {
			t.console.notef("not promoted: %s", r.Why)
			return nil
		}
		t.promote.Go(func() {
			if err := t.shadow.Promote(ctx); err != nil {
				t.console.notef("not promoted: %v", err)
				return
			}
			t.console.notef("promoted: %s; anomaly deploy %s makes it stay", r.Why, t.path)
		})
	}
	return nil
}

// observe shows the candidate images, all the same where ctx has ended meanwhile.
func (t *trial) observe(ctx context.Context, images []image.Image, live []anrt.Result, names []string) error {
	graced, cancel := judge.Grace(ctx)
	defer cancel()
	return t.shadow.Observe(graced, images, live, names)
}

// end waits for a promotion and says what there is to say of a trial that goes on.
func (t *trial) end() {
	if t.shadow == nil {
		return
	}
	t.promote.Wait()
	t.shadow.Close()
	if t.over {
		return
	}
	r := t.shadow.Report()
	t.print(&r)
	switch {
	case !r.Done:
		t.console.notef("not decided: %s", r.Why)
	case r.Promote:
		t.console.notef("it could be promoted: %s", r.Why)
	default:
		t.console.notef("it would not be promoted: %s", r.Why)
	}
}

// print says how a candidate differs from the model in use.
func (t *trial) print(r *anrt.ShadowReport) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%.*s) in the shadow of %.*s: %s, %d skipped, %d failed\n", printable(t.path), anrt.HashDigits, r.Candidate, anrt.HashDigits, r.Live, plural(r.Images, "image"), r.Skipped, r.Failed)
	if r.Err != nil {
		fmt.Fprintf(&b, "  the first failure: %v\n", r.Err)
	}
	fmt.Fprintf(&b, "  %d of the verdicts differ: %d anomalous to the new model alone, %d to that in use\n", r.Changed, r.Found, r.Lost)
	if !math.IsNaN(r.Correlation) {
		fmt.Fprintf(&b, "  correlation of the scores %.4f\n", r.Correlation)
	}
	if !math.IsNaN(r.Shift) {
		fmt.Fprintf(&b, "  score/threshold %+.4f on average\n", r.Shift)
	}
	if r.Changed > 0 {
		fmt.Fprintf(&b, "  %-9s  %10s  %-9s  %10s  %s\n", "in use", "score", "new", "score", "path")
	}
	for _, d := range r.Worst[:min(r.Changed, len(r.Worst))] {
		fmt.Fprintf(&b, "  %-9s  %10s  %-9s  %10s  %s\n", label(&d.Live.Anomalous), page.Short(d.Live.Score), label(&d.Candidate.Anomalous), page.Short(d.Candidate.Score), printable(d.Name))
	}
	t.console.notef("%s", strings.TrimSuffix(b.String(), "\n"))
}
