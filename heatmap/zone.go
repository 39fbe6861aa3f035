package heatmap

import (
	"errors"
	"fmt"
	"image"
	"maps"
	"math"
	"slices"
)

// ErrZone is wrapped by errors about zones.
var ErrZone = errors.New("heatmap: zones")

// A ZoneRule says what residuals count for in a zone.
type ZoneRule struct {
	Ignore    bool    // they count for nothing
	Threshold float32 // else: the threshold there, in place of the map's; above 0
}

// Zones divide the images of a camera into areas with rules of their own. Data is
// row-major and of length Height*Width, a zone's number for each pixel; the size
// is any, as a rule the original images'. Zones that Rules does not name are
// judged like a map without zones.
type Zones struct {
	Data          []uint8
	Height, Width int
	Rules         map[uint8]ZoneRule
}

// NewZones reads zones from an image: the number of a pixel is its index in the
// palette, or its level of grey. Every number of rules must occur, and every
// threshold be above 0. Nil rules ignore all zones but number 0.
func NewZones(img image.Image, rules map[uint8]ZoneRule) (*Zones, error) {
	b := img.Bounds()
	z := &Zones{Height: b.Dy(), Width: b.Dx(), Rules: rules, Data: make([]uint8, 0, b.Dx()*b.Dy())}
	var number func(x, y int) uint8
	switch img := img.(type) {
	case *image.Paletted:
		number = img.ColorIndexAt
	case *image.Gray:
		number = func(x, y int) uint8 { return img.GrayAt(x, y).Y }
	default:
		return nil, fmt.Errorf("%w: got an image of type %T, want one with a palette or of 8-bit grey", ErrZone, img)
	}
	var occurs [256]bool
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			n := number(x, y)
			occurs[n] = true
			z.Data = append(z.Data, n)
		}
	}
	if len(z.Data) == 0 {
		return nil, fmt.Errorf("%w: got an image of %dx%d pixels", ErrZone, z.Width, z.Height)
	}
	var there []int
	for n, ok := range occurs {
		if ok {
			there = append(there, n)
		}
	}
	if rules == nil {
		z.Rules = map[uint8]ZoneRule{}
		for _, n := range there {
			if n > 0 {
				z.Rules[uint8(n)] = ZoneRule{Ignore: true}
			}
		}
	}
	for _, n := range slices.Sorted(maps.Keys(z.Rules)) {
		rule := z.Rules[n]
		if !occurs[n] {
			return nil, fmt.Errorf("%w: got a rule for %d, the image has zones %v", ErrZone, n, there)
		}
		if t := float64(rule.Threshold); !rule.Ignore && !(t > 0 && t <= math.MaxFloat32) {
			return nil, fmt.Errorf("%w: zone %d: got threshold %v, want a number above 0", ErrZone, n, t)
		}
	}
	return z, nil
}

// HasThresholds reports whether a zone has a threshold of its own, so that Apply
// needs the map's.
func (z *Zones) HasThresholds() bool {
	for _, rule := range z.Rules {
		if !rule.Ignore {
			return true
		}
	}
	return false
}

// Apply returns the map as the zones see it: 0 in those that are ignored, and
// times threshold/t in one whose own threshold is t, so that one threshold,
// above 0, is right for all of it. A residual comes out above the threshold
// exactly if it is above its zone's. Zones of another size than the map are
// brought to it by the nearest pixel.
//
// What a defect does beyond its own pixels, through the window of SSIM and
// the map's blur, reaches out of an ignored zone too: draw it with a margin.
func (z *Zones) Apply(m *Map, threshold float32) *Map {
	out := &Map{Data: slices.Clone(m.Data), Height: m.Height, Width: m.Width}
	for y := range m.Height {
		row := z.Data[(2*y+1)*z.Height/(2*m.Height)*z.Width:]
		for x := range m.Width {
			rule, ok := z.Rules[row[(2*x+1)*z.Width/(2*m.Width)]]
			at := &out.Data[y*m.Width+x]
			switch {
			case !ok:
			case rule.Ignore:
				*at = 0
			default:
				*at = rule.scale(*at, threshold)
			}
		}
	}
	return out
}

// scale returns v*threshold/r.Threshold, on the side of threshold that v is of
// r.Threshold: rounding could take it there otherwise.
func (r ZoneRule) scale(v, threshold float32) float32 {
	scaled := float32(float64(v) * float64(threshold) / float64(r.Threshold))
	if v > r.Threshold && scaled <= threshold {
		return math.Nextafter32(threshold, math.MaxFloat32)
	}
	return scaled
}
