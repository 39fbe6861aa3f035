package tile

import (
	"image"
	"image/color"
	"math"
	"testing"
)

// Tiles cover an axis, and their weights are 1 together at each place.
func TestAxis(t *testing.T) {
	const tol = 1e-6 // rounding of float32
	for tile := 1; tile <= 40; tile += 3 {
		for overlap := 0; overlap <= tile/2; overlap++ {
			for _, size := range []int{1, tile - 1, tile, tile + 1, 2*tile - overlap, 2*tile + 1, 5 * tile, 5*tile + 7} {
				if size < 1 {
					continue
				}
				a := NewAxis(size, tile, overlap)
				sum := make([]float64, size)
				for i, at := range a.At {
					if i > 0 && (at <= a.At[i-1] || a.At[i-1]+tile-at < overlap) {
						t.Fatalf("size %d, tile %d, overlap %d: tiles at %v", size, tile, overlap, a.At)
					}
					for x := range min(tile, size) {
						sum[at+x] += float64(a.Weight[i][x])
					}
				}
				for x, s := range sum {
					if math.Abs(s-1) > tol {
						t.Fatalf("size %d, tile %d, overlap %d: weights at %d are %v together", size, tile, overlap, x, s)
					}
				}
			}
		}
	}
}

// A tile has the image's pixels, and their reflection beyond it.
func TestCut(t *testing.T) {
	const height, width = 5, 7
	grey := image.NewGray(image.Rect(-2, 3, width-2, height+3))
	for i := range grey.Pix {
		grey.Pix[i] = uint8(3 * i)
	}
	other := image.NewNRGBA(image.Rect(0, 0, width, height)) // which has to be converted
	for y := range height {
		for x := range width {
			v := grey.GrayAt(x-2, y+3).Y
			other.SetNRGBA(x, y, color.NRGBA{v, v, v, 255})
		}
	}
	reflected := func(i, n int) int {
		if i >= n {
			i = 2*n - 1 - i
		}
		return i
	}
	for _, img := range []image.Image{grey, other} {
		for _, tt := range []struct{ y, x, height, width int }{{0, 0, 5, 7}, {1, 2, 4, 5}, {2, 2, 6, 9}, {0, 3, 8, 4}} {
			c, err := NewCanvas(img, 1, max(tt.height, tt.height+tt.y), tt.width+tt.x, 1)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]uint8, tt.height*tt.width)
			if err := c.Cut(got, tt.y, tt.x, tt.height, tt.width); err != nil {
				t.Fatal(err)
			}
			for i, v := range got {
				y, x := reflected(tt.y+i/tt.width, height), reflected(tt.x+i%tt.width, width)
				if want := grey.GrayAt(x-2, y+3).Y; v != want {
					t.Fatalf("%T, %+v: at (%d,%d): got %d, want %d", img, tt, i%tt.width, i/tt.width, v, want)
				}
			}
		}
	}
	if _, err := NewCanvas(image.NewGray(image.Rect(0, 0, 1<<14, 1<<13)), 1, 8, 8, 1); err == nil {
		t.Error("too large: no error")
	}
	if c, err := NewCanvas(grey, .5, 1, 1, 3); err != nil || c.Height != 3 || c.Width != 4 {
		t.Errorf("half: got %+v, %v", c, err)
	}
}
