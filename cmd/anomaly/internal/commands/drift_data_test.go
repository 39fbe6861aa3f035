package commands

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/testenv"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// TestDriftBottles lets the lamp over MVTec AD's good bottles age and the lens lose its focus:
// every other one is for training, windows are drawn of the rest.
func TestDriftBottles(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains on a hundred photographs")
	}
	const window, size = 100, 64
	bottle := testenv.Shared(t, "data", "mvtec", "bottle")
	good, err := filepath.Glob(filepath.Join(bottle, "train", "good", "*.png"))
	must(t, err)
	later, err := filepath.Glob(filepath.Join(bottle, "test", "good", "*.png"))
	must(t, err)
	dir := t.TempDir()
	model, data := filepath.Join(dir, "bottle.onnx"), filepath.Join(dir, "good")
	must(t, os.Mkdir(data, 0o755))
	for i, path := range good {
		if i%2 == 0 {
			must(t, os.Symlink(path, filepath.Join(data, filepath.Base(path))))
		} else {
			later = append(later, path)
		}
	}
	mustRun(t, 0, "train", "--provider", "go", "--data", data, "--model", "dcae", "--size", fmt.Sprint(size), "--epochs", "3", "--out", model)

	det, err := anrt.Open(model, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}})
	must(t, err)
	defer det.Close()
	info := det.Info()
	samples, err := (&dataset.Options{}).Find(later...)
	must(t, err)
	var photographs [][]uint8
	for item := range dataset.Stream(t.Context(), samples, &dataset.StreamOptions{Height: info.Height, Width: info.Width, Channels: info.Channels, NoImages: true}) {
		must(t, item.Err)
		photographs = append(photographs, slices.Clone(item.Pixels))
	}

	random := rand.New(rand.NewPCG(7, 7))
	// watch gives a monitor a window for each step, of photographs with what a lamp has left
	// of its light, out of focus by a standard deviation in pixels of the model. It returns at
	// which step each quantity is said to have drifted first.
	watch := func(steps []float64, at func(step float64) (light, blur float64)) (first map[string]float64) {
		m, err := drift.New(&info, &drift.Options{Window: window})
		must(t, err)
		first = map[string]float64{}
		for _, step := range steps {
			var rows []uint8
			for _, i := range random.Perm(len(photographs))[:window] {
				light, blur := at(step)
				rows = append(rows, photographed(photographs[i], &info, light, blur)...)
			}
			results, err := det.DetectPixels(t.Context(), rows, window)
			must(t, err)
			n := 0
			for i := range results {
				for _, r := range m.Add(&results[i]) {
					n++
					if _, said := first[r.Quantity]; r.Drifted && !said {
						first[r.Quantity] = step
						t.Logf("at %.3f: %v", step, r)
					}
				}
			}
			if n != 3 {
				t.Fatalf("got %d reports of a window, want 3: of scores, brightness and sharpness", n)
			}
		}
		return first
	}
	steps := func(from, by float64, n int) (list []float64) {
		for i := range n {
			list = append(list, from+by*float64(i))
		}
		return list
	}
	if first := watch(steps(0, 0, 20), func(float64) (float64, float64) { return 1, 0 }); len(first) > 0 {
		t.Errorf("nothing has changed, and %v is said", first)
	}
	lamp := watch(steps(1, -.005, 21), func(step float64) (float64, float64) { return step, 0 })
	lens := watch(steps(.05, .05, 20), func(step float64) (float64, float64) { return 1, step })
	t.Logf("%d training images, windows of %d of %d others: lamp %v, lens %v", len(good)-len(good)/2, window, len(photographs), lamp, lens)
	if at, said := lamp[drift.Brightness]; !said || at < .9 {
		t.Errorf("a lamp that ages is said at %v of its light, want 0.9 or more", at)
	}
	if at, said := lens[drift.Sharpness]; !said || at > 1 {
		t.Errorf("a lens out of focus is said at a blur of %v pixels, want 1 or less", at)
	}
	if at, said := lens[drift.Brightness]; said {
		t.Errorf("a lens out of focus is said to be darker, or brighter, at a blur of %v pixels", at)
	}
}

// photographed returns pixels under a lamp with so much left of its light, out of focus by a
// standard deviation in pixels.
func photographed(pixels []uint8, info *anrt.ModelInfo, light, blur float64) []uint8 {
	out := make([]uint8, len(pixels))
	plane := heatmap.NewMap(info.Height, info.Width)
	for c := range info.Channels {
		for i := range plane.Data {
			plane.Data[i] = float32(pixels[i*info.Channels+c])
		}
		m := plane
		if blur > 0 {
			m = plane.Blur(blur)
		}
		for i, v := range m.Data {
			out[i*info.Channels+c] = uint8(math.Round(float64(v) * light))
		}
	}
	return out
}
