package commands

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/judge"
)

const sheetHigh, sheetWide = 60, 90

// sheet is an image of a grating, larger than a network, with a dark square where a
// defect is wanted, and its mask.
func sheet(i int, defect image.Rectangle) (img, mask *image.Gray) {
	img, mask = image.NewGray(image.Rect(0, 0, sheetWide, sheetHigh)), image.NewGray(image.Rect(0, 0, sheetWide, sheetHigh))
	for y := range sheetHigh {
		for x := range sheetWide {
			img.SetGray(x, y, color.Gray{uint8(120 + 40*((x+i)/2%2) + (7*x+13*y*i)%5)})
			if image.Pt(x, y).In(defect) {
				img.SetGray(x, y, color.Gray{0})
				mask.SetGray(x, y, color.Gray{255})
			}
		}
	}
	return img, mask
}

// sheets writes a data set in MVTec AD's layout: defects lie at several places, on
// seams and between, the last two at the right.
func sheets(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, img image.Image) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := writePNG(path, img); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		img, _ := sheet(i, image.Rectangle{})
		write(fmt.Sprintf("train/good/%d.png", i), img)
	}
	for i, at := range []image.Point{{30, 30}, {25, 8}, {44, 50}, {80, 5}, {84, 50}} {
		img, _ := sheet(10+i, image.Rectangle{})
		write(fmt.Sprintf("test/good/%d.png", i), img)
		img, mask := sheet(20+i, image.Rectangle{Min: at, Max: at.Add(image.Pt(5, 5))})
		write(fmt.Sprintf("test/spot/%d.png", i), img)
		write(fmt.Sprintf("ground_truth/spot/%d_mask.png", i), mask)
	}
	return dir
}

var tinyTiles = []string{
	"--size", "32", "--channels", "1", "--filters", "4", "--depth", "1", "--epochs", "3", "--lr", "0.01",
	"--loss", "mse", "--map", "l2", "--blur", "0", "--provider", "go", "--model", "dcae",
}

func findingsOf(t *testing.T, stdout string) (all []judge.Finding) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var f judge.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	return all
}

// Images are trained on in tiles, and run so on any provider, by all commands.
func TestTiles(t *testing.T) {
	data, dir := sheets(t), t.TempDir()
	model, test := filepath.Join(dir, "m.onnx"), filepath.Join(data, "test", "spot")
	_, stderr := mustRun(t, 0, append([]string{"train", "--data", data, "--out", model, "--tiles"}, tinyTiles...)...)
	if !strings.Contains(stderr, "8 images of ") || !strings.Contains(stderr, ", 96 tiles of them read") || strings.Contains(stderr, "squashed") {
		t.Errorf("got %q, want twice as many tiles as cover 8 images", stderr)
	}
	out := filepath.Join(dir, "out")
	stdout, stderr := mustRun(t, 0, "run", "--provider", "go", "--json", "--out", out, "--save", "picture,map,mask", model, test)
	if strings.Contains(stderr, "squashed") || !strings.Contains(stderr, "looks at tiles that overlap by 8 pixels") {
		t.Errorf("run: got %q", stderr)
	}
	found := findingsOf(t, stdout)
	for i, f := range found {
		shape, _, err := npy.Load[float32](filepath.Join(out, fmt.Sprintf("%d.png.map.npy", i)))
		if err != nil || !slices.Equal(shape, []int{sheetHigh, sheetWide}) {
			t.Errorf("image %d: got a map %v, %v, want %dx%d", i, shape, err, sheetHigh, sheetWide)
		}
		if !*f.Anomalous || len(f.Regions) == 0 {
			t.Errorf("image %d: got %+v, want an anomaly", i, f)
		}
	}
	// On seams of tiles, at 16 to 32 and 40 to 56, a defect scores what it does between.
	const seamTol = .35
	for i, f := range found[:3] {
		if r := float64(f.Score / found[3].Score); math.Abs(r-1) > seamTol {
			t.Errorf("image %d: got score %v, where no seam is %v", i, f.Score, found[3].Score)
		}
	}
	if code, onCPU, stderr := anomaly(t.Context(), "run", "--provider", "cpu", "--json", model, test); code == 0 {
		const tol = 1e-4 // of scores: two implementations in float32
		for i, f := range findingsOf(t, onCPU) {
			if math.Abs(float64(f.Score/found[i].Score)-1) > tol {
				t.Errorf("image %d: got %v on cpu, %v on go", i, f.Score, found[i].Score)
			}
		}
	} else {
		t.Logf("provider cpu is left out: %s", stderr)
	}
	stdout, _ = mustRun(t, 0, "eval", "--provider", "go", "--json", "--data", data, "--out", filepath.Join(dir, "report"), model)
	var e judge.Evaluation
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || e.Image.AUROC < .99 || e.Pixel.AUROC < .95 {
		t.Errorf("got %s, %v", stdout, err)
	}
	if coarse, _ := mustRun(t, 0, "eval", "--provider", "go", "--json", "--data", data, "--resolution", "30", model); !strings.Contains(coarse, `"resolution":30`) {
		t.Errorf("--resolution: got %s", coarse)
	}
	mustRun(t, 0, "calibrate", "--provider", "go", "--data", data, model)
	if stdout, _ := mustRun(t, 0, "inspect", "--provider", "go", "--verify", model); !strings.Contains(stdout, "tiles that overlap by 8 pixels") {
		t.Errorf("inspect: got %q", stdout)
	}
	exported := filepath.Join(dir, "float.onnx")
	mustRun(t, 0, "export", "--input", "float", "--out", exported, model)
	again, _ := mustRun(t, 0, "run", "--provider", "go", "--json", exported, test)
	for i, f := range findingsOf(t, again) {
		if math.Abs(float64(f.Score/found[i].Score)-1) > 1e-4 {
			t.Errorf("exported: image %d: got %v, want %v", i, f.Score, found[i].Score)
		}
	}
	if _, stderr := mustRun(t, 0, "run", "--provider", "go", "--tiles=false", model, test); strings.Contains(stderr, "looks at") || !strings.Contains(stderr, "squashed to 32x32") {
		t.Errorf("--tiles=false: got %q", stderr)
	}
	stdout, _ = mustRun(t, 0, "run", "--provider", "go", "--json", "--tiles", "--tile-overlap", "12", exported, test)
	for i, f := range findingsOf(t, stdout) {
		if math.Abs(float64(f.Score/found[i].Score)-1) > seamTol {
			t.Errorf("--tile-overlap: image %d: got %v, want about %v", i, f.Score, found[i].Score)
		}
	}
	// The same configuration, the same model.
	second := filepath.Join(dir, "second.onnx")
	mustRun(t, 0, "train", "--config", model+".config.json", "--out", second)
	stdout, _ = mustRun(t, 0, "run", "--provider", "go", "--json", second, test)
	for i, f := range findingsOf(t, stdout) {
		if f.Score != found[i].Score {
			t.Errorf("--config: image %d: got %v, want %v", i, f.Score, found[i].Score)
		}
	}
}

// A region of interest is kept with a model, scores nothing outside of it, and is
// held against the images' aspect.
func TestROI(t *testing.T) {
	data, dir := sheets(t), t.TempDir()
	mask := filepath.Join(dir, "roi.png")
	left := image.NewGray(image.Rect(0, 0, sheetWide/3, sheetHigh/3))
	for y := range sheetHigh / 3 {
		for x := range sheetWide / 3 * 2 / 3 {
			left.SetGray(x, y, color.Gray{255})
		}
	}
	if err := writePNG(mask, left); err != nil {
		t.Fatal(err)
	}
	test := filepath.Join(data, "test", "spot")
	for name, flags := range map[string][]string{"whole": {"--size", "48x32"}, "tiles": {"--tiles"}} {
		model := filepath.Join(dir, name+".onnx")
		mustRun(t, 0, append(append([]string{"train", "--data", data, "--out", model, "--roi", mask}, tinyTiles[2:]...), append(flags, "--depth", "1")...)...)
		stdout, stderr := mustRun(t, 0, "run", "--provider", "go", "--json", model, test)
		if !strings.Contains(stderr, "a region of 66.7 % of the image") {
			t.Errorf("%s: got %q", name, stderr)
		}
		for i, f := range findingsOf(t, stdout) {
			if inside := i < 3; *f.Anomalous != inside {
				t.Errorf("%s: image %d: got score %v, anomalous %v", name, i, f.Score, *f.Anomalous)
			}
		}
		other := filepath.Join(t.TempDir(), "square.png")
		if err := writePNG(other, image.NewGray(image.Rect(0, 0, 50, 50))); err != nil {
			t.Fatal(err)
		}
		if _, stderr := mustRun(t, 1, "run", "--provider", "go", model, other); !strings.Contains(stderr, "got an image of 50x50 pixels, want the aspect of the region of interest, 30x20") {
			t.Errorf("%s: got %q", name, stderr)
		}
	}
	plain := filepath.Join(dir, "plain.onnx")
	mustRun(t, 0, append([]string{"train", "--data", data, "--out", plain}, tinyTiles...)...)
	stdout, _ := mustRun(t, 0, "run", "--provider", "go", "--json", "--roi", mask, plain, test)
	all, _ := mustRun(t, 0, "run", "--provider", "go", "--json", plain, test)
	for i, f := range findingsOf(t, stdout) {
		if inside, without := i < 3, findingsOf(t, all)[i]; inside != (f.Score == without.Score) {
			t.Errorf("run --roi: image %d: got score %v, without %v", i, f.Score, without.Score)
		}
	}
	square, black, text := filepath.Join(dir, "square.png"), filepath.Join(dir, "black.png"), filepath.Join(dir, "text.png")
	white := image.NewGray(image.Rect(0, 0, 9, 9))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	for path, img := range map[string]image.Image{square: white, black: image.NewGray(image.Rect(0, 0, 9, 6))} {
		if err := writePNG(path, img); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(text, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		flags string
		code  int
		want  string
	}{
		{"--roi " + square, 1, "0.png: runtime: input: got an image of 90x60 pixels, want the aspect of the region of interest, 9x9"},
		{"--roi " + black, 2, "got a black image, want white where to look"},
		{"--roi " + text, 2, "neither PNG"},
		{"--roi absent.png", 2, "no such file"},
		{"--tiles --tile-scale 1.5", 2, "--tile-scale: got 1.5"},
		{"--tiles --tile-overlap 17", 2, "overlap: got 17, want 0 to 16"},
		{"--tile-overlap 8", 2, "need --tiles"},
		{"--tiles --drop-suspects", 2, "go without --tiles"},
	} {
		args := append(append([]string{"train", "--data", data, "--out", filepath.Join(dir, "bad.onnx")}, tinyTiles...), strings.Fields(tt.flags)...)
		if _, stderr := mustRun(t, tt.code, args...); !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.flags, stderr, tt.want)
		}
	}
}

// The part alone is looked at; images where none stands out are named.
func TestForegroundFlag(t *testing.T) {
	dir := t.TempDir()
	part := image.Rect(15, 10, 50, 45)
	draw := func(i int, defect image.Rectangle) *image.Gray {
		img := image.NewGray(image.Rect(0, 0, 64, 56))
		busy, _ := sheet(i, image.Rectangle{})
		for y := range 56 {
			for x := range 64 {
				switch at := image.Pt(x, y); {
				case at.In(defect):
					img.SetGray(x, y, color.Gray{255})
				case at.In(part):
					img.SetGray(x, y, busy.GrayAt(x, y))
				default:
					img.SetGray(x, y, color.Gray{30})
				}
			}
		}
		return img
	}
	if err := os.MkdirAll(filepath.Join(dir, "good"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		if err := writePNG(filepath.Join(dir, fmt.Sprintf("good/%d.png", i)), draw(i, image.Rectangle{})); err != nil {
			t.Fatal(err)
		}
	}
	model, test := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "test")
	if err := os.MkdirAll(test, 0o755); err != nil {
		t.Fatal(err)
	}
	texture, _ := sheet(3, image.Rectangle{})
	for name, img := range map[string]image.Image{
		"a.png": draw(20, image.Rectangle{}),
		"b.png": draw(21, image.Rect(25, 20, 31, 26)), // on the part
		"c.png": texture.SubImage(image.Rect(0, 0, 64, 56)),
	} {
		if err := writePNG(filepath.Join(test, name), img); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"train", "--data", filepath.Join(dir, "good"), "--out", model, "--foreground"}, tinyTiles...)
	if _, stderr := mustRun(t, 0, args...); !strings.Contains(stderr, "a part stands out from the background in 8 of 8 images") {
		t.Errorf("got %q", stderr)
	}
	stdout, stderr := mustRun(t, 0, "run", "--provider", "go", "--json", model, test)
	const said = "no part stands out from a background: the whole image is looked at (1: c.png)"
	if !strings.Contains(stderr, said) || !strings.Contains(stderr, "looks at the part, where one stands out") {
		t.Errorf("got %q, want %q", stderr, said)
	}
	if f := findingsOf(t, stdout); *f[0].Anomalous || !*f[1].Anomalous {
		t.Errorf("got %+v", f)
	}
}
