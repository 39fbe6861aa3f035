package parts

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
)

// Defects are what the demo's parts can have, as folders of its data set.
var Defects = []string{"chip", "hole", "scratch", "stain"}

// A Part is a flange of turned steel on a mat: what the demo takes pictures of.
// Lengths are in pixels of a picture of Size squared.
type Part struct {
	x, y, angle float64 // pose: centre, turn in radians
	light       float64 // brightness, about 1
	glare       float64 // direction of the light's reflection, in radians
	grain, dust *noise

	defect      string // "" for a good part
	missingHole int    // -1 for none

	// Of a chip, scratch or stain:
	at           point   // its middle, from the centre of the unturned part
	size         float64 // radius, or half the length
	toward, bend float64 // a scratch's direction, in radians, and how far it is from straight
	edge         *noise  // makes outlines irregular
	paint        [3]float64
	thickness    float64 // opacity of the paint
}

const (
	Size       = 256
	rim        = 100.0 // radius of the part
	bore       = 27.0  // radius of the hole in its middle
	groove     = 43.0  // radius of a ring turned into the face
	holes      = 6
	holeRadius = 10.0
	holeCircle = 70.0 // radius on which the holes lie
)

// New returns a part with a defect, "" for none: which one depends on rng alone.
func New(rng *rand.Rand, defect string) *Part {
	spread := func(around, by float64) float64 { return around + by*(2*rng.Float64()-1) }
	p := &Part{
		x: spread(Size/2, 2), y: spread(Size/2, 2), angle: spread(0, .03),
		light: spread(1, .06), glare: spread(-.9, .06),
		grain: newNoise(rng), dust: newNoise(rng), edge: newNoise(rng),
		defect: defect, missingHole: -1,
	}
	direction := 2 * math.Pi * rng.Float64()
	switch defect {
	case "chip":
		p.size = spread(19, 4)
		p.at = polar(rim+spread(0, 3), direction)
	case "hole":
		p.missingHole = rng.IntN(holes)
	case "scratch":
		p.size, p.bend = spread(42, 12), spread(0, .25)
		p.at = polar(spread(65, 12), direction)
		p.toward = direction + spread(math.Pi/4, .7)
	case "stain":
		p.size = spread(15, 4)
		p.at = polar(spread(66, 16), direction)
		p.paint = [3]float64{spread(.22, .05), spread(.13, .03), .06}
		p.thickness = spread(.85, .1)
	}
	return p
}

// Draw takes the picture, and the mask of the defect's pixels.
func (p *Part) Draw() (*image.RGBA, *image.Gray) {
	img := image.NewRGBA(image.Rect(0, 0, Size, Size))
	mask := image.NewGray(img.Rect)
	for y := range Size {
		for x := range Size {
			at := point{float64(x) + .5 - p.x, float64(y) + .5 - p.y}
			c, isDefect := p.colour(at.turn(-p.angle), at)
			img.SetRGBA(x, y, color.RGBA{channel(c[0]), channel(c[1]), channel(c[2]), 255})
			if isDefect {
				mask.SetGray(x, y, color.Gray{255})
			}
		}
	}
	return img, mask
}

// colour returns what lies at a point of the part's own frame, which is at on the
// table, and whether it belongs to the defect.
func (p *Part) colour(own, at point) (c [3]float64, isDefect bool) {
	r := own.length()
	metal := min(inside(rim-r), 1-inside(bore-r)) // the share of the pixel that is metal
	if math.Abs(r-holeCircle) < holeRadius+1 {
		for h := range holes {
			in := inside(holeRadius - own.minus(polar(holeCircle, 2*math.Pi*float64(h)/holes)).length())
			if h == p.missingHole {
				isDefect = in > .5
			} else {
				metal = min(metal, 1-in)
			}
		}
	}
	if metal > 0 {
		steel := p.steelAt(own, r)
		c = [3]float64{steel, steel * .985, steel * .95}
		if p.size > 0 {
			c, metal, isDefect = p.spoil(c, metal, own.minus(p.at))
		}
	}
	if metal < 1 {
		c = mix(p.matAt(at), c, metal)
	}
	for i := range c {
		c[i] *= p.light
	}
	return c, isDefect
}

// spoil applies a chip, scratch or stain to metal of a colour, away from its middle.
func (p *Part) spoil(c [3]float64, metal float64, away point) (_ [3]float64, _ float64, isDefect bool) {
	ragged := p.size * (1 + .5*(p.edge.at(away.x/9, away.y/9)-.5))
	switch p.defect {
	case "chip":
		gone := inside(ragged - away.length())
		fracture := inside(ragged + 3 - away.length()) // rough and dark
		return mix(c, [3]float64{.3, .29, .28}, fracture*.8), min(metal, 1-gone), min(gone, metal) > .5
	case "scratch":
		line := away.turn(-p.toward)
		across := line.y - p.bend*line.x*line.x/p.size
		on := inside(p.size - math.Abs(line.x))
		deep := on * (.75 + .25*p.edge.at(line.x/7, 3))
		c = mix(c, [3]float64{.12, .12, .12}, deep*inside(3.4-math.Abs(across-2.2)))
		c = mix(c, [3]float64{1, 1, .98}, deep*inside(2.4-math.Abs(across+1)))
		return c, metal, min(on, metal) > .5 && across > -3.4 && across < 5.6
	default: // stain
		on := inside((ragged - away.length()) / 2)
		return mix(c, p.paint, on*p.thickness), metal, min(on, metal) > .5
	}
}

// steelAt returns the brightness of the face: turned in circles, so that it
// reflects in two opposite wedges and has grain along the circles only.
func (p *Part) steelAt(own point, r float64) float64 {
	wedge := own.turn(-p.glare)
	cos2 := wedge.x * wedge.x / (r*r + 1e-9)
	v := .40 + .34*cos2*cos2
	v += .10 * (p.grain.at(r*.9, 40+2*math.Atan2(own.y, own.x)) - .5)
	v -= .20 * inside(1.6-math.Abs(r-groove))
	if r > rim-6 { // the chamfer faces the light on one side
		v += .16*math.Cos(math.Atan2(own.y, own.x)+2.2) - .04
	}
	return v
}

// matAt returns the colour of the mat, which has a grid and lies still.
func (p *Part) matAt(at point) [3]float64 {
	const pitch = 20
	line := func(x float64) float64 {
		return inside(2.6 - math.Abs(math.Mod(x+Size, pitch)-pitch/2))
	}
	v := .15 + .22*max(line(at.x+p.x), line(at.y+p.y)) + .02*(p.dust.at(at.x/2, at.y/2)-.5)
	v *= 1 - .6*math.Exp(-math.Pow(max(0, math.Hypot(at.x-3, at.y-5)-rim)/8, 2)) // the part's shadow
	return [3]float64{v * .62, v, v * 1.02}
}

// A point is a place or a distance in pixels.
type point struct{ x, y float64 }

func polar(r, angle float64) point {
	sin, cos := math.Sincos(angle)
	return point{r * cos, r * sin}
}

func (p point) minus(q point) point { return point{p.x - q.x, p.y - q.y} }
func (p point) length() float64     { return math.Hypot(p.x, p.y) }

func (p point) turn(angle float64) point {
	sin, cos := math.Sincos(angle)
	return point{p.x*cos - p.y*sin, p.x*sin + p.y*cos}
}

// inside returns the share of a pixel within an outline, given the distance of
// its middle from there: 1 inside, 0 outside.
func inside(distance float64) float64 { return min(max(distance+.5, 0), 1) }

func mix(a, b [3]float64, share float64) [3]float64 {
	for i := range a {
		a[i] += share * (b[i] - a[i])
	}
	return a
}

func channel(v float64) uint8 { return uint8(math.Round(255 * min(max(v, 0), 1))) }

// noise is smooth random noise in the plane, in [0,1], of wavelength about 2
// (value noise on a lattice that repeats every 64).
type noise [64 * 64]float32

func newNoise(rng *rand.Rand) *noise {
	n := new(noise)
	for i := range n {
		n[i] = rng.Float32()
	}
	return n
}

func (n *noise) at(x, y float64) float64 {
	x0, y0 := math.Floor(x), math.Floor(y)
	corner := func(dx, dy int) float64 {
		return float64(n[(int(y0)+dy)&63*64+(int(x0)+dx)&63])
	}
	fade := func(t float64) float64 { return t * t * (3 - 2*t) }
	fx, fy := fade(x-x0), fade(y-y0)
	top := corner(0, 0) + fx*(corner(1, 0)-corner(0, 0))
	bottom := corner(0, 1) + fx*(corner(1, 1)-corner(0, 1))
	return top + fy*(bottom-top)
}
