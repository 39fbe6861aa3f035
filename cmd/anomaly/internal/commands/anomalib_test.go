package commands

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/onnxexport"
)

const (
	// inferencerScoreTol is how far OpenVINO's float32 scores, which lie in [0,1], may
	// be from ours: sums in another order, which SSIM's quotient magnifies.
	inferencerScoreTol = 5e-5
	// inferencerMapTol is the same for maps, whose flat areas the quotient magnifies more.
	inferencerMapTol = 5e-4
	// inferencerHalfTol is the same for scores where OpenVINO takes bfloat16 by
	// itself: the network's 8 bits, of which SSIM gets to see the result alone.
	inferencerHalfTol = 0.05
)

// photo returns one of many images of gradients, stripes and noise.
func photo(i, height, width int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	noise := uint32(i + 1)
	for y := range height {
		for x := range width {
			noise = noise*1664525 + 1013904223
			u, v := x*256/width, y*256/height
			img.SetRGBA(x, y, color.RGBA{uint8(u/2 + v/4 + int(noise>>28)), uint8(96 + (u+v*i)%64), uint8(v/2 + int(noise>>24)%32), 255})
		}
	}
	if i%3 == 0 { // a scratch
		for x := width / 4; x < width*3/4; x++ {
			for y := height / 2; y < height/2+1+height/40; y++ {
				img.SetRGBA(x, y, color.RGBA{250, 250, 240, 255})
			}
		}
	}
	return img
}

// TestAnomalibInferencer runs exported files with anomalib's own OpenVINOInferencer,
// on images of the network's size and of others, and compares what it gives with
// what run gives on the file they were exported from.
func TestAnomalibInferencer(t *testing.T) {
	python := os.Getenv("ANOMALY_ANOMALIB_PYTHON")
	if python == "" {
		t.Skip("ANOMALY_ANOMALIB_PYTHON names no Python with scripts/requirements-anomalib.txt: make testanomalib")
	}
	dir := t.TempDir()
	for i := range 12 {
		if err := writePNG(filepath.Join(dir, "good", fmt.Sprintf("%02d.png", i)), photo(3*i+1, 64, 64)); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range [][2]int{{64, 64}, {900, 900}, {100, 80}, {40, 120}} {
		for i := range 4 {
			if err := writePNG(filepath.Join(dir, "images", fmt.Sprintf("%dx%d-%d.png", size[1], size[0], i)), photo(i, size[0], size[1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("bottles", func(t *testing.T) { // 900x900, where they are at hand
		for _, kind := range []string{"good", "broken_large", "contamination"} {
			bottles, err := filepath.Glob(filepath.Join(testenv.Shared(t, "data", "mvtec", "bottle", "test", kind), "*.png"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range bottles[:min(7, len(bottles))] {
				if err := os.WriteFile(filepath.Join(dir, "images", kind+"-"+filepath.Base(path)), mustRead(t, path), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
	for _, channels := range []string{"3", "1"} {
		t.Run(channels+" channels", func(t *testing.T) {
			detector, file := filepath.Join(dir, channels+".onnx"), filepath.Join(dir, channels+"-anomalib.onnx")
			mustRun(t, 0, "train", "--data", filepath.Join(dir, "good"), "--out", detector, "--channels", channels,
				"--size", "64", "--filters", "8", "--epochs", "20", "--batch", "4", "--lr", "0.01")
			// A threshold with half of the images on either side.
			var scores []float32
			stdout, _ := mustRun(t, 0, "run", "--json", detector, filepath.Join(dir, "images"))
			for line := range strings.Lines(stdout) {
				var d decided
				if err := json.Unmarshal([]byte(line), &d); err != nil {
					t.Fatal(err)
				}
				scores = append(scores, d.Score)
			}
			slices.Sort(scores)
			middle := (scores[len(scores)/2-1] + scores[len(scores)/2]) / 2
			mustRun(t, 0, "calibrate", detector, "--threshold", fmt.Sprint(middle))
			mustRun(t, 0, "export", detector, "--profile", "anomalib", "--out", file)
			compareInferencer(t, python, detector, file, filepath.Join(dir, "images"))
		})
	}
}

// A seen is what the inferencer found in an image (testdata/inferencer.py).
type seen struct {
	Precision, Used string
	Score           float32
	Anomalous       bool
}

func compareInferencer(t *testing.T, python, detector, file, images string) {
	results, folder := t.TempDir(), t.TempDir()
	stdout, _ := mustRun(t, 0, "run", "--json", "--out", results, "--save", "map", detector, images)
	var want []decided
	var paths []string
	for line := range strings.Lines(stdout) {
		var d decided
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		want, paths = append(want, d), append(paths, d.Path)
	}
	m, err := onnxexport.Reopen(mustRead(t, file))
	if err != nil {
		t.Fatal(err)
	}
	o, err := m.Options()
	if err != nil {
		t.Fatal(err)
	}
	threshold, pixel, err := m.Thresholds()
	if err != nil {
		t.Fatal(err)
	}

	script, err := filepath.Abs("testdata/inferencer.py")
	if err != nil {
		t.Fatal(err)
	}
	precisions := []string{"f32", "default"}
	c := exec.Command(python, append([]string{"-W", "ignore", script, file, folder, strings.Join(precisions, ",")}, paths...)...)
	c.Dir = folder
	var stderr strings.Builder
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(precisions)*len(want) {
		t.Fatalf("got %d results, want %d", len(lines), len(precisions)*len(want))
	}
	for k, precision := range precisions {
		var s seen
		var worst, worstMap float64
		labels, pixels := 0, 0
		for i, d := range want {
			if err := json.Unmarshal([]byte(lines[k*len(want)+i]), &s); err != nil || s.Precision != precision {
				t.Fatalf("got %q, %v", lines[k*len(want)+i], err)
			}
			worst = max(worst, math.Abs(float64(s.Score-onnxexport.Normalize(d.Score, threshold, &o.Map))))
			if s.Anomalous != *d.Anomalous {
				labels++
			}
			raw := load[float32](t, filepath.Join(results, filepath.Base(d.Path)+".map.npy"))
			got := load[float32](t, filepath.Join(folder, fmt.Sprintf("%s-%d.map.npy", precision, i)))
			mask := load[bool](t, filepath.Join(folder, fmt.Sprintf("%s-%d.mask.npy", precision, i)))
			if len(got) != len(raw) || len(mask) != len(raw) {
				t.Fatalf("got %d pixels, %d of the mask, want %d", len(got), len(mask), len(raw))
			}
			for j := range raw {
				worstMap = max(worstMap, math.Abs(float64(got[j]-onnxexport.Normalize(raw[j], pixel, &o.Map))))
				if mask[j] != (raw[j] > pixel) {
					pixels++
				}
			}
		}
		t.Logf("%s (%s), %d images: scores differ by up to %.1e, maps by up to %.1e; %d labels and %d pixels of masks differ",
			precision, s.Used, len(want), worst, worstMap, labels, pixels)
		if !(worst <= inferencerHalfTol) {
			t.Errorf("want scores within %g", inferencerHalfTol)
		}
		if precision == "f32" && (s.Used != "f32" || !(worst <= inferencerScoreTol) || !(worstMap <= inferencerMapTol) || labels > 0) {
			t.Errorf("want scores within %g, maps within %g, and the same labels", inferencerScoreTol, inferencerMapTol)
		}
	}
}

// load returns the elements of an npy file.
func load[T npy.Element](t *testing.T, path string) []T {
	t.Helper()
	_, data, err := npy.Load[T](path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
