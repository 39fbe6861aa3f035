package train

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A mean is fitted in closed form: its map is how far each 4×4 square of a
// grey image, scaled by a weight that comes with the network, is from the mean.
type mean struct {
	models.Network // for its size
	passes         int
}

func (mean) Init(uint64) map[string]*graph.Tensor {
	return map[string]*graph.Tensor{"scale": graph.NewTensor([]float32{2}, 1)}
}

func (mean) Recipe() models.Recipe {
	return models.Recipe{Map: residual.Options{Kind: residual.NetworkMap}}
}

func (m mean) Forward(x *graph.Value) models.Outputs { return m.Head(m.Features(x)) }

func (mean) Features(x *graph.Value) *graph.Value {
	return graph.Mul(graph.AveragePool(x, 4, 4, nil), x.Graph().Param("scale", 1))
}

func (mean) Head(f *graph.Value) models.Outputs {
	return models.Outputs{Map: graph.Square(graph.Sub(f, f.Graph().Param("mean", 1, 4, 4)))}
}

func (m mean) NewFit(n int, _ uint64) (models.Fit, error) {
	return &meanFit{passes: m.passes, n: n, sum: make([]float64, 16)}, nil
}

type meanFit struct {
	passes, n int
	seen      []float32 // the first feature of each image
	sum       []float64
}

func (f *meanFit) Passes() int { return f.passes }

func (f *meanFit) Add(features []float32) error {
	f.seen = append(f.seen, features[0])
	for i, x := range features {
		f.sum[i] += float64(x)
	}
	return nil
}

func (f *meanFit) Solve(context.Context) (map[string]*graph.Tensor, error) {
	for pass := range f.passes {
		if !slices.Equal(f.seen[pass*f.n:(pass+1)*f.n], f.seen[:f.n]) {
			panic("passes differ")
		}
	}
	avg := make([]float32, len(f.sum))
	for i, s := range f.sum {
		avg[i] = float32(s / float64(f.n*f.passes))
	}
	return map[string]*graph.Tensor{"mean": graph.NewTensor(avg, 1, 4, 4)}, nil
}

// solveTolerance is what float32 leaves of means of 4×4 squares.
const solveTolerance = 1e-6

// A network that is fitted in closed form has the weights that come with it and
// those of the fit to all images, is scored by fits to other images, and is
// exported; the number of workers changes nothing.
func TestFitter(t *testing.T) {
	data := stripes(21, 1, 16, 16)
	net := mean{tiny, 2}
	steps := 0
	s := Settings{Provider: anrt.Go, Workers: 3, Progress: func(p Progress) { steps++ }}
	r, err := Fit(context.Background(), net, data, &s)
	if err != nil {
		t.Fatal(err)
	}
	if want := 2 * (4*21 + 21); steps != want { // every image is left out of one fold
		t.Errorf("got %d steps, want %d", steps, want)
	}
	square := func(image int) float64 {
		sum := 0.
		for y := range 4 {
			for x := range 4 {
				sum += float64(data.Pixels[image*256+y*16+x])
			}
		}
		return 2 * sum / 16 / 255
	}
	want := 0.
	for i := range 21 {
		want += square(i) / 21
	}
	if got := float64(graph.Data[float32](r.Weights["mean"])[0]); math.Abs(got-want) > solveTolerance || r.Weights["scale"] == nil {
		t.Errorf("got a mean of %v, want %v", got, want)
	}
	if len(r.Calibration.Scores) != 21 || len(r.History) != 0 || r.Epoch != 0 {
		t.Errorf("got %d scores and %d epochs, want 21 and none", len(r.Calibration.Scores), len(r.History))
	}
	if p := r.Pseudo; len(p.Scores) < pseudoDefects/2 || len(p.Scores) > pseudoDefects+folds || !slices.IsSorted(p.Scores) || p.AUROC < 0 || p.AUROC > 1 {
		t.Errorf("got scores of %d artificial defects, of AUROC %v, want about %d, ascending", len(p.Scores), p.AUROC, pseudoDefects)
	}
	md, err := r.Metadata("test")
	var stored []float64
	if err == nil {
		err = json.Unmarshal([]byte(md["pseudo.scores"]), &stored)
	}
	if !slices.Equal(stored, r.Pseudo.Scores) || md["normal.count"] != "21" {
		t.Errorf("got scores of %d artificial defects and of %v images from the metadata, want %d and 21", len(stored), md["normal.count"], len(r.Pseudo.Scores))
	}
	if err != nil || md["final_loss"] != "" || md["model"] == "" {
		t.Errorf("got metadata %v, %v", md, err)
	}
	m, err := onnxexport.Build(net, r.Weights, &onnxexport.Options{Map: *r.Settings.Map, Threshold: r.Calibration.Threshold})
	if err != nil {
		t.Fatal(err)
	}
	if out := m.Graph.Outputs(); len(out) != 4 || !slices.Equal(out[0].Shape, []int{graph.Dynamic, 1, 16, 16}) {
		t.Errorf("got outputs %v, want a map of the image's size and no reconstruction", out)
	}
	s.Workers = 1
	if again, err := Fit(context.Background(), net, data, &s); err != nil || !sameWeights(again.Weights, r.Weights) || !slices.Equal(again.Calibration.Scores, r.Calibration.Scores) || !slices.Equal(again.Pseudo.Scores, r.Pseudo.Scores) {
		t.Errorf("one worker gives another network: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fit(ctx, net, data, &s); err == nil {
		t.Error("cancelled: got no error")
	}
}

// A fit to few images sees each flipped and turned, where that leaves the set what it is.
func TestViews(t *testing.T) {
	noise := &Data{}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 6 * 256 {
		noise.Pixels = append(noise.Pixels, uint8(rng.IntN(256)))
	}
	for _, c := range []struct {
		name  string
		data  *Data
		views int
	}{{"noise", noise, 8}, {"stripes", stripes(6, 1, 16, 16), 1}, {"many", stripes(fewImages, 1, 16, 16), 1}} {
		steps := 0
		s := Settings{Provider: anrt.Go, Progress: func(Progress) { steps++ }}
		r, err := Fit(context.Background(), mean{tiny, 1}, c.data, &s)
		if err != nil {
			t.Fatal(err)
		}
		n := len(c.data.Pixels) / 256
		if want := c.views * folds * n; steps != want { // every image is left out of one of folds, and there is one fit more
			t.Errorf("%s: got %d steps, want %d", c.name, steps, want)
		}
		if len(r.Calibration.Scores) != n {
			t.Errorf("%s: got %d scores of %d images", c.name, len(r.Calibration.Scores), n)
		}
		m := graph.Data[float32](r.Weights["mean"])
		turned := math.Abs(float64(m[1]-m[4])) < solveTolerance // the mean of all views is its own mirror image
		if turned != (c.views == 8) {
			t.Errorf("%s: got a mean of %v and %v", c.name, m[1], m[4])
		}
	}
}
