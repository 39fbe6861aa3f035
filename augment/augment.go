package augment

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"github.com/anomaly-go/anomaly/internal/mirror"
)

// An Augmentation says how images may be changed. The zero value changes nothing.
type Augmentation struct {
	FlipX    bool    `json:"flip_x,omitempty"`   // left and right exchanged
	FlipY    bool    `json:"flip_y,omitempty"`   // top and bottom exchanged
	Quarter  bool    `json:"quarter,omitempty"`  // square images turned by 90°
	Rotate   float64 `json:"rotate,omitempty"`   // degrees, at most, either way
	Scale    float64 `json:"scale,omitempty"`    // share of the size, at most, either way
	Shift    float64 `json:"shift,omitempty"`    // share of the size, at most, in each direction
	Exposure float64 `json:"exposure,omitempty"` // share by which all values are multiplied, at most, either way
}

// String names what is done.
func (a Augmentation) String() string {
	var parts []string
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(a.FlipX, "left and right flipped")
	add(a.FlipY, "upside down")
	add(a.Quarter, "quarter turns")
	add(a.Rotate > 0, "turned by up to %g°", a.Rotate)
	add(a.Scale > 0, "scaled by up to %g %%", 100*a.Scale)
	add(a.Shift > 0, "shifted by up to %g %%", 100*a.Shift)
	add(a.Exposure > 0, "exposed by up to %g %% more or less", 100*a.Exposure)
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// A Transform is one change of an image.
type Transform struct {
	flipX, flipY, transpose bool
	matrix                  [4]float64 // of places relative to the centre; the identity is none
	shiftX, shiftY          float64    // shares of the size
	gain                    float32
}

// Draw returns a transform that is drawn from rng.
func (a Augmentation) Draw(rng *rand.Rand) Transform {
	t := Transform{gain: 1}
	either := func(most float64) float64 { return most * (2*rng.Float64() - 1) }
	coin := func(on bool) bool { return rng.IntN(2) == 0 && on }
	t.flipX, t.flipY, t.transpose = coin(a.FlipX), coin(a.FlipY), coin(a.Quarter)
	if t.transpose && !(a.FlipX || a.FlipY) { // a turn, not a reflection
		t.flipX = rng.IntN(2) == 0
		t.flipY = !t.flipX
	}
	sin, cos := math.Sincos(either(a.Rotate) * math.Pi / 180)
	scale := 1 + either(a.Scale)
	t.matrix = [4]float64{scale * cos, -scale * sin, scale * sin, scale * cos}
	t.shiftX, t.shiftY = either(a.Shift), either(a.Shift)
	t.gain = float32(1 + either(a.Exposure))
	return t
}

// Symmetries returns the transforms among those of [Augmentation.Draw] that move
// pixels without mixing or changing them: flips and quarter turns, each once, the
// one that changes nothing first.
func (a Augmentation) Symmetries() []Transform {
	var all []Transform
	for _, transpose := range []bool{false, true} {
		for _, flipX := range []bool{false, true} {
			for _, flipY := range []bool{false, true} {
				allowed := (!flipX || a.FlipX) && (!flipY || a.FlipY) && (!transpose || a.Quarter)
				if transpose && !(a.FlipX || a.FlipY) { // a turn, not a reflection
					allowed = a.Quarter && flipX != flipY
				}
				if allowed {
					all = append(all, Transform{flipX: flipX, flipY: flipY, transpose: transpose, matrix: [4]float64{1, 0, 0, 1}, gain: 1})
				}
			}
		}
	}
	return all
}

// exact reports whether pixels only change places.
func (t *Transform) exact() bool {
	return t.matrix == [4]float64{1, 0, 0, 1} && t.shiftX == 0 && t.shiftY == 0
}

// Image writes src [H,W,C], transformed, to dst. What comes in from outside is the
// image reflected at its edges; between pixels it is linear. Images that are
// transposed must be square.
func (t *Transform) Image(dst, src []uint8, h, w, c int) {
	if t.exact() {
		for y := range h {
			for x := range w {
				from, to := t.place(y, x, h, w)*c, (y*w+x)*c
				for k := range c {
					dst[to+k] = t.expose(float32(src[from+k]))
				}
			}
		}
		return
	}
	for y := range h {
		for x := range w {
			r, col := t.source(y, x, h, w)
			r0, c0 := math.Floor(r), math.Floor(col)
			fr, fc := float32(r-r0), float32(col-c0)
			y0, y1, x0, x1 := mirror.Index(int(r0), h), mirror.Index(int(r0)+1, h), mirror.Index(int(c0), w), mirror.Index(int(c0)+1, w)
			p00, p01, p10, p11 := t.place(y0, x0, h, w)*c, t.place(y0, x1, h, w)*c, t.place(y1, x0, h, w)*c, t.place(y1, x1, h, w)*c
			to := (y*w + x) * c
			for k := range c {
				a := float32(src[p00+k]) + float32(fc*(float32(src[p01+k])-float32(src[p00+k])))
				b := float32(src[p10+k]) + float32(fc*(float32(src[p11+k])-float32(src[p10+k])))
				dst[to+k] = t.expose(a + float32(fr*(b-a)))
			}
		}
	}
}

// Mask writes src [H·W], transformed, to dst: each place takes the nearest one's value.
func (t *Transform) Mask(dst, src []bool, h, w int) {
	for y := range h {
		for x := range w {
			r, c := t.source(y, x, h, w)
			dst[y*w+x] = src[t.place(mirror.Index(int(math.Round(r)), h), mirror.Index(int(math.Round(c)), w), h, w)]
		}
	}
}

// source returns where pixel (y,x) comes from, before flips.
func (t *Transform) source(y, x, h, w int) (r, c float64) {
	cy, cx := float64(h-1)/2, float64(w-1)/2
	dy, dx := float64(y)-cy-t.shiftY*float64(h), float64(x)-cx-t.shiftX*float64(w)
	return cy + float64(t.matrix[2]*dx) + float64(t.matrix[3]*dy), cx + float64(t.matrix[0]*dx) + float64(t.matrix[1]*dy)
}

// place returns the pixel that the flips put at (y,x).
func (t *Transform) place(y, x, h, w int) int {
	if t.transpose {
		y, x = x, y
	}
	if t.flipY {
		y = h - 1 - y
	}
	if t.flipX {
		x = w - 1 - x
	}
	return y*w + x
}

func (t *Transform) expose(v float32) uint8 {
	return uint8(min(float32(v*t.gain), 255) + .5)
}
