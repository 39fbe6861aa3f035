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
	return m.mask(t, m.Resize(height, width))
}

// mask is Mask at the size of resized, which is the map resized.
func (m *Map) mask(t float32, resized *Map) *Mask {
	mask, height, width := resized.Threshold(t), resized.Height, resized.Width
	if len(mask.Data) == 0 {
		return mask
	}
	for y := range m.Height {
		for x := range m.Width {
			if m.Data[y*m.Width+x] > t {
				centreY := (2*y + 1) * height / (2 * m.Height)
				centreX := (2*x + 1) * width / (2 * m.Width)
				mask.Data[centreY*width+centreX] = true
			}
		}
	}
	return mask
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

// around returns the mask of the unset pixels within radius of a set one, rows
// and columns counted apart.
func (m *Mask) around(radius int) *Mask {
	wide := make([]bool, len(m.Data))
	for y := range m.Height {
		row := wide[y*m.Width : (y+1)*m.Width]
		for x, set := range m.Data[y*m.Width : (y+1)*m.Width] {
			if set {
				for k := max(x-radius, 0); k <= min(x+radius, m.Width-1); k++ {
					row[k] = true
				}
			}
		}
	}
	ring := &Mask{Data: make([]bool, len(m.Data)), Height: m.Height, Width: m.Width}
	for y := range m.Height {
		for k := max(y-radius, 0); k <= min(y+radius, m.Height-1); k++ {
			for x := range m.Width {
				if wide[y*m.Width+x] && !m.Data[k*m.Width+x] {
					ring.Data[k*m.Width+x] = true
				}
			}
		}
	}
	return ring
}
