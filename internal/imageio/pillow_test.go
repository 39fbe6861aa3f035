package imageio

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// How far in 1/255 an image may be from Pillow's, at the most and on average.
type tolerance struct {
	max  int
	mean float64
}

var (
	exact = tolerance{}
	// Products of 8 bit numbers, rounded at another place.
	rounding = tolerance{max: 1, mean: 1}
	// The transform of blocks, and colours computed from YCbCr in integers.
	transform = tolerance{max: matrixTolerance, mean: .5}
)

// TestPillow compares images as plants make them with what Pillow reads.
func TestPillow(t *testing.T) {
	testenv.Regenerate(t, "gen_pillow.py")
	files, err := filepath.Glob("testdata/pillow/*.golden.png")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	for _, golden := range files {
		file := strings.TrimSuffix(golden, ".golden.png")
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			img, _, err := Decode(bytes.NewReader(data), nil)
			if err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			want, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if img.Bounds() != want.Bounds() {
				t.Fatalf("got bounds %v, want %v", img.Bounds(), want.Bounds())
			}
			worst, sum, n := 0, 0, 0
			for y := range want.Bounds().Dy() {
				for x := range want.Bounds().Dx() {
					r, g, bl, _ := img.At(x, y).RGBA()
					wr, wg, wb, _ := want.At(x, y).RGBA()
					for _, pair := range [][2]uint32{{r, wr}, {g, wg}, {bl, wb}} {
						d := max(int(pair[0]>>8)-int(pair[1]>>8), int(pair[1]>>8)-int(pair[0]>>8))
						worst, sum, n = max(worst, d), sum+d, n+1
					}
				}
			}
			tol := toleranceOf(name)
			if mean := float64(sum) / float64(n); worst > tol.max || mean > tol.mean {
				t.Errorf("got differences of %d/255 and %.2f/255 on average, want at most %d and %g", worst, mean, tol.max, tol.mean)
			}
			if _, gray := img.(*image.Gray); !gray && strings.HasPrefix(name, "gray") && !strings.Contains(name, "alpha") {
				t.Errorf("got %T, want a grey image", img)
			}
			for _, part := range []int{len(data) / 2, len(data) * 9 / 10} {
				if _, _, err := Decode(bytes.NewReader(data[:part]), nil); err == nil {
					t.Errorf("cut after %d of %d bytes: got no error", part, len(data))
				}
			}
		})
	}
}

func toleranceOf(name string) tolerance {
	has := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case has(".jpg"):
		return transform
	case has("cmyk"), has("rgba"), has("alpha"):
		return rounding
	}
	return exact
}
