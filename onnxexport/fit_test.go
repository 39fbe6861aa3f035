package onnxexport

import (
	"context"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// TestFit compares what an exported file makes of images of any size with what
// training made of them: every pixel is the same, to the bit.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		name               string
		h, w               int // of the image
		height, width, chs int // of the network
	}{
		{"as it is", 31, 47, 31, 47, 3},
		{"as it is, grey", 31, 47, 31, 47, 1},
		{"half, ties everywhere", 64, 96, 32, 48, 3},
		{"down", 90, 90, 64, 64, 3},
		{"down, odd", 101, 67, 32, 48, 3},
		{"down, grey", 101, 67, 32, 48, 1},
		{"up", 20, 17, 64, 61, 3},
		{"up and down", 19, 200, 32, 48, 3},
		{"one column as it is", 80, 48, 32, 48, 1},
		{"of one pixel", 1, 1, 16, 24, 3},
		{"to one pixel", 9, 14, 1, 1, 3},
		{"a photo's", 900, 900, 128, 128, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, uint64(c.h*c.w)))
			n := 2
			pixels := graph.Zeros(graph.Float32, n, 3, c.h, c.w)
			want := make([]uint8, n*c.height*c.width*c.chs)
			for i := range n {
				img := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
				for at := range c.h * c.w {
					for channel := range 4 {
						level := uint8(rng.IntN(256))
						if channel == 3 {
							level = 255
						} else {
							graph.Data[float32](pixels)[(i*3+channel)*c.h*c.w+at] = float32(level) / 255
						}
						img.Pix[4*at+channel] = level
					}
				}
				size := c.height * c.width * c.chs
				if err := imageio.Resize(want[i*size:(i+1)*size], img, c.height, c.width, c.chs); err != nil {
					t.Fatal(err)
				}
			}
			g := graph.New("fit")
			x := fit(g.Input("x", graph.Float32, graph.Dynamic, 3, graph.Dynamic, graph.Dynamic), c.chs, c.height, c.width)
			u := g.Input("u", graph.Uint8, graph.Dynamic, c.height, c.width, c.chs)
			g.Output("fitted", x)
			g.Output("pixels", Pixels(u))
			if got, want := x.Type.String(), fmt.Sprintf("float32[N,%d,%d,%d]", c.chs, c.height, c.width); g.Err() != nil || got != want {
				t.Fatalf("got %s, %v, want %s", got, g.Err(), want)
			}
			out, err := ref.Eval[float32](context.Background(), g, map[string]*graph.Tensor{
				"x": pixels, "u": graph.NewTensor(want, n, c.height, c.width, c.chs),
			})
			if err != nil {
				t.Fatal(err)
			}
			got, same := graph.Data[float32](out[0]), graph.Data[float32](out[1])
			differ := 0
			for i := range same {
				if got[i] != same[i] {
					differ++
				}
			}
			if differ > 0 {
				t.Errorf("%d of %d pixels differ", differ, len(same))
			}
		})
	}
}
