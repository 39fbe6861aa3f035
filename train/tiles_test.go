package train

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// weave returns image i of a texture.
func weave(i int) (image.Image, error) {
	img := image.NewGray(image.Rect(0, 0, 50, 40))
	for y := range 40 {
		for x := range 50 {
			img.SetGray(x, y, color.Gray{uint8(100 + 40*((x+i)/3%2) + 20*((y+2*i)/4%2) + (5*x+11*y*(i+1))%7)})
		}
	}
	return img, nil
}

func tiledSettings() *Settings {
	return &Settings{Epochs: 2, Batch: 8, Provider: anrt.Go, View: anrt.View{Tiles: &anrt.Tiles{Scale: 1}}}
}

// Tiles are held back with their image, and images are scored whole.
func TestCutTiles(t *testing.T) {
	net, err := models.Open(models.Spec{Channels: 1, Height: 16, Width: 16, Filters: 4, Depth: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const n = 6
	s := tiledSettings()
	data, err := CutTiles(t.Context(), net, n, weave, s)
	if err != nil {
		t.Fatal(err)
	}
	// 4 by 3 tiles cover an image.
	if len(data.Of) != n*24 || len(data.Pixels) != len(data.Of)*16*16 || data.Of[0] != 0 || data.Of[len(data.Of)-1] != n-1 || !slices.IsSorted(data.Of) {
		t.Fatalf("got %d tiles with %d bytes, of %v", len(data.Of), len(data.Pixels), data.Of)
	}
	if again, err := CutTiles(t.Context(), net, n, weave, s); err != nil || !slices.Equal(again.Pixels, data.Pixels) {
		t.Errorf("the same seed gives other tiles, %v", err)
	}
	other := *s
	other.Seed = 2
	if again, err := CutTiles(t.Context(), net, n, weave, &other); err != nil || slices.Equal(again.Pixels, data.Pixels) {
		t.Errorf("another seed gives the same tiles, %v", err)
	}
	tr := newTrainer(net, data, s)
	for _, stg := range tr.withRows(stages(tr.images, .1, 1)) {
		seen := map[int]bool{}
		for _, row := range stg.train {
			seen[data.Of[row]] = true
		}
		for _, row := range stg.heldBack {
			if seen[data.Of[row]] || !slices.Contains(stg.held, data.Of[row]) {
				t.Fatalf("image %d is trained on and held back", data.Of[row])
			}
		}
		if len(stg.train)+len(stg.heldBack) != len(data.Of) || len(seen)+len(stg.held) != n {
			t.Fatalf("got %d and %d tiles of %d", len(stg.train), len(stg.heldBack), len(data.Of))
		}
	}
	r, err := Fit(t.Context(), net, data, s)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Calibration.Scores) != n || r.Images != n || len(r.Pseudo.Scores) < pseudoDefects/2 {
		t.Errorf("got %d scores of %d images, and %d of artificial defects", len(r.Calibration.Scores), r.Images, len(r.Pseudo.Scores))
	}
	// An image with a defect scores what it does without, at the least.
	if r.Pseudo.Scores[0] < r.Calibration.Scores[0] {
		t.Errorf("got %v with a defect, %v without", r.Pseudo.Scores[0], r.Calibration.Scores[0])
	}
	if md, err := r.Metadata("test"); err != nil || md["view"] != `{"tiles":{"scale":1,"overlap":4}}` {
		t.Errorf("got metadata %q, %v", md["view"], err)
	}
	// Stopped and resumed it is the same network.
	stopped := *s
	stopped.Checkpoint = filepath.Join(t.TempDir(), "ckpt")
	ctx, cancel := context.WithCancel(t.Context())
	steps := 0
	stopped.Progress = func(Progress) {
		if steps++; steps == 50 {
			cancel()
		}
	}
	if _, err := Fit(ctx, net, data, &stopped); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it stopped", err)
	}
	stopped.Progress, stopped.Resume = nil, true
	if again, err := Fit(t.Context(), net, data, &stopped); err != nil || !sameWeights(again.Weights, r.Weights) || !slices.Equal(again.Calibration.Scores, r.Calibration.Scores) {
		t.Errorf("resuming gives another result, %v", err)
	}
}

// What is no data of tiles is refused.
func TestTileErrors(t *testing.T) {
	net, err := models.Open(models.Spec{Channels: 1, Height: 16, Width: 16, Filters: 4, Depth: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	region := &heatmap.Mask{Height: 10, Width: 10, Data: make([]bool, 100)}
	region.Data[0] = true
	unreadable := func(int) (image.Image, error) { return nil, fmt.Errorf("unreadable") }
	for name, f := range map[string]func() error{
		"one image": func() error { _, err := CutTiles(t.Context(), net, 1, weave, tiledSettings()); return err },
		"no tiles":  func() error { _, err := CutTiles(t.Context(), net, 4, weave, nil); return err },
		"too much overlap": func() error {
			s := tiledSettings()
			s.View.Tiles.Overlap = 9
			_, err := CutTiles(t.Context(), net, 4, weave, s)
			return err
		},
		"another aspect than the region's": func() error {
			s := tiledSettings()
			s.View.Region = region
			_, err := CutTiles(t.Context(), net, 4, weave, s)
			return err
		},
		"tiles that are not of images": func() error {
			d, err := CutTiles(t.Context(), net, 4, weave, tiledSettings())
			if err != nil {
				return nil
			}
			d.Of[len(d.Of)-1] = 9
			_, err = Fit(t.Context(), net, d, tiledSettings())
			return err
		},
		"cross-fitted": func() error {
			d, err := CutTiles(t.Context(), net, 4, weave, tiledSettings())
			if err != nil {
				return nil
			}
			_, err = CrossFit(t.Context(), net.(models.Trainable), d, tiledSettings())
			return err
		},
		"a region that vanishes": func() error {
			small := &heatmap.Mask{Height: 160, Width: 160, Data: make([]bool, 160*160)}
			small.Data[0] = true
			s := &Settings{Provider: anrt.Go, Epochs: 1, View: anrt.View{Region: small}}
			_, err := Fit(t.Context(), net, stripes(8, 1, 16, 16), s)
			return err
		},
	} {
		if err := f(); !errors.Is(err, ErrSettings) {
			t.Errorf("%s: got %v, want %v", name, err, ErrSettings)
		}
	}
	if _, err := CutTiles(t.Context(), net, 4, unreadable, tiledSettings()); err == nil || err.Error() != "unreadable" {
		t.Errorf("got %v", err)
	}
}
