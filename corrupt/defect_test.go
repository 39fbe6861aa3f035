package corrupt

import (
	"math"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/augment"
)

// Defects have the size and contrast that they are said to have, lie on the part,
// are as grey as the image and repeat.
func TestDefect(t *testing.T) {
	for _, size := range [][3]int{{128, 128, 3}, {96, 160, 1}} {
		h, w, c := size[0], size[1], size[2]
		images := discs(3, h, w, c)
		if c == 3 { // without colour
			for at := range images {
				images[at] = images[at/3*3]
			}
		}
		g, err := New(images, h, w, c, &Options{Seed: 2})
		if err != nil {
			t.Fatal(err)
		}
		// What a generator is to learn from is nothing to its defects.
		learning, err := New(images, h, w, c, &Options{Seed: 2, Clean: .5, Augment: augment.Augmentation{FlipX: true, Quarter: true}})
		if err != nil {
			t.Fatal(err)
		}
		const n = 60
		partArea := math.Pi / 16 * float64(h*w) // of discs
		var areas []float64
		made := 0
		for j := range n {
			i, counter := j%3, uint64(j/3)
			dst, mask, again := make([]uint8, h*w*c), make([]uint8, h*w), make([]uint8, h*w*c)
			if !g.Defect(dst, mask, i, counter) {
				continue
			}
			made++
			if g.Defect(again, nil, i, counter); !slices.Equal(again, dst) {
				t.Fatalf("%v: defect %d differs when made again", size, j)
			}
			if learning.Defect(again, nil, i, counter); !slices.Equal(again, dst) {
				t.Fatalf("%v: defect %d differs with other options", size, j)
			}
			area, on, change := 0., 0., 0.
			for p, a := range mask {
				d := 0.
				for k := range c {
					d += math.Abs(float64(dst[p*c+k])-float64(images[(i*h*w+p)*c+k])) / float64(c)
				}
				if a == 0 && d > 0 {
					t.Fatalf("%v: defect %d: pixel %d is changed outside the mask", size, j, p)
				}
				if a > 0 {
					area++
					change += d
					if g.Foreground(i)[p] {
						on++
					}
				}
				if c == 3 && (dst[p*3] != dst[p*3+1] || dst[p*3] != dst[p*3+2]) {
					t.Fatalf("%v: defect %d: pixel %d has a colour", size, j, p)
				}
			}
			areas = append(areas, area/partArea)
			// The outline is ragged and softened by a pixel on each side, and faint there.
			if mean := change / area / 255; mean < LeastChange/3 || mean > MostChange {
				t.Errorf("%v: defect %d changes pixels by %.3f, want %.3f to %.3f inside", size, j, mean, LeastChange, MostChange)
			}
			if on < area/2 {
				t.Errorf("%v: defect %d lies with %v of %v pixels on the part", size, j, on, area)
			}
		}
		slices.Sort(areas)
		const outline = 3 // times the area, of the smallest
		if made < n*9/10 || areas[0] < LeastDefect/outline || areas[len(areas)-1] > MostDefect*outline || areas[len(areas)/2] > MostDefect {
			t.Errorf("%v: got %d of %d defects of %.4f to %.4f of the part, want %.4f to %.4f", size, made, n, areas[0], areas[len(areas)-1], LeastDefect, MostDefect)
		}
	}
}
