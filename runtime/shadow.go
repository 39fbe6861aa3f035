package runtime

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"slices"
	"sync"
	"time"
)

// ShadowOptions are options of [NewShadow]; nil is all defaults.
type ShadowOptions struct {
	// Images is how many images are compared before there is a decision; 0 is
	// 200, or no limit where Duration sets one.
	Images int
	// Duration, where not 0, is how long to compare: what is reached first counts.
	Duration time.Duration
	// MaxChanged is the share of verdicts that may differ for the candidate to be
	// promoted, in [0,1]; nil is 0.01.
	MaxChanged *float64
	// Worst is how many disagreements the report lists; nil is 10.
	Worst *int
}

func (o *ShadowOptions) withDefaults() ShadowOptions {
	c := ShadowOptions{}
	if o != nil {
		c = *o
	}
	if c.Images == 0 && c.Duration == 0 {
		c.Images = 200
	}
	share, worst := .01, 10
	c.MaxChanged, c.Worst = copied(cmp.Or(c.MaxChanged, &share)), copied(cmp.Or(c.Worst, &worst))
	return c
}

func (o *ShadowOptions) validate() error {
	switch {
	case o.Images < 0:
		return fmt.Errorf("%w: shadow: images: got %d, want 0 or more", ErrInput, o.Images)
	case o.Duration < 0:
		return fmt.Errorf("%w: shadow: duration: got %v, want 0 or more", ErrInput, o.Duration)
	case !(*o.MaxChanged >= 0 && *o.MaxChanged <= 1):
		return fmt.Errorf("%w: shadow: share of changed verdicts: got %v, want 0 to 1", ErrInput, *o.MaxChanged)
	case *o.Worst < 0:
		return fmt.Errorf("%w: shadow: disagreements: got %d, want 0 or more", ErrInput, *o.Worst)
	}
	return nil
}

// A Shadow runs a candidate beside the model in use and notes how their results
// differ. The results that count are those of the model in use.
//
// It is safe for concurrent use.
type Shadow struct {
	live, candidate *Detector
	model           []byte // the candidate's
	options         ShadowOptions
	busy            chan struct{} // holds a value while what was offered is compared, and after Close
	closing         sync.Once

	mu      sync.Mutex
	started time.Time
	report  ShadowReport // but for its last three fields
	moments moments      // of the scores, live and the candidate's
	shift   float64      // sum over shifts images
	shifts  int
	verdict int // images that both gave a verdict
}

// A ShadowReport says how the results of two models differ.
type ShadowReport struct {
	Live, Candidate string // hashes, as in [ModelInfo]

	Images  int   // compared
	Skipped int   // images that were offered while the candidate was at work
	Failed  int   // images that the candidate could not compute
	Err     error // why, of the first of them

	Changed int // images with another verdict: Found and Lost
	Found   int // anomalous to the candidate alone
	Lost    int // anomalous to the model in use alone

	Correlation float64 // Pearson's, of the scores; NaN where one of the models gave one score only
	Shift       float64 // mean of score/threshold, the candidate's less that of the model in use; NaN where a threshold is not above 0

	Worst []Disagreement // those with another verdict first, then by the shift

	Done    bool   // enough has been compared
	Promote bool   // the rule lets the candidate take over
	Why     string // it does, or does not
}

// A Disagreement is what two models find in one image, without the maps.
type Disagreement struct {
	Name            string
	Live, Candidate Result
}

func (d *Disagreement) judged() bool { return d.Live.Judged && d.Candidate.Judged }

func (d *Disagreement) changed() bool {
	return d.judged() && d.Live.Anomalous != d.Candidate.Anomalous
}

// shift is NaN where the scores cannot be compared.
func (d *Disagreement) shift() float64 { return margin(&d.Candidate) - margin(&d.Live) }

// margin is a score in units of its threshold.
func margin(r *Result) float64 {
	if r.Threshold == nil || !(*r.Threshold > 0) {
		return math.NaN()
	}
	return float64(r.Score) / float64(*r.Threshold)
}

// NewShadow opens the model in a file, with the options of live, checks its
// self-test, and returns its shadow beside live. Close it when it has done its
// duty; live stays open.
func NewShadow(live *Detector, path string, o *ShadowOptions) (*Shadow, error) {
	options := o.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	f, err := openFile(path, live.options.maxMemory())
	if err != nil {
		return nil, err
	}
	b, err := f.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
	}
	candidate, err := open(context.Background(), f, &live.options, caller())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := &Shadow{live: live, candidate: candidate, model: b, options: options, busy: make(chan struct{}, 1), started: time.Now()}
	s.report.Live, s.report.Candidate = live.Info().Hash, candidate.Info().Hash
	if s.report.Live == s.report.Candidate {
		err = fmt.Errorf("%w: is the one in use", ErrModel)
	} else {
		_, err = candidate.Verify(context.Background())
	}
	if err != nil {
		candidate.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Candidate returns the detector of the model that is tried. Do not close it.
func (s *Shadow) Candidate() *Detector { return s.candidate }

// Detect is [Detector.Detect] of the model in use, whose results it gives to
// [Shadow.Offer]: unlike there, images must stay unchanged after the call.
func (s *Shadow) Detect(ctx context.Context, imgs ...image.Image) ([]Result, error) {
	results, err := s.live.Detect(ctx, imgs...)
	if err == nil && len(imgs) > 0 {
		s.Offer(imgs, slices.Clone(results), nil)
	}
	return results, err
}

// Offer is [Shadow.Observe] beside the caller, who does not wait and leaves all that
// is given unchanged. While the candidate is at work on what was offered before,
// images are skipped and counted.
func (s *Shadow) Offer(imgs []image.Image, live []Result, names []string) {
	select {
	case s.busy <- struct{}{}:
		go func() {
			defer func() { <-s.busy }()
			guarded(func() error { return s.Observe(context.Background(), imgs, live, names) }) // its errors are the report's too
		}()
	default:
		s.mu.Lock()
		s.report.Skipped += len(imgs)
		s.mu.Unlock()
	}
}

// Observe has the candidate compute images and compares with what the model in use
// found in them. Names are for the report; nil numbers them. Images that the
// candidate cannot compute are counted; the error is that of a ctx that ended or a
// Shadow that is closed.
//
// When live's results are those of another model than before, which was swapped
// in, the comparison begins anew.
func (s *Shadow) Observe(ctx context.Context, imgs []image.Image, live []Result, names []string) error {
	if len(live) != len(imgs) || names != nil && len(names) != len(imgs) {
		return fmt.Errorf("%w: shadow: got %d results and %d names for %d images", ErrInput, len(live), len(names), len(imgs))
	}
	results, err := s.candidate.Detect(ctx, imgs...)
	if err != nil && len(imgs) > 1 && ctx.Err() == nil { // one of them may be the reason
		for i := range imgs {
			var name []string
			if names != nil {
				name = names[i : i+1]
			}
			if err := s.Observe(ctx, imgs[i:i+1], live[i:i+1], name); err != nil {
				return err
			}
		}
		return nil
	}
	if s.candidate.closing.Err() != nil {
		return ErrClosed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(live) > 0 && live[0].Model != s.report.Live {
		s.report = ShadowReport{Live: live[0].Model, Candidate: s.report.Candidate}
		s.moments, s.shift, s.shifts, s.verdict, s.started = moments{}, 0, 0, 0, time.Now()
	}
	if err != nil {
		s.report.Failed += len(imgs)
		s.report.Err = cmp.Or(s.report.Err, err)
		return nil
	}
	for i := range results {
		d := Disagreement{Live: live[i], Candidate: results[i]}
		d.Live.Map, d.Live.Reconstruction, d.Candidate.Map, d.Candidate.Reconstruction = nil, nil, nil, nil
		if names != nil {
			d.Name = names[i]
		} else {
			d.Name = fmt.Sprintf("image %d", s.report.Images+1)
		}
		s.add(d)
	}
	return nil
}

// add takes note of one image.
func (s *Shadow) add(d Disagreement) {
	r := &s.report
	r.Images++
	s.moments.add(float64(d.Live.Score), float64(d.Candidate.Score))
	if d.judged() {
		s.verdict++
	}
	if shift := d.shift(); !math.IsNaN(shift) {
		s.shift += shift
		s.shifts++
	}
	if d.changed() {
		r.Changed++
		if d.Candidate.Anomalous {
			r.Found++
		} else {
			r.Lost++
		}
	}
	r.Worst = append(r.Worst, d)
	slices.SortStableFunc(r.Worst, func(a, b Disagreement) int {
		if a.changed() != b.changed() {
			if a.changed() {
				return -1
			}
			return 1
		}
		return cmp.Compare(math.Abs(b.shift()), math.Abs(a.shift())) // NaN is least
	})
	r.Worst = r.Worst[:min(len(r.Worst), *s.options.Worst)]
}

// Report says how the models differ so far. The candidate is promoted once enough
// images are compared if it computed all of them, both models gave verdicts, and
// at most the share ShadowOptions.MaxChanged of those differ.
func (s *Shadow) Report() ShadowReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, r := &s.options, s.report
	r.Worst = slices.Clone(r.Worst)
	r.Correlation, r.Shift = s.moments.correlation(), math.NaN()
	if s.shifts > 0 {
		r.Shift = s.shift / float64(s.shifts)
	}
	r.Done = o.Images > 0 && r.Images+r.Failed >= o.Images || o.Duration > 0 && time.Since(s.started) >= o.Duration
	allowed := int(*o.MaxChanged * float64(s.verdict))
	switch {
	case !r.Done && o.Images > 0:
		r.Why = fmt.Sprintf("%d of %d images compared", r.Images, o.Images)
	case !r.Done:
		r.Why = fmt.Sprintf("%d images compared in %v of %v", r.Images, time.Since(s.started).Round(time.Second), o.Duration)
	case r.Failed > 0:
		r.Why = fmt.Sprintf("%d of %d images failed, want none", r.Failed, r.Images+r.Failed)
	case r.Images == 0:
		r.Why = "no image was compared"
	case s.verdict < r.Images:
		r.Why = "not both models say what is anomalous, and there are no verdicts to compare"
	case r.Changed > allowed:
		r.Why = fmt.Sprintf("%d of %d verdicts differ, want at most %d", r.Changed, s.verdict, allowed)
	default:
		r.Promote = true
		r.Why = fmt.Sprintf("%d of %d verdicts differ, at most %d may", r.Changed, s.verdict, allowed)
	}
	return r
}

// Promote makes the candidate the model in use, as [Detector.Swap] does, if the
// report says so: without regard to what has become of its file.
func (s *Shadow) Promote(ctx context.Context) error {
	if r := s.Report(); !r.Promote {
		return fmt.Errorf("%w: shadow: %s", ErrModel, r.Why)
	}
	f, err := readModel(s.model)
	if err != nil {
		return err
	}
	return s.live.swap(ctx, f, s.live.verified(nil))
}

// Close waits for the comparison in hand and frees the candidate. The report
// stays, and Promote can still be called; what is offered is skipped.
func (s *Shadow) Close() (err error) {
	s.closing.Do(func() {
		s.busy <- struct{}{}
		err = s.candidate.Close()
	})
	return err
}

// moments are those of pairs of numbers, kept so that large means cost no digits
// (Welford, "Note on a method for calculating corrected sums of squares and
// products", 1962).
type moments struct {
	n, meanX, meanY, xx, yy, xy float64
}

func (m *moments) add(x, y float64) {
	m.n++
	dx, dy := x-m.meanX, y-m.meanY
	m.meanX += dx / m.n
	m.meanY += dy / m.n
	m.xx += dx * (x - m.meanX)
	m.yy += dy * (y - m.meanY)
	m.xy += dx * (y - m.meanY)
}

func (m *moments) correlation() float64 { return m.xy / math.Sqrt(m.xx*m.yy) }
