package main

import (
	"image"
	"math"
	"math/rand/v2"

	"github.com/anomaly-go/anomaly/heatmap"
)

// side is that of the picture whose distortions are compared.
const side = 192

// mesh draws a wire mesh in grey, [side·side] in [0,1], all of it by arithmetic.
func mesh() []float64 {
	p := make([]float64, side*side)
	const pitch = 24
	for y := range side {
		for x := range side {
			near := func(a int) float64 { // of the wire that runs at pitch/2
				return math.Exp(-math.Pow(float64((a%pitch+pitch)%pitch)-pitch/2, 2) / 18)
			}
			p[y*side+x] = .35 + .4*max(near(x+y), near(x-y)) + .08*math.Sin(float64(x)/40)
		}
	}
	return p
}

// A distortion changes a picture by a strength above 0, the more the larger.
type distortion struct {
	name  string
	apply func(p []float64, strength float64) []float64
}

// distortions are ordered from those an eye overlooks to those it does not.
var distortions = []distortion{
	{"brighter", each(func(v, s float64) float64 { return v + s })},
	{"contrast", each(func(v, s float64) float64 { return .5 + (v-.5)*(1+10*s) })},
	{"blurred", func(p []float64, s float64) []float64 {
		m := heatmap.NewMap(side, side)
		for i, v := range p {
			m.Data[i] = float32(v)
		}
		out := make([]float64, len(p))
		for i, v := range m.Blur(60 * s).Data {
			out[i] = float64(v)
		}
		return out
	}},
	{"noise", func(p []float64, s float64) []float64 {
		rng := rand.New(rand.NewPCG(1, 2))
		out := make([]float64, len(p))
		for i, v := range p {
			out[i] = v + s*rng.NormFloat64()
		}
		return out
	}},
}

func each(f func(v, strength float64) float64) func([]float64, float64) []float64 {
	return func(p []float64, s float64) []float64 {
		out := make([]float64, len(p))
		for i, v := range p {
			out[i] = f(v, s)
		}
		return out
	}
}

// gray rounds a picture to 8 bit.
func gray(p []float64) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i, v := range p {
		img.Pix[i] = uint8(math.Round(255 * min(max(v, 0), 1)))
	}
	return img
}

// squaredError returns the mean squared difference of two pictures in [0,1].
func squaredError(a, b *image.Gray) float64 {
	sum := 0.
	for i := range a.Pix {
		d := (float64(a.Pix[i]) - float64(b.Pix[i])) / 255
		sum += d * d
	}
	return sum / float64(len(a.Pix))
}

// similarity returns the mean SSIM of two pictures.
func similarity(a, b *image.Gray) (float64, error) {
	of := func(g *image.Gray) []float64 {
		p := make([]float64, len(g.Pix))
		for i, v := range g.Pix {
			p[i] = float64(v) / 255
		}
		return p
	}
	mean, _, err := heatmap.SSIM(of(a), of(b), 1, side, side, nil)
	return mean, err
}

// distorted returns the picture distorted to that mean squared error.
func (d distortion) distorted(p []float64, mse float64) *image.Gray {
	clean := gray(p)
	lo, hi := 0., .5
	for range 40 {
		if mid := (lo + hi) / 2; squaredError(clean, gray(d.apply(p, mid))) < mse {
			lo = mid
		} else {
			hi = mid
		}
	}
	return gray(d.apply(p, hi))
}
