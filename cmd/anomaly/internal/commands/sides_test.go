package commands

import (
	"fmt"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/runtime"
)

func TestSetSides(t *testing.T) {
	for _, tt := range []struct {
		size          string
		height, width int // 0x0: an error
	}{
		{"64", 64, 0}, {"80x64", 64, 80}, {"80X64", 64, 80},
		{"0", 0, 0}, {"x", 0, 0}, {"64x", 0, 0}, {"-8x64", 0, 0}, {"64x64x3", 0, 0}, {"big", 0, 0},
	} {
		var s models.Spec
		err := setSides(&s, tt.size)
		if (err == nil) != (tt.height > 0) || err == nil && (s.Height != tt.height || s.Width != tt.width) {
			t.Errorf("%q: got %dx%d, %v, want %dx%d", tt.size, s.Width, s.Height, err, tt.width, tt.height)
		}
	}
}

// A network gets the aspect of most of its training images. What is squashed all the
// same is said, once, with the worst of it; a model of its images' aspect squashes none.
func TestAspect(t *testing.T) {
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "wide.onnx")
	for i, size := range []image.Point{{60, 20}, {60, 20}, {90, 30}, {61, 20}, {20, 20}, {60, 20}} {
		if err := writePNG(filepath.Join(dir, fmt.Sprintf("%d.png", i)), photo(i, size.Y, size.X)); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"train", "--model", "dcae", "--data", dir, "--out", out, "--filters", "2", "--epochs", "1", "--batch", "4", "--loss", "mse", "--map", "l2", "--provider", "go"}
	_, stderr := mustRun(t, 0, args...)
	const squashed = "squashed to 216x72, which is of another aspect (1: 4.png), the most 4.png of 20x20, 3.00 times\n"
	if strings.Count(stderr, "squashed") != 1 || !strings.Contains(stderr, squashed) {
		t.Errorf("train: got %q, want %q", stderr, squashed)
	}
	det, err := runtime.Open(out, &runtime.Options{SessionOptions: runtime.SessionOptions{Provider: runtime.Go}})
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	if info := det.Info(); info.Height != 72 || info.Width != 216 || info.MapHeight != 72 || info.MapWidth != 216 {
		t.Errorf("got %dx%d with maps of %dx%d, want 216x72", info.Width, info.Height, info.MapWidth, info.MapHeight)
	}
	if _, stderr := mustRun(t, 0, "run", "--provider", "go", out, dir); strings.Count(stderr, "squashed") != 1 || !strings.Contains(stderr, squashed) {
		t.Errorf("run: got %q, want %q", stderr, squashed)
	}
	if _, stderr := mustRun(t, 0, "run", "--provider", "go", out, filepath.Join(dir, "2.png")); strings.Contains(stderr, "squashed") {
		t.Errorf("run: got %q of an image of the model's aspect", stderr)
	}
	// Everything else takes the file as it is.
	mustRun(t, 0, "calibrate", "--provider", "go", "--good", dir, out)
	mustRun(t, 0, "inspect", "--provider", "go", "--verify", out)
	for _, profile := range []string{"detector", "reconstruction", "anomalib"} {
		mustRun(t, 0, "export", "--profile", profile, "--out", filepath.Join(t.TempDir(), "x.onnx"), out)
	}
	mustRun(t, 0, append(args, "--size", "48x16")...)
	mustRun(t, 2, append(args, "--size", "50x16")...) // no multiple of 8
}
