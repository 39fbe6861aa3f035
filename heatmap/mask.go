package heatmap

import "image"

// A Mask tells which pixels are anomalous. Data is row-major and of length
// Height*Width.
type Mask struct {
	Data          []bool
	Height, Width int
}

// Threshold returns the mask of the residuals above t, strictly, at the map's
// own resolution.
func (m *Map) Threshold(t float32) *Mask {
	mask := &Mask{Data: make([]bool, len(m.Data)), Height: m.Height, Width: m.Width}
	for i, v := range m.Data {
		mask.Data[i] = v > t
	}
	return mask
}

// Mask returns the mask at another size, as a rule the original image's. The
// resized map is thresholded, not the mask resized: its edge comes out smooth.
// Since interpolation lowers peaks, the pixel at the centre of each residual
// above t is set as well, so that no detection is lost.
func (m *Map) Mask(t float32, height, width int) *Mask {
	height, width = max(height, 0), max(width, 0)
	mask := &Mask{Data: make([]bool, height*width), Height: height, Width: width}
	m.resize(height, width, func(y int, row []float32) { mask.row(y, row, t) })
	mask.centres(m, t)
	return mask
}

// row sets in row y the residuals above t.
func (m *Mask) row(y int, residuals []float32, t float32) {
	set := m.Data[y*m.Width:][:len(residuals)]
	for x, v := range residuals {
		set[x] = v > t
	}
}

// centres sets the pixel at the centre of each of a map's residuals above t.
func (m *Mask) centres(of *Map, t float32) {
	if len(m.Data) == 0 {
		return
	}
	for i, v := range of.Data {
		if v > t {
			y, x := i/of.Width, i%of.Width
			m.Data[(2*y+1)*m.Height/(2*of.Height)*m.Width+(2*x+1)*m.Width/(2*of.Width)] = true
		}
	}
}

// Image returns the mask as an image, 255 where it is set and 0 elsewhere.
func (m *Mask) Image() *image.Gray {
	img := image.NewGray(image.Rect(0, 0, m.Width, m.Height))
	for i, set := range m.Data {
		if set {
			img.Pix[i] = 255
		}
	}
	return img
}

// around hands on the unset pixels within radius of a set one, rows and columns counted
// apart, some of them again and again.
func (m *Mask) around(radius int, each func(x, y int)) {
	for y := range m.Height {
		row := m.Data[y*m.Width:][:m.Width]
		for x := 0; x < m.Width; x++ {
			first := x
			for x < m.Width && row[x] {
				x++
			}
			if x == first {
				continue
			}
			for k := max(y-radius, 0); k <= min(y+radius, m.Height-1); k++ {
				for i := max(first-radius, 0); i < min(x+radius, m.Width); i++ {
					if !m.Data[k*m.Width+i] {
						each(i, k)
					}
				}
			}
		}
	}
}
