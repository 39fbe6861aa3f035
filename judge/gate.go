package judge

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/anomaly-go/anomaly/runtime"
)

// A Gate compares candidates with the model in use on a golden set: labelled images
// that decide whether a model may come into use. It is used by one goroutine at a time.
type Gate struct {
	// Measured, where not nil, gets the figures of each candidate, and of the model in
	// use, nil if there is none, before the gate decides.
	Measured func(current, candidate *GoldenResult)
	// MostFalseReject and LeastRecall, in [0,1], are limits that candidates are held to
	// whatever the model in use does; nil are none.
	MostFalseReject, LeastRecall *float64

	dir     string
	samples []dataset.Sample

	current GoldenResult // of the model that was in use last
	hash    string       // of that model; "" for none
}

// OpenGate reads what is in a golden set, by decoding: folders, good and others of any
// names; a data set's test images; or a folder of good ones.
func OpenGate(dir string, decoding *dataset.Decoding) (*Gate, error) {
	if info, err := os.Stat(filepath.Join(dir, dataset.Good)); err == nil && info.IsDir() {
		samples, err := goldenFolders(dir, decoding)
		return &Gate{dir: dir, samples: samples}, err
	}
	set, err := dataset.Open(dir, &dataset.Options{Decoding: decoding})
	if err != nil {
		return nil, err
	}
	g := &Gate{dir: dir, samples: set.Test}
	if len(g.samples) == 0 {
		g.samples = set.Train
	}
	return g, nil
}

// goldenFolders reads a folder for each kind.
func goldenFolders(dir string, decoding *dataset.Decoding) ([]dataset.Sample, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []dataset.Sample
	for _, e := range entries {
		kind := e.Name()
		if info, err := os.Stat(filepath.Join(dir, kind)); err != nil || !info.IsDir() || strings.HasPrefix(kind, ".") {
			continue
		}
		samples, err := (&dataset.Options{Decoding: decoding}).Find(filepath.Join(dir, kind))
		if err != nil {
			return nil, err
		}
		for i := range samples {
			samples[i].Kind, samples[i].Anomalous = kind, kind != dataset.Good
		}
		all = append(all, samples...)
	}
	return all, nil
}

// beyond returns which limit a candidate is beyond, "" if none.
func (g *Gate) beyond(r *GoldenResult) string {
	limited := func(does, what string, n, of int, limit *float64, over func(share float64) bool) string {
		switch {
		case limit == nil:
			return ""
		case !r.Judges:
			return "it does not say what is anomalous (it has no threshold)"
		case of == 0:
			return fmt.Sprintf("there is no %s image to see what share it %s", what, does)
		case over(float64(n) / float64(of)):
			return fmt.Sprintf("it %s %d of %d %s images, the limit is %g", does, n, of, what, *limit)
		}
		return ""
	}
	return cmp.Or(
		limited("finds", "anomalous", r.Anomalous-r.Missed-r.failedAnomalous, r.Anomalous, g.LeastRecall, func(share float64) bool { return share < *g.LeastRecall }),
		limited("rejects", "good", r.FalseRejects, r.Good, g.MostFalseReject, func(share float64) bool { return share > *g.MostFalseReject }),
	)
}

// A GoldenResult is what a model makes of a golden set.
type GoldenResult struct {
	Good, Anomalous      int // images that there are
	FalseRejects, Missed int
	Judges               bool // whether there are verdicts
	Failed               int
	AUROC                float64 // NaN where there are no images of both classes
	Err                  error   // of the first image that failed

	failedAnomalous int
}

func (r *GoldenResult) wrong() int { return r.FalseRejects + r.Missed }

// measure has a model judge the golden set.
func (g *Gate) measure(ctx context.Context, det *runtime.Detector) (GoldenResult, error) {
	r := GoldenResult{Judges: det.Info().Judges}
	var scores []float64
	var anomalous []bool
	err := Run(ctx, det, g.samples, nil, func(f *Finding) error {
		if f.Sample.Anomalous {
			r.Anomalous++
		} else {
			r.Good++
		}
		switch {
		case f.Err != nil:
			if r.Failed++; f.Sample.Anomalous {
				r.failedAnomalous++
			}
			if r.Err == nil {
				r.Err = fmt.Errorf("%s: %w", f.Sample.Path, f.Err)
			}
			return nil
		case f.Anomalous == nil:
		case f.Sample.Anomalous && !*f.Anomalous:
			r.Missed++
		case !f.Sample.Anomalous && *f.Anomalous:
			r.FalseRejects++
		}
		scores, anomalous = append(scores, float64(f.Score)), append(anomalous, f.Sample.Anomalous)
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.AUROC, err = metrics.AUROC(scores, anomalous); err != nil {
		r.AUROC = math.NaN() // one class only: nothing else can be wrong with them
	}
	return r, nil
}

// aurocTol is how much lower an AUROC may be: less is a few pairs of images.
const aurocTol = .01

// worse returns why a candidate does worse than the model in use, "" if it does not.
func (r *GoldenResult) worse(candidate *GoldenResult) string {
	switch n := candidate; {
	case n.Failed > r.Failed:
		return fmt.Sprintf("it cannot compute %d of %d images (%v), the model in use %d", n.Failed, n.Good+n.Anomalous, n.Err, r.Failed)
	case r.Judges && !n.Judges:
		return "it does not say what is anomalous (it has no threshold), the model in use does"
	case n.Missed > r.Missed && r.Judges:
		return fmt.Sprintf("it misses %d of %d anomalous images, the model in use %d", n.Missed, n.Anomalous, r.Missed)
	case n.wrong() > r.wrong() && r.Judges:
		return fmt.Sprintf("%d of %d verdicts are wrong, of the model in use %d", n.wrong(), n.Good+n.Anomalous, r.wrong())
	case n.AUROC < r.AUROC-aurocTol: // false for NaN
		return fmt.Sprintf("its AUROC is %.4f, of the model in use %.4f", n.AUROC, r.AUROC)
	}
	return ""
}

// Check refuses, by an error, a candidate that does worse than the model in use: it
// cannot compute an image that the other can, misses more of the anomalous images,
// gives more wrong verdicts, or has an AUROC lower by more than 0.01; or one that is
// beyond a limit. Without a current model, nil, only limits can refuse it. It is a [runtime.WatchOptions] Gate.
func (g *Gate) Check(ctx context.Context, current, candidate *runtime.Detector) error {
	if current != nil {
		if hash := current.Info().Hash; hash != g.hash {
			r, err := g.measure(ctx, current)
			if err != nil {
				return err
			}
			g.current, g.hash = r, hash
		}
	}
	r := g.current
	if current != candidate { // else it is in use already
		var err error
		if r, err = g.measure(ctx, candidate); err != nil {
			return err
		}
	}
	in := &g.current
	if current == nil {
		in = nil
	}
	if g.Measured != nil {
		g.Measured(in, &r)
	}
	if why := g.beyond(&r); why != "" {
		return fmt.Errorf("refused on the golden set %s: %s", g.dir, why)
	}
	if in == nil {
		return nil
	}
	if why := in.worse(&r); why != "" {
		return fmt.Errorf("refused on the golden set %s: %s", g.dir, why)
	}
	return nil
}
