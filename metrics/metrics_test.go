package metrics

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/internal/label"
)

// bruteTol: the definitions below sum at most some hundred float64 terms of
// order 1 in another order than the sweep.
const bruteTol = 1e-12

func near(a, b float64) bool { return math.Abs(a-b) <= bruteTol }

func TestImageMetrics(t *testing.T) {
	const y, n = true, false
	tests := map[string]struct {
		scores            []float64
		anomalous         []bool
		auroc, ap, f1, at float64
	}{
		"perfect":       {[]float64{1, 2, 3, 4}, []bool{n, n, y, y}, 1, 1, 1, 3},
		"inverted":      {[]float64{4, 3, 2, 1}, []bool{n, n, y, y}, 0, (1./3 + 2./4) / 2, 2. / 3, 1},
		"all tied":      {[]float64{5, 5, 5, 5}, []bool{n, n, n, y}, .5, .25, .4, 5},
		"tie across":    {[]float64{1, 2, 2, 3}, []bool{n, n, y, y}, .875, (1 + 2./3) / 2, .8, 2},
		"scikit-learn":  {[]float64{.1, .4, .35, .8}, []bool{n, n, y, y}, .75, 5. / 6, .8, .35},
		"best f1 twice": {[]float64{4, 3, 2, 1}, []bool{y, n, n, y}, .5, .75, 2. / 3, 4},
		"infinite":      {[]float64{math.Inf(-1), 0, math.Inf(1)}, []bool{n, n, y}, 1, 1, 1, math.Inf(1)},
		"signed zeros":  {[]float64{math.Copysign(0, -1), 0}, []bool{n, y}, .5, .5, 2. / 3, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			auroc, err := AUROC(tc.scores, tc.anomalous)
			if err != nil || !near(auroc, tc.auroc) {
				t.Errorf("AUROC: got %v, %v, want %v", auroc, err, tc.auroc)
			}
			ap, err := AveragePrecision(tc.scores, tc.anomalous)
			if err != nil || !near(ap, tc.ap) {
				t.Errorf("AP: got %v, %v, want %v", ap, err, tc.ap)
			}
			f1, at, err := F1Max(tc.scores, tc.anomalous)
			if err != nil || !near(f1, tc.f1) || at != tc.at {
				t.Errorf("F1max: got %v at %v, %v, want %v at %v", f1, at, err, tc.f1, tc.at)
			}
		})
	}
}

func TestImageErrors(t *testing.T) {
	tests := map[string]struct {
		scores    []float64
		anomalous []bool
		oneClass  bool
		want      string
	}{
		"lengths":       {[]float64{1, 2, 3}, []bool{true, false}, false, "metrics: got 3 scores and 2 labels, want as many of each"},
		"NaN":           {[]float64{1, math.NaN()}, []bool{true, false}, false, "metrics: score 1 is NaN"},
		"only good":     {[]float64{1, 2}, []bool{false, false}, true, "metrics: got 2 good and 0 anomalous samples: " + ErrOneClass.Error()},
		"all anomalous": {[]float64{1, 2}, []bool{true, true}, true, "metrics: got 0 good and 2 anomalous samples: " + ErrOneClass.Error()},
		"none":          {nil, nil, true, "metrics: got 0 good and 0 anomalous samples: " + ErrOneClass.Error()},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, auroc := AUROC(tc.scores, tc.anomalous)
			_, ap := AveragePrecision(tc.scores, tc.anomalous)
			_, _, f1 := F1Max(tc.scores, tc.anomalous)
			for _, err := range []error{auroc, ap, f1} {
				if err == nil || err.Error() != tc.want || errors.Is(err, ErrOneClass) != tc.oneClass {
					t.Errorf("got %v, want %q", err, tc.want)
				}
			}
		})
	}
}

func TestPixelsErrors(t *testing.T) {
	nan := float32(math.NaN())
	tests := map[string]struct {
		scores        []float32
		mask          []bool
		height, width int
		want          string
	}{
		"sides":  {nil, nil, 0, 3, "metrics: got a map of 0x3, want positive sides"},
		"scores": {make([]float32, 5), nil, 2, 3, "metrics: got 5 scores, want 2x3"},
		"mask":   {make([]float32, 6), make([]bool, 4), 2, 3, "metrics: got a mask of 4 pixels, want 2x3"},
		"NaN":    {[]float32{0, 0, 0, 0, 0, nan}, nil, 2, 3, "metrics: score at row 1, column 2 is NaN"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var p Pixels
			if err := p.Add(tc.scores, tc.mask, tc.height, tc.width); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if p.nGood != 0 || p.good != nil || p.bad != nil {
				t.Errorf("the failed Add left %+v", p)
			}
		})
	}

	var p Pixels
	if _, err := p.AUROC(); !errors.Is(err, ErrOneClass) {
		t.Errorf("empty set: got %v, want ErrOneClass", err)
	}
	if err := p.Add(make([]float32, 4), nil, 2, 2); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AveragePrecision(); !errors.Is(err, ErrOneClass) {
		t.Errorf("good pixels only: got %v, want ErrOneClass", err)
	}
	if _, _, err := p.F1Max(); !errors.Is(err, ErrOneClass) {
		t.Errorf("good pixels only: got %v, want ErrOneClass", err)
	}
	var bad Pixels
	if err := bad.Add(make([]float32, 1), []bool{true}, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := bad.AUPRO(0.3); !errors.Is(err, ErrOneClass) {
		t.Errorf("anomalous pixels only: got %v, want ErrOneClass", err)
	}
	for _, limit := range []float64{0, -1, 1.01, math.NaN()} {
		if _, err := p.AUPRO(limit); err == nil || errors.Is(err, ErrOneClass) {
			t.Errorf("limit %v: got %v, want an error about it", limit, err)
		}
	}
}

// A testSet is a few small maps, full of ties, with both classes present.
type testSet struct {
	scores        [][]float32
	masks         [][]bool
	height, width int
}

func randomSet(rng *rand.Rand) testSet {
	s := testSet{height: 1 + rng.IntN(7), width: 2 + rng.IntN(6)}
	levels := 1 + rng.IntN(8)
	density := rng.Float64()
	for range 1 + rng.IntN(4) {
		scores := make([]float32, s.height*s.width)
		mask := make([]bool, len(scores))
		for i := range scores {
			scores[i] = float32(rng.IntN(levels)) - 3
			mask[i] = rng.Float64() < density
		}
		s.scores, s.masks = append(s.scores, scores), append(s.masks, mask)
	}
	s.masks[0][0], s.masks[0][1] = true, false
	return s
}

func (s testSet) pixels(t *testing.T, transform func(float32) float32) *Pixels {
	t.Helper()
	var p Pixels
	for i, scores := range s.scores {
		moved := make([]float32, len(scores))
		for j, v := range scores {
			moved[j] = transform(v)
		}
		if err := p.Add(moved, s.masks[i], s.height, s.width); err != nil {
			t.Fatal(err)
		}
	}
	return &p
}

func identity(v float32) float32 { return v }

// TestPixelsEqualDefinitions compares with the definitions written out: every
// pair for AUROC, every threshold for the others, on sets full of ties.
func TestPixelsEqualDefinitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for trial := range 300 {
		s := randomSet(rng)
		p := s.pixels(t, identity)
		want := s.define()

		auroc, err := p.AUROC()
		if err != nil || !near(auroc, want.auroc) {
			t.Fatalf("trial %d: AUROC: got %v, %v, want %v", trial, auroc, err, want.auroc)
		}
		ap, err := p.AveragePrecision()
		if err != nil || !near(ap, want.ap) {
			t.Fatalf("trial %d: AP: got %v, %v, want %v", trial, ap, err, want.ap)
		}
		f1, at, err := p.F1Max()
		if err != nil || !near(f1, want.f1) || at != want.at {
			t.Fatalf("trial %d: F1max: got %v at %v, %v, want %v at %v", trial, f1, at, err, want.f1, want.at)
		}
		for _, limit := range []float64{.05, .3, 1} {
			aupro, err := p.AUPRO(limit)
			if err != nil || !near(aupro, want.aupro(limit)) {
				t.Fatalf("trial %d: AU-PRO@%v: got %v, %v, want %v", trial, limit, aupro, err, want.aupro(limit))
			}
		}
	}
}

// TestPixelsEqualImages: over the same samples the two sweeps are one, to the bit.
func TestPixelsEqualImages(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		s := randomSet(rng)
		p := s.pixels(t, identity)
		var scores []float64
		for _, v := range slices.Concat(s.scores...) {
			scores = append(scores, float64(v))
		}
		anomalous := slices.Concat(s.masks...)
		type figures struct{ auroc, ap, f1, at float64 }
		var got, want figures
		var errs [6]error
		got.auroc, errs[0] = p.AUROC()
		got.ap, errs[1] = p.AveragePrecision()
		got.f1, got.at, errs[2] = p.F1Max()
		want.auroc, errs[3] = AUROC(scores, anomalous)
		want.ap, errs[4] = AveragePrecision(scores, anomalous)
		want.f1, want.at, errs[5] = F1Max(scores, anomalous)
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

// TestInvariance: a strictly increasing transform of the scores changes no
// figure, nor does the order of the maps change more than rounding.
func TestInvariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	figures := func(p *Pixels) (f [4]float64) {
		var errs [4]error
		f[0], errs[0] = p.AUROC()
		f[1], errs[1] = p.AveragePrecision()
		f[2], _, errs[2] = p.F1Max()
		f[3], errs[3] = p.AUPRO(.3)
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		return f
	}
	transforms := map[string]func(float32) float32{
		"affine":   func(v float32) float32 { return 2*v + 100 },
		"exp":      func(v float32) float32 { return float32(math.Exp(float64(v))) },
		"cube":     func(v float32) float32 { return v * v * v },
		"negative": func(v float32) float32 { return v - 1000 },
	}
	for range 50 {
		s := randomSet(rng)
		want := figures(s.pixels(t, identity))
		for name, f := range transforms {
			if got := figures(s.pixels(t, f)); got != want {
				t.Fatalf("%s: got %v, want %v", name, got, want)
			}
		}
		slices.Reverse(s.scores)
		slices.Reverse(s.masks)
		for i, got := range figures(s.pixels(t, identity)) {
			if !near(got, want[i]) {
				t.Fatalf("maps reversed: figure %d: got %v, want %v", i, got, want[i])
			}
		}
	}
}

// TestAddAfterMetric: maps added after a figure was taken count.
func TestAddAfterMetric(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	s := randomSet(rng)
	s.scores = append(s.scores, s.scores[0])
	s.masks = append(s.masks, s.masks[0])
	var p Pixels
	for i := range s.scores {
		if err := p.Add(s.scores[i], s.masks[i], s.height, s.width); err != nil {
			t.Fatal(err)
		}
		if _, err := p.AUROC(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.AUROC()
	if want := s.define().auroc; err != nil || !near(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestRadixSort(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	keys := make([]uint64, 5000)
	for i := range keys {
		keys[i] = uint64(rng.Uint32()>>rng.IntN(32))<<32 | uint64(i)
	}
	want := slices.SortedStableFunc(slices.Values(keys), func(a, b uint64) int { return cmp.Compare(a>>32, b>>32) })
	if got := radixSort(keys, 32); !slices.Equal(got, want) {
		t.Error("not the stable order of the high halves")
	}
}

func TestDescendingKey(t *testing.T) {
	inf := float32(math.Inf(1))
	descending := []float32{inf, math.MaxFloat32, 2, 1, math.SmallestNonzeroFloat32, 0,
		-math.SmallestNonzeroFloat32, -1, -2, -math.MaxFloat32, -inf}
	for i, s := range descending {
		if got := scoreOf(descendingKey(s)); got != s {
			t.Errorf("scoreOf(descendingKey(%v)): got %v", s, got)
		}
		if i > 0 && descendingKey(descending[i-1]) >= descendingKey(s) {
			t.Errorf("key of %v is not below that of %v", descending[i-1], s)
		}
	}
	if zero := float32(math.Copysign(0, -1)); descendingKey(zero) != descendingKey(0) {
		t.Error("-0 and 0 do not tie")
	}
}

type definitions struct {
	auroc, ap, f1, at float64
	fpr, pro          []float64 // the PRO curve
}

// define evaluates the definitions with loops over all pairs and thresholds.
func (s testSet) define() definitions {
	scores, anomalous := slices.Concat(s.scores...), slices.Concat(s.masks...)
	thresholds := slices.Compact(slices.Sorted(slices.Values(scores)))
	slices.Reverse(thresholds)

	var d definitions
	var pairs float64
	for i, a := range scores {
		for j, b := range scores {
			if anomalous[i] && !anomalous[j] {
				pairs++
				if a > b {
					d.auroc++
				} else if a == b {
					d.auroc += .5
				}
			}
		}
	}
	d.auroc /= pairs

	d.fpr, d.pro = []float64{0}, []float64{0}
	var recall float64
	for _, t := range thresholds {
		var tp, fp, fn, tn float64
		for i, v := range scores {
			switch {
			case v >= t && anomalous[i]:
				tp++
			case v >= t:
				fp++
			case anomalous[i]:
				fn++
			default:
				tn++
			}
		}
		precision, r := tp/(tp+fp), tp/(tp+fn)
		d.ap += precision * (r - recall)
		recall = r
		if f1 := 2 * tp / (2*tp + fp + fn); f1 > d.f1 {
			d.f1, d.at = f1, float64(t)
		}
		d.fpr, d.pro = append(d.fpr, fp/(fp+tn)), append(d.pro, s.overlap(t))
	}
	return d
}

// overlap returns the mean over all defects of the share of them at or above t.
func (s testSet) overlap(t float32) float64 {
	var sum, regions float64
	for m, mask := range s.masks {
		labels, n := label.Components(mask, s.height, s.width)
		for k := 1; k <= n; k++ {
			var hit, size float64
			for i, l := range labels {
				if int(l) == k {
					size++
					if s.scores[m][i] >= t {
						hit++
					}
				}
			}
			sum += hit / size
			regions++
		}
	}
	return sum / regions
}

func (d definitions) aupro(limit float64) float64 {
	var area float64
	for i := 1; i < len(d.fpr); i++ {
		x0, x1, y0, y1 := d.fpr[i-1], d.fpr[i], d.pro[i-1], d.pro[i]
		if x0 >= limit {
			break
		}
		if x1 > limit {
			x1, y1 = limit, y0+(y1-y0)*(limit-x0)/(x1-x0)
		}
		area += (x1 - x0) * (y0 + y1) / 2
	}
	return area / limit
}

// BenchmarkBottle is a set of the size of MVTec's bottle: 83 maps of 900x900,
// three in four with a defect. heap-MB is the most that the runtime held from
// the system.
func BenchmarkBottle(b *testing.B) {
	const maps, side = 83, 900
	rng := rand.New(rand.NewPCG(13, 14))
	scores := make([]float32, side*side)
	for i := range scores {
		scores[i] = rng.Float32()
	}
	mask := make([]bool, side*side)
	for y := 300; y < 500; y++ {
		for x := 300; x < 500; x++ {
			mask[y*side+x] = true
		}
	}
	for b.Loop() {
		var p Pixels
		for n := range maps {
			for i := range scores {
				scores[i] += .01
			}
			var m []bool
			if n%4 != 0 {
				m = mask
			}
			if err := p.Add(scores, m, side, side); err != nil {
				b.Fatal(err)
			}
		}
		for _, f := range []func() (float64, error){
			p.AUROC, p.AveragePrecision,
			func() (float64, error) { return p.AUPRO(.3) },
			func() (float64, error) { return p.AUPRO(.05) },
			func() (float64, error) { f1, _, err := p.F1Max(); return f1, err },
		} {
			if _, err := f(); err != nil {
				b.Fatal(err)
			}
		}
	}
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(mem.HeapSys)/1e6, "heap-MB")
}
