package augment

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/anomaly-go/anomaly/internal/mirror"
	"github.com/anomaly-go/anomaly/internal/parallel"
)

// ErrImages is wrapped by errors about images.
var ErrImages = errors.New("augment")

// A Finding says how far a change takes images away from their set.
type Finding struct {
	Change string
	// Ratio is how far the changed images are from the nearest one of the others,
	// over how far they were before, in the mean.
	Ratio    float64
	Accepted bool // whether that is at most Accept
}

// String says what was found.
func (f Finding) String() string {
	verdict := "as any other"
	if !f.Accepted {
		verdict = "unlike them"
	}
	return fmt.Sprintf("%s: %.2f times as far from the others, %s", f.Change, f.Ratio, verdict)
}

const (
	// Accept is the largest [Finding.Ratio] of a change that is taken.
	Accept = 1.15

	mostImages = 48 // that are compared, spread over the set
	side       = 32 // pixels, at most, that images are reduced to for it
)

// Choose returns what can be done to images [N,H,W,C], and why: flips, quarter
// turns, any turn or a turn by a few degrees where those leave the set what it is,
// and a little shift, scale and exposure. Of fewer than three images it knows
// nothing, and takes the last alone.
func Choose(pixels []uint8, height, width, channels int) (Augmentation, []Finding, error) {
	size := height * width * channels
	if size < 1 || len(pixels) == 0 || len(pixels)%size != 0 {
		return Augmentation{}, nil, fmt.Errorf("%w: got %d bytes, want images of %dx%dx%d", ErrImages, len(pixels), height, width, channels)
	}
	a := Augmentation{Scale: .03, Shift: .03, Exposure: .03}
	n := len(pixels) / size
	if n < 3 {
		return a, nil, nil
	}
	k := min(n, mostImages)
	images := make([][]uint8, k)
	for i := range images {
		at := i * n / k * size
		images[i] = pixels[at : at+size]
	}
	views := make([]view, k)
	parallel.Each(k, func(i int) { views[i] = newView(images[i], height, width, channels) })
	before := make([][2]float64, k)
	parallel.Each(k, func(i int) { before[i] = nearest(views, &views[i], i) })
	var findings []Finding
	try := func(name string, change func(rng *rand.Rand) Transform) bool {
		ratios := make([][2]float64, k)
		parallel.Each(k, func(i int) {
			t := change(rand.New(rand.NewPCG(1, uint64(i))))
			out := make([]uint8, size)
			t.Image(out, images[i], height, width, channels)
			changed := newView(out, height, width, channels)
			for d, after := range nearest(views, &changed, i) {
				ratios[i][d] = (after + least[d]) / (before[i][d] + least[d])
			}
		})
		var logs [2]float64
		for _, r := range ratios {
			logs[0] += math.Log(r[0])
			logs[1] += math.Log(r[1])
		}
		f := Finding{Change: name, Ratio: math.Exp(max(logs[0], logs[1]) / float64(k))}
		f.Accepted = f.Ratio <= Accept
		findings = append(findings, f)
		return f.Accepted
	}
	still := Transform{matrix: [4]float64{1, 0, 0, 1}, gain: 1}
	fixed := func(t Transform) func(*rand.Rand) Transform { return func(*rand.Rand) Transform { return t } }
	flipX, flipY, quarter := still, still, still
	flipX.flipX, flipY.flipY = true, true
	quarter.transpose, quarter.flipX = true, true
	a.FlipX = try("left and right flipped", fixed(flipX))
	a.FlipY = try("upside down", fixed(flipY))
	if height == width {
		a.Quarter = try("turned by a quarter", fixed(quarter))
	}
	turned := func(degrees float64) func(*rand.Rand) Transform {
		return Augmentation{Rotate: degrees}.Draw
	}
	const little = 5
	if a.Quarter && try("turned by any angle", turned(180)) {
		a.Rotate = 180
	} else if try(fmt.Sprintf("turned by up to %d°", little), turned(little)) {
		a.Rotate = little
	}
	return a, findings, nil
}

// A view is what images are compared by: their pixels, reduced, and how edges run
// in their parts, which tells fine textures that reducing leaves grey.
type view struct {
	pixels [][]float32 // [H·W·C] of the reduced image, and of it shifted by a pixel in each direction
	edges  []float32   // mean strength of edges [cells·cells] by direction
}

const (
	cells      = 4 // on each side of the image
	directions = 8
)

// least is added to distances of pixels and of edges, both of values from 0 to
// 255, so that those of images that are nearly equal are not told apart.
var least = [2]float64{1, .1}

// nearest returns the root mean square difference between x and the nearest of
// the views but number i, by pixels, whatever shift of one fits best, and by edges.
func nearest(views []view, x *view, i int) (distance [2]float64) {
	best := [2]float64{math.Inf(1), math.Inf(1)}
	for j := range views {
		if j == i {
			continue
		}
		for _, shifted := range views[j].pixels {
			best[0] = min(best[0], squares(x.pixels[0], shifted))
		}
		best[1] = min(best[1], squares(x.edges, views[j].edges))
	}
	return [2]float64{math.Sqrt(best[0]), math.Sqrt(best[1])}
}

// squares returns the mean square difference.
func squares(a, b []float32) float64 {
	sum := float32(0)
	for i, v := range a {
		d := v - b[i]
		sum += float32(d * d)
	}
	return float64(sum) / float64(len(a))
}

func newView(img []uint8, h, w, c int) view {
	small, rh, rw := reduce(img, h, w, c)
	v := view{pixels: [][]float32{small}, edges: make([]float32, cells*cells*directions)}
	for dy := -1; dy <= 1; dy++ {
		for dx := -1; dx <= 1; dx++ {
			if dy == 0 && dx == 0 {
				continue
			}
			shifted := make([]float32, len(small))
			for y := range rh {
				for x := range rw {
					copy(shifted[(y*rw+x)*c:][:c], small[(mirror.Index(y+dy, rh)*rw+mirror.Index(x+dx, rw))*c:])
				}
			}
			v.pixels = append(v.pixels, shifted)
		}
	}
	area := float32(h*w) / (cells * cells)
	for y := 1; y < h-1; y++ {
		for x := 1; x < w-1; x++ {
			at := (y*w + x) * c
			gy, gx := float64(img[at+w*c])-float64(img[at-w*c]), float64(img[at+c])-float64(img[at-c])
			turn := (math.Atan2(gy, gx)/(2*math.Pi) + 1) * directions // in directions, from a full turn on
			low := math.Floor(turn)
			cell := v.edges[(y*cells/h*cells+x*cells/w)*directions:][:directions]
			strength, part := float32(math.Hypot(gy, gx))/area, float32(turn-low)
			cell[int(low)%directions] += float32(strength * (1 - part))
			cell[int(low+1)%directions] += float32(strength * part)
		}
	}
	return v
}

// reduce averages an image [H,W,C] over equal areas, to side by side pixels at most.
func reduce(img []uint8, h, w, c int) (out []float32, rh, rw int) {
	rh, rw = min(h, side), min(w, side)
	out = make([]float32, rh*rw*c)
	for y := range rh {
		for x := range rw {
			y0, y1, x0, x1 := y*h/rh, (y+1)*h/rh, x*w/rw, (x+1)*w/rw
			for k := range c {
				sum := 0
				for r := y0; r < y1; r++ {
					for q := x0; q < x1; q++ {
						sum += int(img[(r*w+q)*c+k])
					}
				}
				out[(y*rw+x)*c+k] = float32(sum) / float32((y1-y0)*(x1-x0))
			}
		}
	}
	return out, rh, rw
}
