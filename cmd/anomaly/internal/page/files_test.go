package page

import (
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

func TestCaption(t *testing.T) {
	threshold := float32(.5)
	for want, r := range map[string]*anrt.Result{
		"score 0.4, threshold 0.5: review":     {Score: .4, Threshold: &threshold, Verdict: anrt.Review},
		"score 0.4: accept":                    {Score: .4, Verdict: anrt.Accept},
		"score 0.6 > threshold 0.5: anomalous": {Score: .6, Threshold: &threshold, Anomalous: true, Verdict: anrt.Anomalous},
		"score 0.4, threshold 0.5: good":       {Score: .4, Threshold: &threshold, Verdict: anrt.Good},
		"score 0.4, threshold 0.5: anomalous":  {Score: .4, Threshold: &threshold, Anomalous: true, Verdict: anrt.Anomalous}, // the model's own label
		"score 0.3: anomalous":                 {Score: .3, Anomalous: true, Verdict: anrt.Anomalous},
	} {
		if got := caption(r); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := caption(&anrt.Result{Score: .3}); got != "score 0.3" {
		t.Errorf("no verdict: got %q", got)
	}
}

// shrinkTolerance is how far in 1/255 a tile may be from one that heatmap shrinks itself: it
// rounds once, package imageio after the rows, too.
const shrinkTolerance = 1

// TestPictureOfResized tests that an image shrunk to a tile makes the picture that the whole one does.
func TestPictureOfResized(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	threshold := float32(.5)
	m := heatmap.NewMap(32, 32)
	for i := range m.Data {
		m.Data[i] = rng.Float32()
	}
	for _, size := range []image.Point{{900, 900}, {1000, 563}, {385, 1000}, {1500, 2}, {Tile, 100}, {Tile - 1, 200}, {50, 40}} {
		img := image.NewRGBA(image.Rectangle{Max: size})
		for i := range img.Pix {
			img.Pix[i] = 0xff
			if i%4 < 3 {
				img.Pix[i] = uint8(rng.Uint32())
			}
		}
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "0.png"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
		samples, err := dataset.Find(dir)
		if err != nil {
			t.Fatal(err)
		}
		for item := range dataset.Stream(t.Context(), samples, &dataset.StreamOptions{Longest: Tile}) {
			if item.Err != nil {
				t.Fatal(item.Err)
			}
			result := anrt.Result{Map: m, PixelThreshold: &threshold}
			want := picture(&judge.Finding{Image: img, Result: result}, nil)
			got := picture(&judge.Finding{Image: item.Image, Result: result}, nil)
			if got.Rect != want.Rect {
				t.Fatalf("%v: got a picture of %v, want %v", size, got.Rect, want.Rect)
			}
			worst := 0
			for i, v := range got.Pix {
				worst = max(worst, int(v)-int(want.Pix[i]), int(want.Pix[i])-int(v))
			}
			if worst > shrinkTolerance {
				t.Errorf("%v: got a picture %d/255 from that of the whole image", size, worst)
			}
		}
	}
}
