package drift

import (
	"encoding/json"
	"fmt"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/appearance"
	"github.com/anomaly-go/anomaly/runtime"
)

const side = 48 // of the simulated images

// photograph simulates an image of a good part: a striped disc that lies a little elsewhere
// each time, under a lamp that wavers by 1 %, with noise. gain is what is left of the lamp,
// blur the standard deviation in pixels of what the lens has lost.
func photograph(random *rand.Rand, gain, blur float64) *runtime.Look {
	cx, cy := side/2+2*random.NormFloat64(), side/2+2*random.NormFloat64()
	gain *= 1 + .01*random.NormFloat64()
	m := heatmap.NewMap(side, side)
	for y := range side {
		for x := range side {
			v := .25
			if dx, dy := float64(x)-cx, float64(y)-cy; dx*dx+dy*dy < side*side/9 {
				v = .6 + .15*math.Sin(dx)
			}
			m.Data[y*side+x] = float32(v)
		}
	}
	if blur > 0 {
		m = smooth(m, blur)
	}
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i, v := range m.Data {
		img.Pix[i] = uint8(min(max(255*(float64(v)*gain)+2*random.NormFloat64(), 0), 255))
	}
	b, s := appearance.Measure(img.Pix, side, side, 1)
	return &runtime.Look{Brightness: b, Sharpness: s}
}

// smooth blurs by a Gaussian of a standard deviation in pixels.
func smooth(m *heatmap.Map, sigma float64) *heatmap.Map {
	n := int(math.Ceil(3 * sigma))
	pass := func(in []float32, dx, dy int) []float32 {
		out := make([]float32, len(in))
		for y := range side {
			for x := range side {
				sum, all := 0., 0.
				for k := -n; k <= n; k++ {
					w := math.Exp(-float64(k*k) / (2 * sigma * sigma))
					at := min(max(y+k*dy, 0), side-1)*side + min(max(x+k*dx, 0), side-1)
					sum, all = sum+w*float64(in[at]), all+w
				}
				out[y*side+x] = float32(sum / all)
			}
		}
		return out
	}
	s := heatmap.NewMap(side, side)
	s.Data = pass(pass(m.Data, 1, 0), 0, 1)
	return s
}

// trainedOn returns what a model says that was trained on n photographs.
func trainedOn(t *testing.T, random *rand.Rand, n int) *runtime.ModelInfo {
	t.Helper()
	var bright, sharp []float64
	for range n {
		l := photograph(random, 1, 0)
		bright, sharp = append(bright, l.Brightness), append(sharp, l.Sharpness)
	}
	b, err := json.Marshal(map[string][]float64{"levels": levels, "brightness": newReference(bright, false).q, "sharpness": newReference(sharp, false).q})
	if err != nil {
		t.Fatal(err)
	}
	return &runtime.ModelInfo{Metadata: map[string]string{"anomaly.normal.quantiles": string(b), "anomaly.data.images": fmt.Sprint(n)}}
}

// TestAgeing lets a lamp age and a lens lose its focus, step by step: what has changed is
// said, before a person would see it, and nothing of what has not.
func TestAgeing(t *testing.T) {
	const window = 100
	for _, n := range []int{20, 100} {
		random := rand.New(rand.NewPCG(5, uint64(n)))
		info := trainedOn(t, random, n)
		watch := func(steps []float64, at func(step float64) (gain, blur float64)) (first map[string]float64, last []Report) {
			m, err := New(info, &Options{Window: window})
			if err != nil {
				t.Fatal(err)
			}
			first = map[string]float64{}
			for _, step := range steps {
				var reports []Report
				for range window {
					gain, blur := at(step)
					reports = append(reports, m.Add(&runtime.Result{Look: photograph(random, gain, blur)})...)
				}
				if len(reports) != 2 {
					t.Fatalf("got %d reports of a window, want 2", len(reports))
				}
				for _, r := range reports {
					if _, said := first[r.Quantity]; r.Drifted && !said {
						first[r.Quantity] = step
					}
				}
			}
			return first, m.Last()
		}
		if first, _ := watch(make([]float64, 40), func(float64) (float64, float64) { return 1, 0 }); len(first) > 0 {
			t.Errorf("%d images: nothing has changed, and %v is said", n, first)
		}
		var lamp, lens []float64
		for i := range 16 {
			lamp, lens = append(lamp, 1-.0025*float64(i)), append(lens, .1+.05*float64(i))
		}
		dim, last := watch(lamp, func(gain float64) (float64, float64) { return gain, 0 })
		if at, said := dim[Brightness]; !said || at < .97 || at > .999 {
			t.Errorf("%d images: a lamp that ages is said at %v of its light (%v), want between 0.97 and 0.999: %v", n, at, said, last)
		}
		soft, last := watch(lens, func(blur float64) (float64, float64) { return 1, blur })
		if at, said := soft[Sharpness]; !said || at > .6 {
			t.Errorf("%d images: a lens out of focus is said at a blur of %v pixels (%v), want up to 0.6: %v", n, at, said, last)
		}
		if _, said := soft[Brightness]; said {
			t.Errorf("%d images: a lens out of focus is said to be darker: %v", n, last)
		}
		if i := slices.IndexFunc(last, func(r Report) bool { return r.Quantity == Sharpness }); last[i].Median >= last[i].Usual {
			t.Errorf("%d images: got %v, want more blurred", n, last[i])
		}
		t.Logf("%d images, windows of %d: the lamp is said at %.4f of its light, the lens at a blur of %.2f pixels", n, window, dim[Brightness], soft[Sharpness])
	}
}

func TestNew(t *testing.T) {
	for _, o := range []*Options{{Window: 19}, {Window: 10_001}, {FalseAlarms: 1}, {FalseAlarms: -1}, {FalseAlarms: math.NaN()}} {
		if _, err := New(&runtime.ModelInfo{}, o); err == nil {
			t.Errorf("%+v: got no error", o)
		}
	}
	for _, quantiles := range []string{"", "rubbish", `{"levels":[0,0.5,1],"brightness":[0.5,0.4,0.3]}`, `{"levels":[0,0.5,2],"brightness":[0.1,0.4,0.5]}`, `{"levels":[0,0.5,1],"brightness":[0.1]}`} {
		m, err := New(&runtime.ModelInfo{Metadata: map[string]string{"anomaly.normal.quantiles": quantiles, "anomaly.data.images": "100"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range DefaultWindow {
			if r := m.Add(&runtime.Result{Look: &runtime.Look{}}); r != nil {
				t.Errorf("%q: got %v of what is not known", quantiles, r)
			}
		}
	}
}
