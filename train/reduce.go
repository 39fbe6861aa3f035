package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/corrupt"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/metrics"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// ReduceOptions of [Reduce].
type ReduceOptions struct {
	anrt.SessionOptions        // that compute both detectors
	Seed                uint64 // of artificial defects
}

// A Reduction is what becomes of a detector whose network is written in less than float32.
type Reduction struct {
	Precision    onnxexport.Precision
	Quantization *onnxexport.Quantization // of [onnxexport.Int8] alone
	Loss         Loss
	// Translation is of float32's scores to those of the precision that as many good images
	// are above: what thresholds are set by. Defects is the same of artificial defects.
	Translation, Defects calibrate.Translation

	was, is *anrt.Detector
}

// A Loss says what a precision costs: of images and of artificial defects on them, scores
// in float32 and in less.
type Loss struct {
	Good   int `json:"good"`   // images that the ranges of values were not found on, if there were others
	Pseudo int `json:"pseudo"` // artificial defects on them
	// Apart is how far the scores of an image are apart, once translated, at the median
	// and at the most, in units of the good images' middle half in float32.
	Apart     float64 `json:"apart"`
	ApartMost float64 `json:"apart_most"`
	// Changed is the share of verdicts that change with a translated threshold; nil
	// where the model has none.
	Changed *float64 `json:"changed,omitempty"`
	// AUROC of the artificial defects against the images, in float32 and in less; 0
	// without defects.
	AUROC        float64 `json:"auroc"`
	AUROCReduced float64 `json:"auroc_reduced"`
}

// What a precision may cost: fewer images decide nothing.
const (
	mostChanged = .05 // of the verdicts
	mostFallen  = .02 // of the AUROC
)

// Large says in words what a precision costs too much of, "" for nothing.
func (l *Loss) Large() string {
	switch {
	case l.AUROC-l.AUROCReduced > mostFallen:
		return fmt.Sprintf("the AUROC falls from %.3f to %.3f", l.AUROC, l.AUROCReduced)
	case l.Changed != nil && *l.Changed > mostChanged:
		return fmt.Sprintf("%.1f %% of the verdicts change", 100**l.Changed)
	}
	return ""
}

const (
	rangeImages   = 64 // that ranges of values are found on
	comparedMost  = 64 // others that scores are compared on
	comparedLeast = 8  // of fewer, those of the ranges are taken too
	rangeBatch    = 2
)

// Reduce tries a detector m of float32, of profile detector and input uint8, in a
// precision, on images [N,H,W,C] of the network's size that it was trained on. Ranges of
// values are found on every other image; on the others, good and with artificial
// defects, both detectors are compared. Neither m nor the images are changed. Close
// the Reduction when it is no longer needed.
func Reduce(ctx context.Context, m *onnxexport.Model, p onnxexport.Precision, pixels []uint8, o *ReduceOptions) (r *Reduction, err error) {
	if o == nil {
		o = &ReduceOptions{}
	}
	net, _, err := m.Network()
	if err != nil {
		return nil, err
	}
	channels, height, width := net.InputSize()
	size := channels * height * width
	if len(pixels) == 0 || len(pixels)%size != 0 {
		return nil, fmt.Errorf("%w: got %d bytes, want images of %d", ErrSettings, len(pixels), size)
	}
	ranged, compared := split(len(pixels) / size)
	image := func(i int) []uint8 { return pixels[i*size:][:size] }
	r = &Reduction{Precision: p}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	b, err := onnxexport.Marshal(m)
	if err != nil {
		return r, err
	}
	if r.was, err = anrt.OpenBytes(b, &anrt.Options{SessionOptions: o.SessionOptions}); err != nil {
		return r, err
	}
	reduced, err := onnxexport.Reopen(b)
	if err != nil {
		return r, err
	}
	quiet := o.SessionOptions
	quiet.Logf = nil
	if p == onnxexport.Int8 {
		if r.Quantization, err = quantize(ctx, b, ranged, image, []int{height, width, channels}, &quiet); err != nil {
			return r, err
		}
	}
	if err := reduced.SetPrecision(p, r.Quantization); err != nil {
		return r, err
	}
	if b, err = onnxexport.Marshal(reduced); err != nil {
		return r, err
	}
	if r.is, err = anrt.OpenBytes(b, &anrt.Options{SessionOptions: quiet}); err != nil {
		return r, err
	}
	var rows []uint8
	for _, i := range compared {
		rows = append(rows, image(i)...)
	}
	pseudo, err := defects(rows, height, width, channels, o.Seed)
	if err != nil {
		return r, err
	}
	threshold, _, err := m.Thresholds()
	if err != nil {
		return r, err
	}
	good := func(i int) []uint8 { return image(compared[i]) }
	bad := func(i int) []uint8 { return pseudo[i] }
	var was, is [2][]float64 // scores of good images and of defects
	for i, side := range []struct {
		n     int
		image func(i int) []uint8
	}{{len(compared), good}, {len(pseudo), bad}} {
		if was[i], err = scores(ctx, r.was, side.n, side.image); err != nil {
			return r, err
		}
		if is[i], err = scores(ctx, r.is, side.n, side.image); err != nil {
			return r, err
		}
	}
	r.Translation = calibrate.NewTranslation(was[0], is[0])
	if r.Defects = r.Translation; len(pseudo) > 0 {
		r.Defects = calibrate.NewTranslation(was[1], is[1])
	}
	r.Loss, err = lossOf(was, is, [2]calibrate.Translation{r.Translation, r.Defects}, threshold)
	return r, err
}

// Detectors returns both, in float32 and in the precision. They belong to the Reduction.
func (r *Reduction) Detectors() (was, is *anrt.Detector) { return r.was, r.is }

// Close closes the detectors.
func (r *Reduction) Close() error {
	var errs []error
	for _, d := range []*anrt.Detector{r.was, r.is} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// split returns which of n images ranges are found on, and on which others scores are
// compared.
func split(n int) (ranged, compared []int) {
	for i := range n {
		if i%2 == 0 {
			ranged = append(ranged, i)
		} else {
			compared = append(compared, i)
		}
	}
	if len(compared) < comparedLeast {
		compared = nil
		for i := range n {
			compared = append(compared, i)
		}
	}
	return spread(ranged, rangeImages), spread(compared, comparedMost)
}

// spread returns at most so many of xs, evenly.
func spread(xs []int, most int) []int {
	if len(xs) <= most {
		return xs
	}
	out := make([]int, most)
	for i := range out {
		out[i] = xs[i*len(xs)/most]
	}
	return out
}

// defects returns the images that artificial defects can be put on, with one each.
func defects(rows []uint8, height, width, channels int, seed uint64) ([][]uint8, error) {
	if min(height, width) < corrupt.LeastSide {
		return nil, nil
	}
	g, err := corrupt.New(rows, height, width, channels, &corrupt.Options{Seed: seed})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	var made [][]uint8
	n := len(rows) / (height * width * channels)
	for i := range max(n, min(pseudoDefects, 4*n)) {
		pixels := make([]uint8, height*width*channels)
		if g.Defect(pixels, nil, i%n, uint64(i/n)) {
			made = append(made, pixels)
		}
	}
	return made, nil
}

// lossOf compares scores of good images and of defects, each of which has its translation.
func lossOf(was, is [2][]float64, translations [2]calibrate.Translation, threshold float32) (l Loss, err error) {
	l.Good, l.Pseudo = len(was[0]), len(was[1])
	sorted := slices.Sorted(slices.Values(was[0]))
	unit := calibrate.Quantile(sorted, .95) - calibrate.Quantile(sorted, .05)
	var apart []float64
	changed := 0
	for i := range was {
		changed += translations[0].Changed(was[i], is[i], float64(threshold))
		for j, x := range was[i] {
			y := is[i][j]
			if math.IsNaN(y) || math.IsInf(y, 0) {
				return l, fmt.Errorf("train: got a score of %v in the precision, want a finite number", y)
			}
			apart = append(apart, math.Abs(y-translations[i].Of(x))/max(unit, math.SmallestNonzeroFloat32))
		}
	}
	slices.Sort(apart)
	l.Apart, l.ApartMost = apart[len(apart)/2], apart[len(apart)-1]
	if threshold == threshold {
		share := float64(changed) / float64(len(apart))
		l.Changed = &share
	}
	if l.Pseudo == 0 {
		return l, nil
	}
	if l.AUROC, err = metrics.AUROC(metrics.Labelled(was[0], was[1])); err != nil {
		return l, fmt.Errorf("train: %w", err)
	}
	if l.AUROCReduced, err = metrics.AUROC(metrics.Labelled(is[0], is[1])); err != nil {
		return l, fmt.Errorf("train: %w", err)
	}
	return l, nil
}

// quantize finds the ranges of the values that 8 bits are to hold, on some images of a
// shape [H,W,C].
func quantize(ctx context.Context, model []byte, ranged []int, image func(i int) []uint8, shape []int, o *anrt.SessionOptions) (*onnxexport.Quantization, error) {
	m, err := onnxexport.Reopen(model)
	if err != nil {
		return nil, err
	}
	names := m.Quantized()
	if len(names) == 0 {
		return nil, fmt.Errorf("train: precision %s: the network has no convolutions of constant weights", onnxexport.Int8)
	}
	for _, name := range names {
		m.Graph.Output(name, m.Graph.Lookup(name))
	}
	if model, err = onnxexport.Marshal(m); err != nil {
		return nil, err
	}
	s, err := anrt.OpenSession(model, o, names...)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	each := func(see func(value int, xs []float32)) error {
		for batch := range slices.Chunk(ranged, rangeBatch) {
			var pixels []uint8
			for _, i := range batch {
				pixels = append(pixels, image(i)...)
			}
			out, err := s.Run(ctx, map[string]*graph.Tensor{m.Graph.Inputs()[0].Name(): graph.NewTensor(pixels, append([]int{len(batch)}, shape...)...)}, names...)
			if err != nil {
				return err
			}
			for i, name := range names {
				see(i, graph.Data[float32](out[name]))
			}
		}
		return nil
	}
	seen := make([]histogram, len(names))
	for i := range seen {
		seen[i].low, seen[i].high = math.Inf(1), math.Inf(-1)
	}
	if err := each(func(i int, xs []float32) { seen[i].widen(xs) }); err != nil {
		return nil, err
	}
	if err := each(func(i int, xs []float32) { seen[i].add(xs) }); err != nil {
		return nil, err
	}
	q := &onnxexport.Quantization{Rule: "mse", Images: len(ranged)}
	for i := range seen {
		q.Ranges = append(q.Ranges, seen[i].best())
	}
	return q, nil
}

// A histogram says how often a value of a network has which numbers.
type histogram struct {
	low, high float64
	counts    [2048]int
}

func (h *histogram) widen(xs []float32) {
	for _, x := range xs {
		h.low, h.high = min(h.low, float64(x)), max(h.high, float64(x))
	}
}

func (h *histogram) width() float64 { return max(h.high-h.low, 1e-12) / float64(len(h.counts)) }

func (h *histogram) add(xs []float32) {
	by := 1 / h.width()
	for _, x := range xs {
		h.counts[min(int((float64(x)-h.low)*by), len(h.counts)-1)]++
	}
}

// best returns the range that 8 bits hold the numbers best by, in the mean of the
// squared errors: a narrower one than theirs rounds all less, and cuts a few off.
func (h *histogram) best() onnxexport.Range {
	const steps, least = 40, .2 // of the whole range
	lo, hi := min(h.low, 0), max(h.high, 0)
	for range 2 { // ends in turn
		for _, end := range []*float64{&hi, &lo} {
			whole, best, most := *end, *end, math.Inf(1)
			for i := range steps {
				*end = whole * (1 - (1-least)*float64(i)/steps)
				if e := h.err(lo, hi); e < most {
					best, most = *end, e
				}
			}
			*end = best
		}
	}
	return onnxexport.Range{Low: float32(lo), High: float32(hi)}
}

// err is the sum of the squares of what 8 bits of a range are off.
func (h *histogram) err(lo, hi float64) float64 {
	step, width, sum := (hi-lo)/255, h.width(), 0.
	for i, n := range h.counts {
		if n == 0 {
			continue
		}
		x := h.low + (float64(i)+.5)*width
		switch {
		case x < lo:
			sum += float64(n) * (lo - x) * (lo - x)
		case x > hi:
			sum += float64(n) * (x - hi) * (x - hi)
		default:
			sum += float64(n) * step * step / 12
		}
	}
	return sum
}
