package heatmap

import (
	"math"

	"github.com/anomaly-go/anomaly/internal/room"
)

// A Map is a raw residual per pixel, the higher the more anomalous; for SSIM
// maps that is 1-SSIM, in [0,2]. Data is row-major and of length Height*Width.
type Map struct {
	Data          []float32
	Height, Width int
}

// NewMap returns a map of zeros. A negative side counts as 0.
func NewMap(height, width int) *Map {
	height, width = max(height, 0), max(width, 0)
	return &Map{Data: make([]float32, height*width), Height: height, Width: width}
}

// Max returns the highest residual, NaN where any is NaN, and 0 for an empty map.
func (m *Map) Max() float32 {
	if len(m.Data) == 0 {
		return 0
	}
	highest := m.Data[0]
	for _, v := range m.Data[1:] {
		highest = max(highest, v)
	}
	return highest
}

// Resize returns the map at height x width: bilinear between pixel centres, the
// border's value held beyond it, and when it shrinks the triangle filter as wide
// as the step, so that no pixel is skipped. It is Pillow's BILINEAR and, with
// antialias=1 and exclude_outside=1, ONNX's Resize. Shrinking averages: a
// residual's height falls with it.
func (m *Map) Resize(height, width int) *Map {
	out := NewMap(height, width)
	m.resize(out.Height, out.Width, func(y int, row []float32) { copy(out.Data[y*out.Width:], row) })
	return out
}

// resize hands on the rows of Resize from the top on; each is the next one's afterwards.
func (m *Map) resize(height, width int, each func(y int, row []float32)) {
	row := make([]float32, width)
	if len(m.Data) == 0 || width == 0 {
		for y := range height {
			each(y, row)
		}
		return
	}
	columns := triangle(m.Width, width)
	narrow := narrows.Get(m.Height * width)
	defer narrows.Put(narrow)
	for y := range m.Height {
		from, to := m.Data[y*m.Width:(y+1)*m.Width], narrow[y*width:(y+1)*width]
		for x, c := range columns {
			var sum float64
			for k, v := range from[c.first:][:len(c.weights)] {
				sum += c.weights[k] * float64(v)
			}
			to[x] = sum
		}
	}
	sums := make([]float64, width)
	for y, r := range triangle(m.Height, height) {
		if len(r.weights) == 2 { // as a rule, where it grows
			above, below := narrow[r.first*width:][:width], narrow[(r.first+1)*width:][:width]
			for x, v := range above {
				row[x] = float32(r.weights[0]*v + r.weights[1]*below[x])
			}
			each(y, row)
			continue
		}
		clear(sums)
		for k, weight := range r.weights {
			for x, v := range narrow[(r.first+k)*width:][:width] {
				sums[x] += weight * v
			}
		}
		for x, sum := range sums {
			row[x] = float32(sum)
		}
		each(y, row)
	}
}

// narrows is room for maps that are resized across, in resize.
var narrows room.Pool[float64]

// repeat returns the map with each residual as a block of rows x columns.
func (m *Map) repeat(rows, columns int) *Map {
	out := NewMap(m.Height*rows, m.Width*columns)
	for i := range out.Data {
		y, x := i/out.Width, i%out.Width
		out.Data[i] = m.Data[y/rows*m.Width+x/columns]
	}
	return out
}

// A span weighs consecutive samples, from first on, that make up one of another
// size; its weights add up to 1.
type span struct {
	first   int
	weights []float64
}

// triangle returns the spans that resample n samples to size.
func triangle(n, size int) []span {
	step := float64(n) / float64(size)
	width := max(step, 1)
	spans := make([]span, size)
	all := make([]float64, 0, size*(int(2*width)+2))
	for i := range spans {
		centre := (float64(i) + .5) * step
		first := max(int(centre-width+.5), 0)
		end := min(int(centre+width+.5), n)
		weights := all[len(all) : len(all)+end-first : len(all)+end-first]
		all = all[:len(all)+end-first]
		var sum float64
		for k := range weights {
			distance := math.Abs(float64(first+k)+.5-centre) / width
			weights[k] = max(1-distance, 0)
			sum += weights[k]
		}
		for k := range weights {
			weights[k] /= sum
		}
		spans[i] = span{first, weights}
	}
	return spans
}

// Blur returns the map convolved with a Gaussian of the given sigma, in pixels,
// cut off at a radius of int(4*sigma+0.5) and with the map reflected at its
// border (d c b a | a b c d | d c b a): scipy.ndimage.gaussian_filter. A sigma
// of zero or less copies the map.
func (m *Map) Blur(sigma float64) *Map {
	out := NewMap(m.Height, m.Width)
	radius := 0
	if sigma > 0 {
		radius = int(4*sigma + .5)
	}
	for i, v := range convolve(float64s(m.Data), m.Height, m.Width, gaussian(radius, sigma), Reflect) {
		out.Data[i] = float32(v)
	}
	return out
}
