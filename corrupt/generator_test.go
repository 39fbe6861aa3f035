package corrupt

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/anomaly-go/anomaly/augment"
)

// discs returns n grey or colour images of a textured disc on a plain background.
func discs(n, h, w, c int) []uint8 {
	var pixels []uint8
	for i := range n {
		for y := range h {
			for x := range w {
				dy, dx := 2*y-h, 2*x-w
				v := 230
				if dy*dy+dx*dx < h*w/4 {
					v = 60 + (x*7+y*3+i*11)%50
				}
				for k := range c {
					pixels = append(pixels, uint8(v-k))
				}
			}
		}
	}
	return pixels
}

func TestCorrupt(t *testing.T) {
	for _, size := range [][3]int{{64, 64, 3}, {48, 80, 1}, {8, 8, 1}, {33, 17, 3}} {
		h, w, c := size[0], size[1], size[2]
		const n = 6
		g, err := New(discs(n, h, w, c), h, w, c, &Options{Seed: 3, Clean: .25})
		if err != nil {
			t.Fatal(err)
		}
		type result struct {
			dst, mask []uint8
			changed   bool
		}
		const rounds = 40
		results := make([]result, n*rounds)
		corrupt := func(j int) result {
			r := result{make([]uint8, h*w*c), make([]uint8, h*w), false}
			r.changed = g.Corrupt(r.dst, r.mask, j%n, uint64(j/n))
			return r
		}
		var wg sync.WaitGroup
		for j := range results {
			wg.Go(func() { results[j] = corrupt(j) })
		}
		wg.Wait()
		changed, area := 0, 0
		for j, r := range results {
			again := corrupt(j)
			if !slices.Equal(again.dst, r.dst) || !slices.Equal(again.mask, r.mask) {
				t.Fatalf("%v: image %d, counter %d: differs when made again", size, j%n, j/n)
			}
			masked := 0
			for p, a := range r.mask {
				if a > 0 {
					masked++
				} else if !slices.Equal(r.dst[p*c:(p+1)*c], g.Image(j % n)[p*c:(p+1)*c]) {
					t.Fatalf("%v: image %d, counter %d: pixel %d is changed outside the mask", size, j%n, j/n, p)
				}
			}
			if r.changed != (masked > 0) {
				t.Errorf("%v: image %d, counter %d: got changed %v with %d pixels in the mask", size, j%n, j/n, r.changed, masked)
			}
			if r.changed {
				changed++
				area += masked
			}
		}
		if share := float64(changed) / (n * rounds); share < .6 || share > .9 {
			t.Errorf("%v: got %.2f corrupted, want about .75", size, share)
		}
		if mean := float64(area) / float64(changed*h*w); mean < .001 || mean > .3 {
			t.Errorf("%v: got masks of %.3f of the image", size, mean)
		}
	}
}

// Another seed and another counter corrupt otherwise; without a mask the image is the same.
func TestCorruptDepends(t *testing.T) {
	const h, w = 32, 32
	images := discs(2, h, w, 1)
	at := func(seed, counter uint64, mask []uint8) []uint8 {
		g, err := New(images, h, w, 1, &Options{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		dst := make([]uint8, h*w)
		g.Corrupt(dst, mask, 1, counter)
		return dst
	}
	first := at(1, 1, nil)
	if !slices.Equal(first, at(1, 1, make([]uint8, h*w))) {
		t.Error("differs with a mask")
	}
	if slices.Equal(first, at(2, 1, nil)) || slices.Equal(first, at(1, 2, nil)) {
		t.Error("seed or counter change nothing")
	}
}

// A sample's target is the image augmented, and differs from it where the mask says.
func TestSample(t *testing.T) {
	const h, w, c = 40, 40, 3
	g, err := New(discs(2, h, w, c), h, w, c, &Options{Seed: 5, Augment: augment.Augmentation{FlipX: true, Rotate: 5, Shift: .1}})
	if err != nil {
		t.Fatal(err)
	}
	moved := 0
	for counter := range uint64(20) {
		dst, target, mask := make([]uint8, h*w*c), make([]uint8, h*w*c), make([]uint8, h*w)
		g.Sample(dst, target, mask, 1, counter)
		if !slices.Equal(target, g.Image(1)) {
			moved++
		}
		for p, a := range mask {
			if a == 0 && !slices.Equal(dst[p*c:(p+1)*c], target[p*c:(p+1)*c]) {
				t.Fatalf("counter %d: pixel %d is changed outside the mask", counter, p)
			}
		}
	}
	if moved < 18 {
		t.Errorf("got %d of 20 targets that differ from the image", moved)
	}
}

func TestForeground(t *testing.T) {
	const h, w = 64, 64
	g, err := New(discs(3, h, w, 3), h, w, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	fg := g.Foreground(1)
	if fg == nil {
		t.Fatal("got no foreground for a disc on a plain background")
	}
	for y := range h {
		for x := range w {
			dy, dx := 2*y-h, 2*x-w
			if want := dy*dy+dx*dx < h*w/4; fg[y*w+x] != want {
				t.Fatalf("pixel %d,%d: got %v, want %v", x, y, fg[y*w+x], want)
			}
		}
	}
	// Masks lie mostly on it.
	mask := make([]uint8, h*w)
	total, part := 0, 0
	for counter := range uint64(50) {
		if !g.Corrupt(make([]uint8, h*w*3), mask, 1, counter) {
			continue
		}
		on, all := 0, 0
		for p, a := range mask {
			if a > 127 {
				all++
				if fg[p] {
					on++
				}
			}
		}
		total += all
		part += on
	}
	if 3*part < 2*total {
		t.Errorf("got %d of %d pixels on the part", part, total)
	}
	// A texture has none.
	texture := make([]uint8, 2*h*w)
	for i := range texture {
		texture[i] = uint8(i * 97)
	}
	if g, err = New(texture, h, w, 1, nil); err != nil || g.Foreground(0) != nil {
		t.Errorf("texture: got a foreground, %v", err)
	}
	// So has an image of one colour.
	if g, err = New(make([]uint8, h*w), h, w, 1, nil); err != nil || g.Foreground(0) != nil {
		t.Errorf("black: got a foreground, %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	for _, c := range []struct {
		bytes, h, w, c int
		o              *Options
	}{{0, 8, 8, 1, nil}, {100, 8, 8, 1, nil}, {49, 7, 7, 1, nil}, {128, 8, 8, 2, nil}, {64, 8, 8, 1, &Options{Clean: 1}}, {64, 8, 8, 1, &Options{Clean: -1}}} {
		if _, err := New(make([]uint8, c.bytes), c.h, c.w, c.c, c.o); !errors.Is(err, ErrImages) {
			t.Errorf("%+v: got %v, want an ErrImages", c, err)
		}
	}
}

func BenchmarkCorrupt(b *testing.B) {
	const side = 256
	g, err := New(discs(4, side, side, 3), side, side, 3, nil)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]uint8, side*side*3)
	for i := uint64(0); b.Loop(); i++ {
		g.Corrupt(dst, nil, 0, i)
	}
}

// Defects and corruption lie in a region, if there is one.
func TestRegion(t *testing.T) {
	const h, w = 32, 48
	pixels := make([]uint8, h*w)
	for i := range pixels {
		pixels[i] = uint8(100 + 50*(i/3%2) + 20*(i/w/4%2))
	}
	region := make([]bool, h*w)
	for p := range region {
		region[p] = p%w < w/3
	}
	g, err := New(pixels, h, w, 1, &Options{Seed: 1, Region: region})
	if err != nil {
		t.Fatal(err)
	}
	in, out := 0, 0
	mask, dst := make([]uint8, h*w), make([]uint8, h*w)
	for c := range 40 {
		if c%2 == 0 {
			g.Corrupt(dst, mask, 0, uint64(c))
		} else {
			g.Defect(dst, mask, 0, uint64(c))
		}
		for p, a := range mask {
			switch {
			case a == 0:
			case region[p]:
				in++
			default:
				out++
			}
		}
	}
	const beyond = .25 // of what is changed: a defect may reach out
	if in == 0 || float64(out) > beyond*float64(in+out) {
		t.Errorf("got %d pixels in the region and %d outside", in, out)
	}
	for _, bad := range [][]bool{make([]bool, h*w), region[1:]} {
		if _, err := New(pixels, h, w, 1, &Options{Region: bad}); !errors.Is(err, ErrImages) {
			t.Errorf("got %v, want %v", err, ErrImages)
		}
	}
}
