package normality

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"gonum.org/v1/gonum/mat"
)

const (
	// What float32 parameters leave of distances of size 1 to 10.
	distanceTolerance = 1e-4
	// What the power iteration leaves of a covariance it has no room to cut.
	leaveOneOutTolerance = 1e-6
)

// images draws features of n images with structure of their own at each place.
func images(n, places, channels int, seed uint64) [][]float32 {
	rng := rand.New(rand.NewPCG(seed, 0))
	x := make([][]float32, n)
	for i := range x {
		for p := range places {
			common := rng.NormFloat64()
			for c := range channels {
				x[i] = append(x[i], float32(float64(p%3)+common*float64((c+p)%4)+.5*rng.NormFloat64()))
			}
		}
	}
	return x
}

// gaussian is the distance that [Model] defines.
func (m *Model) gaussian(f []float32, p, channels int) float64 {
	y := make([]float64, channels)
	for c := range y {
		y[c] = float64(f[p*channels+c]) - float64(m.Mean[p*channels+c])
	}
	rank := len(m.Directions) / len(m.Mean)
	square := 0.
	for j := range channels {
		v := 0.
		for c := range y {
			v += y[c] * float64(m.White[c*channels+j])
		}
		square += v * v * float64(m.Scale[p])
	}
	for k := range rank {
		v := 0.
		for c := range y {
			v += y[c] * float64(m.Directions[(p*channels+c)*rank+k])
		}
		square -= v * v
	}
	return math.Sqrt(square)
}

// With as many directions as there are channels the Gaussian is that of the
// covariance (1-s)·own + s·common + ridge, and its distances without an image are
// those of a fit to the others.
func TestGaussian(t *testing.T) {
	const n, places, channels, ridge = 12, 7, 5, .5
	x := images(n, places, channels, 1)
	f := &fit{Options: Options{Places: places, Channels: channels, Rank: channels, Ridge: ridge, Seed: 1}, x: x, n: n}
	f.centre = f.mean()
	if err := f.common(); err != nil {
		t.Fatal(err)
	}
	common := mat.NewDense(channels, channels, nil)
	var scaled mat.Dense
	scaled.Mul(f.vectors, mat.NewDiagDense(channels, f.values))
	common.Mul(&scaled, f.vectors.T())
	for _, s := range shrinkages {
		w, logdet := f.whitening(s)
		for p := range places {
			got := f.gaussian(p, w, logdet, s)
			for i := range n {
				// The same by definition: mean and covariance of the others, the latter over n-1.
				mean := make([]float64, channels)
				for j := range n {
					for c := range mean {
						if j != i {
							mean[c] += float64(x[j][p*channels+c]) / (n - 1)
						}
					}
				}
				cov := mat.NewSymDense(channels, nil)
				d := mat.NewVecDense(channels, nil)
				for j := range n {
					for c := range mean {
						d.SetVec(c, float64(x[j][p*channels+c])-mean[c])
					}
					if j != i {
						cov.SymRankOne(cov, (1-s)/(n-1), d)
					}
				}
				for a := range channels {
					for b := a; b < channels; b++ {
						v := cov.At(a, b) + s*(common.At(a, b)+common.At(b, a))/2
						if a == b {
							v += ridge
						}
						cov.SetSym(a, b, v)
					}
					d.SetVec(a, float64(x[i][p*channels+a])-mean[a])
				}
				var chol mat.Cholesky
				if !chol.Factorize(cov) {
					t.Fatal("not positive definite")
				}
				var solved mat.VecDense
				if err := chol.SolveVecTo(&solved, d); err != nil {
					t.Fatal(err)
				}
				if want := math.Sqrt(mat.Dot(d, &solved)); math.Abs(got.distances[i]-want) > leaveOneOutTolerance*want {
					t.Errorf("shrinkage %v, place %d, image %d: got %v, want %v", s, p, i, got.distances[i], want)
				}
			}
		}
	}
}

// The two distances of a model are what its numbers say, whatever is cut.
func TestFit(t *testing.T) {
	const n, places, channels = 9, 6, 8
	x := images(n, places, channels, 2)
	for _, rank := range []int{0, 3, 8} {
		o := Options{Places: places, Channels: channels, Rank: rank, Ridge: 1, Coreset: 20, Dims: channels, Seed: 3}
		m, err := Fit(context.Background(), x, o)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := Fit(context.Background(), x, o); !reflect.DeepEqual(m, again) {
			t.Errorf("rank %d: a second fit differs", rank)
		}
		if rank == 0 && m.Shrinkage != 1 {
			t.Errorf("got shrinkage %v without directions, want 1", m.Shrinkage)
		}
		near, far := 0., 0.
		for p := range places {
			off := append([]float32(nil), x[0]...)
			for c := range channels {
				off[p*channels+c] += float32(5 - 10*(c%2))
			}
			near += m.gaussian(x[0], p, channels)
			far += m.gaussian(off, p, channels)
		}
		if !(far > 2*near) {
			t.Errorf("rank %d: got distances %v of defects, %v of good features", rank, far, near)
		}
		// A feature of the coreset is at distance 0 from it.
		wide := channels + 1
		least := math.Inf(1)
		for p := range places {
			z := make([]float64, wide)
			for k := range z {
				z[k] = float64(m.Offset[k])
				for c := range channels {
					z[k] += float64(x[0][p*channels+c]) * float64(m.Project[c*wide+k])
				}
			}
			if math.Abs(z[channels]-1) > distanceTolerance {
				t.Errorf("got last component %v, want 1", z[channels])
			}
			most, square := math.Inf(-1), -1.
			for _, v := range z {
				square += v * v
			}
			for j := range o.Coreset {
				sum := 0.
				for k := range z {
					sum += z[k] * float64(m.Coreset[k*o.Coreset+j])
				}
				most = max(most, sum)
			}
			if d := square - most; d < -distanceTolerance {
				t.Errorf("place %d: got squared distance %v", p, d)
			} else {
				least = min(least, d)
			}
		}
		if least > distanceTolerance {
			t.Errorf("got no feature of an image in the coreset of 20: least squared distance %v", least)
		}
		for _, w := range m.Weights {
			if !(w > 0) || math.IsInf(float64(w), 0) {
				t.Errorf("got weights %v", m.Weights)
			}
		}
	}
}

// Many images with a covariance of their own at each place need no common one;
// of a few it is the better guess.
func TestShrinkage(t *testing.T) {
	var got []float64
	for _, n := range []int{200, 5} {
		m, err := Fit(context.Background(), images(n, 12, 6, 4), Options{Places: 12, Channels: 6, Rank: 4, Ridge: .1, Coreset: 5, Dims: 3, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m.Shrinkage)
	}
	if !(got[0] < got[1]) {
		t.Errorf("got shrinkage %v of 200 images, %v of 5, want more of the latter", got[0], got[1])
	}
}

func TestFitWrong(t *testing.T) {
	good := Options{Places: 2, Channels: 3, Rank: 1, Ridge: 1, Coreset: 2, Dims: 2}
	nan := images(3, 2, 3, 1)
	nan[1][4] = float32(math.NaN())
	ragged := images(3, 2, 3, 1)
	ragged[2] = ragged[2][:5]
	for name, x := range map[string][][]float32{"none": nil, "one": images(1, 2, 3, 1), "NaN": nan, "ragged": ragged} {
		if _, err := Fit(context.Background(), x, good); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	wide := good
	wide.Dims = 4
	if _, err := Fit(context.Background(), images(3, 2, 3, 1), wide); err == nil {
		t.Error("more components than channels: got no error")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fit(ctx, images(3, 2, 3, 1), good); err == nil {
		t.Error("cancelled: got no error")
	}
	// Features that never change have no variance, and are modelled all the same.
	if _, err := Fit(context.Background(), [][]float32{make([]float32, 6), make([]float32, 6), make([]float32, 6)}, good); err != nil {
		t.Errorf("constant features: got %v", err)
	}
}
