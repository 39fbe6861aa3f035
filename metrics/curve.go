package metrics

// MaxCurve is the most points that a curve has.
const MaxCurve = 512

// A Point of a curve, both coordinates in [0,1].
type Point struct{ X, Y float64 }

// ROC returns the receiver operating characteristic as points (false-positive
// rate, true-positive rate) from (0,0) to (1,1), one for each distinct score,
// taken as the verdict score >= threshold. It fails as AUROC does.
//
// A curve of more than MaxCurve points is thinned for drawing: what is left out
// lies within 2/510 of the next point that is kept, the distances in X and Y
// added up. The figures, such as AUROC, never use it.
func ROC(scores []float64, anomalous []bool) ([]Point, error) {
	s, err := newSweep(scores, anomalous)
	if err != nil {
		return nil, err
	}
	return s.roc(), nil
}

// PrecisionRecall returns points (recall, precision) with recall rising from 0,
// where precision is 1 by scikit-learn's convention, to 1, where the last score
// that is anomalous has been reached. It fails as AveragePrecision does.
//
// A curve of more than MaxCurve points is thinned: of each 1/510 of recall the
// last point is kept.
func PrecisionRecall(scores []float64, anomalous []bool) ([]Point, error) {
	s, err := newSweep(scores, anomalous)
	if err != nil {
		return nil, err
	}
	return s.precisionRecall(), nil
}

// ROC returns the curve of the pixels; see the function ROC.
func (p *Pixels) ROC() ([]Point, error) {
	s, err := p.sweep()
	if err != nil {
		return nil, err
	}
	return s.roc(), nil
}

// PrecisionRecall returns the curve of the pixels; see the function PrecisionRecall.
func (p *Pixels) PrecisionRecall() ([]Point, error) {
	s, err := p.sweep()
	if err != nil {
		return nil, err
	}
	return s.precisionRecall(), nil
}

// PRO returns points (false-positive rate, per-region overlap) from (0,0) to
// (1,1): the curve whose area AUPRO gives, thinned as the function ROC says.
func (p *Pixels) PRO() ([]Point, error) {
	s, err := p.sweep()
	if err != nil {
		return nil, err
	}
	return s.pro(), nil
}

func (s sweep) roc() []Point {
	c := newCurve(2)
	var tp, fp int
	c.add(0, Point{})
	for st := range s.steps {
		tp += st.bad
		fp += st.good
		p := Point{float64(fp) / float64(s.good), float64(tp) / float64(s.bad)}
		c.add(p.X+p.Y, p)
	}
	return c.points()
}

func (s sweep) precisionRecall() []Point {
	c := newCurve(1)
	var tp, fp int
	c.add(0, Point{0, 1})
	for st := range s.steps {
		tp += st.bad
		fp += st.good
		p := Point{float64(tp) / float64(s.bad), float64(tp) / float64(tp+fp)}
		c.add(p.X, p)
		if tp == s.bad {
			break
		}
	}
	return c.points()
}

func (s sweep) pro() []Point {
	c := newCurve(2)
	var fp int
	var overlap float64
	c.add(0, Point{})
	for st := range s.steps {
		fp += st.good
		overlap += st.overlap
		p := Point{float64(fp) / float64(s.good), min(overlap/float64(s.regions), 1)}
		c.add(p.X+p.Y, p)
	}
	return c.points()
}

// A curve keeps all points up to MaxCurve. Of more it keeps the first and the
// last, and the last one in each of MaxCurve-2 equal parts of the way.
type curve struct {
	all   []Point
	n     int // points added
	way   float64
	first Point
	ends  []Point // of the parts that are done
	part  int     // the one that last is in
	last  Point
}

// newCurve returns a curve that goes a way of that length; progress along it never falls.
func newCurve(way float64) *curve { return &curve{way: way} }

func (c *curve) add(progress float64, p Point) {
	const parts = MaxCurve - 2
	part := min(int(progress/c.way*parts), parts-1)
	if c.n == 0 {
		c.first = p
	} else if part != c.part && c.n > 1 {
		c.ends = append(c.ends, c.last)
	}
	if c.n < MaxCurve {
		c.all = append(c.all, p)
	}
	c.n++
	c.part, c.last = part, p
}

func (c *curve) points() []Point {
	if c.n <= MaxCurve {
		return c.all
	}
	return append(append([]Point{c.first}, c.ends...), c.last)
}
