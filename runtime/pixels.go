package runtime

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
)

// A Range is what black and white are in a tensor of floating-point images.
type Range struct{ Low, High float32 }

// unitRange is what networks are taken to use unless they or the user say otherwise.
var unitRange = Range{0, 1}

// ParseRange reads a range as [Range.String] writes it: "LOW:HIGH", finite, LOW below HIGH.
func ParseRange(s string) (Range, error) {
	low, high, ok := strings.Cut(s, ":")
	number := func(s string) float32 {
		v, err := strconv.ParseFloat(s, 32)
		ok = ok && err == nil
		return float32(v)
	}
	r := Range{number(low), number(high)}
	if !ok || r.check() != nil {
		return Range{}, fmt.Errorf("%w: range: got %q, want LOW:HIGH, what black and white are, such as 0:255 or -1:1", ErrInput, s)
	}
	return r, nil
}

// String returns "LOW:HIGH".
func (r Range) String() string { return Band(r).String() }

func (r Range) check() error {
	if width := r.High - r.Low; !(width > 0) || math.IsInf(float64(width), 0) {
		return fmt.Errorf("%w: range: got %v, want finite numbers, the first below the second", ErrInput, r)
	}
	return nil
}

// A transfer is what a network is given for a value of a pixel, by channel.
type transfer [3][256]float32

// transferTo returns value(v/255, channel) of each value v.
func transferTo(value func(x float64, channel int) float64) *transfer {
	t := new(transfer)
	for c := range t {
		for v := range t[c] {
			t[c][v] = float32(value(float64(v)/255, c))
		}
	}
	return t
}

// toRange spreads pixels over a range. For [0,1] it gives what the graphs of
// package onnxexport do.
func toRange(r Range) *transfer {
	if r == unitRange {
		t := new(transfer)
		for c := range t {
			for v := range t[c] {
				t[c][v] = float32(v) * (1.0 / 255)
			}
		}
		return t
	}
	return transferTo(func(x float64, _ int) float64 { return float64(r.Low) + x*(float64(r.High)-float64(r.Low)) })
}

// floats writes images, uint8 NHWC, to dst as their values through the transfer, in a layout.
func (t *transfer) floats(dst []float32, src []uint8, layout string, channels, area int) {
	switch {
	case channels == 1:
		table := &t[0]
		for i, v := range src {
			dst[i] = table[v]
		}
	case layout == NHWC:
		for len(src) >= 3 && len(dst) >= 3 {
			dst[0], dst[1], dst[2] = t[0][src[0]], t[1][src[1]], t[2][src[2]]
			dst, src = dst[3:], src[3:]
		}
	default:
		for ; len(src) > 0; dst, src = dst[3*area:], src[3*area:] {
			red, green, blue := dst[:area], dst[area:][:area], dst[2*area:][:area]
			pixels := src[:3*area]
			for i := range red {
				p := pixels[3*i:][:3]
				red[i], green[i], blue[i] = t[0][p[0]], t[1][p[1]], t[2][p[2]]
			}
		}
	}
}

// planes writes images of three channels, uint8 NHWC, to dst as NCHW.
func planes(dst, src []uint8, area int) {
	for ; len(src) > 0; dst, src = dst[3*area:], src[3*area:] {
		red, green, blue := dst[:area], dst[area:][:area], dst[2*area:][:area]
		pixels := src[:3*area]
		for i := range red {
			p := pixels[3*i:][:3]
			red[i], green[i], blue[i] = p[0], p[1], p[2]
		}
	}
}

// floats returns a tensor's elements as float32: its own where they are, else
// copies, true as 1.
func floats(t *graph.Tensor) []float32 {
	switch data := t.Raw().(type) {
	case []float32:
		return data
	case []float64:
		return converted(data)
	case []uint8:
		return converted(data)
	case []int32:
		return converted(data)
	case []int64:
		return converted(data)
	case []bool:
		out := make([]float32, len(data))
		for i, set := range data {
			if set {
				out[i] = 1
			}
		}
		return out
	}
	return nil
}

func converted[T float64 | uint8 | int32 | int64](data []T) []float32 {
	out := make([]float32, len(data))
	for i, v := range data {
		out[i] = float32(v)
	}
	return out
}
