package metrics

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestCurvesEqualDefinitions compares curves of few points with all thresholds tried.
func TestCurvesEqualDefinitions(t *testing.T) {
	rng := rand.New(rand.NewPCG(21, 22))
	for trial := range 100 {
		s := randomSet(rng)
		p := s.pixels(t, identity)
		d := s.define()

		pro, err := p.PRO()
		if err != nil || len(pro) != len(d.fpr) {
			t.Fatalf("trial %d: PRO: got %d points, %v, want %d", trial, len(pro), err, len(d.fpr))
		}
		for i, got := range pro {
			if !near(got.X, d.fpr[i]) || !near(got.Y, d.pro[i]) {
				t.Fatalf("trial %d: PRO: got %v at %d, want %v, %v", trial, got, i, d.fpr[i], d.pro[i])
			}
		}
		roc, err := p.ROC()
		if got := area(roc); err != nil || !near(got, d.auroc) {
			t.Fatalf("trial %d: ROC: got an area of %v, %v, want %v", trial, got, err, d.auroc)
		}
		pr, err := p.PrecisionRecall()
		if got := stepArea(pr); err != nil || !near(got, d.ap) {
			t.Fatalf("trial %d: precision and recall: got an area of %v, %v, want %v", trial, got, err, d.ap)
		}
		if pr[0] != (Point{0, 1}) || pr[len(pr)-1].X != 1 {
			t.Fatalf("trial %d: precision and recall run from %v to %v", trial, pr[0], pr[len(pr)-1])
		}
	}
}

func area(c []Point) (sum float64) {
	for i := 1; i < len(c); i++ {
		sum += (c[i].X - c[i-1].X) * (c[i].Y + c[i-1].Y) / 2
	}
	return sum
}

func stepArea(c []Point) (sum float64) {
	for i := 1; i < len(c); i++ {
		sum += (c[i].X - c[i-1].X) * c[i].Y
	}
	return sum
}

func TestCurvesAreThinned(t *testing.T) {
	rng := rand.New(rand.NewPCG(23, 24))
	const n = 20000
	scores, anomalous := make([]float64, n), make([]bool, n)
	for i := range scores {
		anomalous[i] = i%7 == 0
		scores[i] = rng.NormFloat64()
		if anomalous[i] {
			scores[i]++
		}
	}
	s, err := newSweep(scores, anomalous)
	if err != nil {
		t.Fatal(err)
	}
	// exact are the points that thinning takes from.
	var roc, pr []Point
	var tp, fp int
	roc = append(roc, Point{})
	pr = append(pr, Point{0, 1})
	for st := range s.steps {
		tp, fp = tp+st.bad, fp+st.good
		roc = append(roc, Point{float64(fp) / float64(s.good), float64(tp) / float64(s.bad)})
		if pr[len(pr)-1].X < 1 {
			pr = append(pr, Point{float64(tp) / float64(s.bad), float64(tp) / float64(tp+fp)})
		}
	}
	gotROC, err := ROC(scores, anomalous)
	if err != nil {
		t.Fatal(err)
	}
	gotPR, err := PrecisionRecall(scores, anomalous)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		got, exact []Point
	}{{"ROC", gotROC, roc}, {"precision and recall", gotPR, pr}} {
		if len(c.got) > MaxCurve || len(c.got) < MaxCurve/2 {
			t.Errorf("%s: got %d points, want up to %d", c.name, len(c.got), MaxCurve)
		}
		if c.got[0] != c.exact[0] || c.got[len(c.got)-1] != c.exact[len(c.exact)-1] {
			t.Errorf("%s: runs from %v to %v", c.name, c.got[0], c.got[len(c.got)-1])
		}
		at := 0
		for _, p := range c.got { // all are points of the exact curve, in its order
			i := slices.Index(c.exact[at:], p)
			if i < 0 {
				t.Fatalf("%s: %v is not on the curve behind point %d", c.name, p, at)
			}
			at += i
		}
	}
	const reach = 2. / 510 // that ROC promises
	next := 0
	for _, p := range roc {
		for gotROC[next].X+gotROC[next].Y < p.X+p.Y {
			next++
		}
		if d := gotROC[next].X + gotROC[next].Y - p.X - p.Y; d > reach+bruteTol {
			t.Fatalf("%v lies %v before %v, want at most %v", p, d, gotROC[next], reach)
		}
	}
	exact, err := AUROC(scores, anomalous)
	if got := area(gotROC); err != nil || math.Abs(got-exact) > reach*reach*MaxCurve {
		t.Errorf("got an area of %v under the thinned curve, %v, want about %v", got, err, exact)
	}
}

func TestCurveErrors(t *testing.T) {
	if _, err := ROC([]float64{1}, []bool{true}); !errors.Is(err, ErrOneClass) {
		t.Errorf("ROC: got %v, want ErrOneClass", err)
	}
	if _, err := PrecisionRecall([]float64{1}, []bool{false}); !errors.Is(err, ErrOneClass) {
		t.Errorf("PrecisionRecall: got %v, want ErrOneClass", err)
	}
	var p Pixels
	for _, f := range []func() ([]Point, error){p.ROC, p.PrecisionRecall, p.PRO} {
		if _, err := f(); !errors.Is(err, ErrOneClass) {
			t.Errorf("empty set: got %v, want ErrOneClass", err)
		}
	}
}
