package heatmap

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Scale is the residuals of a heat map's first, middle and last colour, Lo < Hi;
// between them colours follow linearly, and so do all where Mid is not between Lo
// and Hi. The zero Scale is of each map by itself, from 0 to its maximum: such maps
// cannot be compared by eye.
type Scale struct{ Lo, Mid, Hi float32 }

// NewScale returns a scale on which a good part looks good: colours begin at good,
// a residual that most good parts do not reach, the middle one is the threshold's,
// and the last that of twice the threshold. good is at most nine tenths of the
// threshold, and half of it where nil says that it is not known. Without a threshold
// above 0 the scale is the zero one.
func NewScale(threshold, good *float32) Scale {
	if threshold == nil || !(*threshold > 0) {
		return Scale{}
	}
	t := *threshold
	lo := t / 2
	if good != nil {
		lo = min(*good, t*9/10)
	}
	return Scale{lo, t, 2 * t}
}

// ParseScale reads a linear scale, "LO:HI", finite, LO below HI.
func ParseScale(s string) (Scale, error) {
	lo, hi, ok := strings.Cut(s, ":")
	number := func(s string) float32 {
		v, err := strconv.ParseFloat(s, 32)
		ok = ok && err == nil && !math.IsNaN(v) && !math.IsInf(v, 0)
		return float32(v)
	}
	scale := Scale{Lo: number(lo), Hi: number(hi)}
	scale.Mid = scale.Lo/2 + scale.Hi/2
	if !ok || !(scale.Lo < scale.Hi) {
		return Scale{}, fmt.Errorf("heatmap: scale: got %q, want LO:HI, two numbers in ascending order", s)
	}
	return scale, nil
}

// of returns the scale of a map.
func (s Scale) of(m *Map) Scale {
	if s == (Scale{}) {
		return Scale{Hi: m.Max()}
	}
	return s
}
