package runtime

import (
	"errors"
	"image"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// shadowed opens two models and a shadow of the second beside the first.
func shadowed(t *testing.T, live, candidate []byte, o *ShadowOptions) (*Detector, *Shadow) {
	t.Helper()
	d := openDetector(t, live, &Options{SessionOptions: SessionOptions{Provider: Go}})
	path := filepath.Join(t.TempDir(), "candidate.onnx")
	writeFile(t, path, candidate)
	s, err := NewShadow(d, path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return d, s
}

func observe(t *testing.T, d *Detector, s *Shadow, values ...uint8) {
	t.Helper()
	var imgs []image.Image
	var names []string
	for _, v := range values {
		imgs, names = append(imgs, uniform(v)), append(names, string(rune('a'+len(names))))
	}
	if err := s.Observe(t.Context(), imgs, detect(t, d, imgs...), names); err != nil {
		t.Fatal(err)
	}
}

// The models score |v-0.25| and |v-0.5| for images of grey value v.
func TestShadow(t *testing.T) {
	live, candidate := plainModel(t, plain{.25, 8, 8}, .5), plainModel(t, plain{.5, 16, 24}, .25)
	d, s := shadowed(t, live, candidate, &ShadowOptions{Images: 4, MaxChanged: new(.6), Worst: new(2)})
	observe(t, d, s, 0, 64, 255) // live: .25 .00 .75*, candidate .50* .25 .50*
	r := s.Report()
	if r.Images != 3 || r.Changed != 1 || r.Found != 1 || r.Lost != 0 || r.Done || r.Promote || r.Why != "3 of 4 images compared" {
		t.Errorf("got %+v", r)
	}
	if err := s.Promote(t.Context()); !errors.Is(err, ErrModel) {
		t.Errorf("Promote before the end: got %v, want ErrModel", err)
	}
	observe(t, d, s, 230) // .652* and .402*
	r = s.Report()
	x, y := []float64{.25, 64./255 - .25, .75, 230./255 - .25}, []float64{.5, .5 - 64./255, .5, 230./255 - .5}
	mean := func(v []float64) float64 { return (v[0] + v[1] + v[2] + v[3]) / 4 }
	var xx, yy, xy, shift float64
	for i := range x {
		dx, dy := x[i]-mean(x), y[i]-mean(y)
		xx, yy, xy, shift = xx+dx*dx, yy+dy*dy, xy+dx*dy, shift+(y[i]/.25-x[i]/.5)/4
	}
	if want := xy / math.Sqrt(xx*yy); math.Abs(r.Correlation-want) > 1e-5 || math.Abs(r.Shift-shift) > 1e-5 {
		t.Errorf("got correlation %v and shift %v, want %v and %v", r.Correlation, r.Shift, want, shift)
	}
	if !r.Done || !r.Promote || r.Changed != 1 {
		t.Errorf("got %+v, want it promoted", r)
	}
	var worst []string
	for _, w := range r.Worst {
		worst = append(worst, w.Name)
		if w.Live.Map != nil || w.Candidate.Map != nil || w.Live.Model == w.Candidate.Model {
			t.Errorf("%s: got %+v", w.Name, w)
		}
	}
	if want := []string{"a", "b"}; !slices.Equal(worst, want) { // the verdict, then the largest shift
		t.Errorf("got disagreements %v, want %v", worst, want)
	}
	if err := s.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := detect(t, d, uniform(0))[0]; math.Abs(float64(got.Score)-.5) > 1e-6 || d.Info().Hash != Hash(candidate) {
		t.Errorf("after Promote: got score %v, want .5", got.Score)
	}
}

func TestShadowDecides(t *testing.T) {
	live, other := plainModel(t, plain{.25, 8, 8}, .5), plainModel(t, plain{.5, 8, 8}, .25)
	tests := []struct {
		name      string
		candidate []byte
		o         ShadowOptions
		values    []uint8
		promote   bool
		why       string
	}{
		{"one verdict of two", other, ShadowOptions{Images: 2, MaxChanged: new(.4)}, []uint8{0, 255}, false, "1 of 2 verdicts differ, want at most 0"},
		{"none", other, ShadowOptions{Images: 2, MaxChanged: new(0.)}, []uint8{100, 255}, true, "0 of 2 verdicts differ, at most 0 may"},
		{"no threshold", plainModel(t, plain{.5, 8, 8}, 0), ShadowOptions{Images: 1}, []uint8{0}, false, "not both models say what is anomalous, and there are no verdicts to compare"},
		{"by time", other, ShadowOptions{Duration: 1}, []uint8{255}, true, "0 of 1 verdicts differ, at most 0 may"},
		{"by time, with nothing", other, ShadowOptions{Duration: 1}, nil, false, "no image was compared"},
	}
	for _, tt := range tests {
		d, s := shadowed(t, live, tt.candidate, &tt.o)
		observe(t, d, s, tt.values...)
		if r := s.Report(); !r.Done || r.Promote != tt.promote || r.Why != tt.why {
			t.Errorf("%s: got %v, %v, %q, want true, %v, %q", tt.name, r.Done, r.Promote, r.Why, tt.promote, tt.why)
		}
	}
}

// Another model in use begins the comparison anew.
func TestShadowAfterSwap(t *testing.T) {
	live, candidate := plainModel(t, plain{.25, 8, 8}, .5), plainModel(t, plain{.5, 8, 8}, .25)
	d, s := shadowed(t, live, candidate, nil)
	observe(t, d, s, 0, 255)
	path := filepath.Join(t.TempDir(), "third.onnx")
	third := plainModel(t, plain{.75, 8, 8}, .5)
	writeFile(t, path, third)
	if err := d.Swap(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	observe(t, d, s, 0)
	if r := s.Report(); r.Images != 1 || r.Live != Hash(third) {
		t.Errorf("got %+v, want one image beside the third model", r)
	}
}

func TestShadowErrors(t *testing.T) {
	model := plainModel(t, plain{.25, 8, 8}, .5)
	d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}})
	dir := t.TempDir()
	same, bad := filepath.Join(dir, "same.onnx"), filepath.Join(dir, "bad.onnx")
	writeFile(t, same, model)
	writeFile(t, bad, model[:99])
	for path, o := range map[string]*ShadowOptions{same: nil, bad: nil, filepath.Join(dir, "absent"): nil} {
		if _, err := NewShadow(d, path, o); !errors.Is(err, ErrModel) {
			t.Errorf("%s: got %v, want ErrModel", path, err)
		}
	}
	for _, o := range []ShadowOptions{{Images: -1}, {Duration: -1}, {MaxChanged: new(2.)}, {MaxChanged: new(-.1)}, {MaxChanged: new(math.NaN())}, {Worst: new(-1)}} {
		if _, err := NewShadow(d, same, &o); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: got %v, want ErrInput", o, err)
		}
	}

	_, s := shadowed(t, model, plainModel(t, plain{.5, 8, 8}, .5), &ShadowOptions{Images: 1})
	imgs := []image.Image{uniform(0), image.NewGray(image.Rectangle{}), uniform(255)}
	live := detect(t, d, uniform(0), uniform(0), uniform(255))
	if err := s.Observe(t.Context(), imgs, live[:2], nil); !errors.Is(err, ErrInput) {
		t.Errorf("two results for three images: got %v, want ErrInput", err)
	}
	if err := s.Observe(t.Context(), imgs, live, nil); err != nil {
		t.Fatal(err)
	}
	if r := s.Report(); r.Images != 2 || r.Failed != 1 || !errors.Is(r.Err, ErrInput) || r.Promote || r.Why != "1 of 3 images failed, want none" {
		t.Errorf("an empty image: got %+v", r)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Observe(t.Context(), imgs[:1], live[:1], nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// Detect gives the model's results in use at once, and skips rather than waits.
func TestShadowDetect(t *testing.T) {
	live, candidate := plainModel(t, plain{.25, 8, 8}, .5), plainModel(t, plain{.5, 8, 8}, .5)
	_, s := shadowed(t, live, candidate, nil)
	s.busy <- struct{}{} // as if the candidate were at work
	for range 3 {
		r, err := s.Detect(t.Context(), uniform(0), uniform(255))
		if err != nil || len(r) != 2 || r[0].Score != .25 || r[1].Score != .75 {
			t.Fatalf("got %v, %v", r, err)
		}
	}
	<-s.busy
	if _, err := s.Detect(t.Context(), uniform(0)); err != nil {
		t.Fatal(err)
	}
	for s.Report().Images == 0 {
		time.Sleep(time.Millisecond)
	}
	if r := s.Report(); r.Skipped != 6 || r.Images != 1 || r.Worst[0].Name != "image 1" {
		t.Errorf("got %+v, want 6 skipped and image 1", r)
	}
	s.Close()
	if _, err := s.Detect(t.Context(), uniform(0)); err != nil || s.Report().Images != 1 {
		t.Errorf("after Close: got %v, %d images", err, s.Report().Images)
	}
}
