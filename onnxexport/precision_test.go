package onnxexport

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
)

// quantization is one of so many values that holds -1 to 3.
func quantization(n int) *Quantization {
	q := &Quantization{Rule: "test", Images: 1}
	for range n {
		q.Ranges = append(q.Ranges, Range{-1, 3})
	}
	return q
}

func precise(t *testing.T, m *Model, p Precision) *Model {
	t.Helper()
	var q *Quantization
	if p == Int8 {
		q = quantization(len(m.Quantized()))
	}
	if err := m.SetPrecision(p, q); err != nil {
		t.Fatal(err)
	}
	return m
}

// What is written in a precision is read as a model that writes the same again, in
// other forms too, and whose weights are near those it was made of.
func TestPrecisionReopens(t *testing.T) {
	for _, spec := range []models.Spec{
		{Channels: 1, Height: 16, Filters: 2, Depth: 1}, {Model: "unet", Height: 16, Filters: 4, Depth: 2}, {Model: "ssimae", Height: 16, Filters: 2, Latent: 4},
	} {
		net := network(t, spec)
		weights := net.Init(1)
		for _, p := range []Precision{Float16, Int8} {
			m := precise(t, build(t, net, weights, &Options{Threshold: .25}), p)
			b := marshal(t, m)
			again, err := Reopen(b)
			if err != nil {
				t.Fatalf("%s %s: %v", spec.Model, p, err)
			}
			if !bytes.Equal(marshal(t, again), b) || again.Precision() != p {
				t.Errorf("%s %s: a file that was read is written otherwise", spec.Model, p)
			}
			rounded := 0
			for name, w := range weights {
				got := again.Weights[name]
				if got == nil {
					t.Fatalf("%s %s: weight %s is gone", spec.Model, p, name)
				}
				most := 0.
				for _, x := range graph.Data[float32](w) {
					most = max(most, math.Abs(float64(x)))
				}
				for i, x := range graph.Data[float32](w) {
					if d := math.Abs(float64(x - graph.Data[float32](got)[i])); d > most/200 {
						t.Fatalf("%s %s: weight %s: got %v for %v", spec.Model, p, name, graph.Data[float32](got)[i], x)
					} else if d > 0 {
						rounded++
					}
				}
			}
			if rounded == 0 {
				t.Errorf("%s %s: no weight was rounded", spec.Model, p)
			}
			o, err := again.Options()
			if err != nil {
				t.Fatal(err)
			}
			o.Input, o.Threshold = FloatNCHW, .25
			if other := build(t, net, own(again, net), o); other.Precision() != p || len(marshal(t, other)) > len(b)+1000 {
				t.Errorf("%s %s: with float input it is no such file", spec.Model, p)
			}
		}
	}
}

// own returns the weights of a network in m.
func own(m *Model, net models.Network) map[string]*graph.Tensor {
	weights := map[string]*graph.Tensor{}
	for name := range net.Init(1) {
		weights[name] = m.Weights[name]
	}
	return weights
}

func TestPrecisionErrors(t *testing.T) {
	net := network(t, models.Spec{Channels: 1, Height: 16, Filters: 2, Depth: 1})
	model := func() *Model { return build(t, net, net.Init(1), nil) }
	n := len(model().Quantized())
	big := net.Init(1)
	graph.Data[float32](big["encoder1.weight"])[0] = 7e4
	reduced := precise(t, model(), Float16)
	for _, c := range []struct {
		name string
		m    *Model
		p    Precision
		q    *Quantization
		is   error
		want string
	}{
		{"bfloat16", model(), BFloat16, nil, ErrOption, "opset 22"},
		{"unknown", model(), "int4", nil, ErrOption, `got "int4"`},
		{"int8 alone", model(), Int8, nil, ErrOption, "want one with int8"},
		{"fp16 with ranges", model(), Float16, quantization(n), ErrOption, "want one with int8"},
		{"too few ranges", model(), Int8, quantization(n - 1), ErrModel, "ranges of"},
		{"a range of nothing", model(), Int8, &Quantization{Ranges: []Range{{1, float32(math.NaN())}}}, ErrOption, "NaN"},
		{"a weight too large", build(t, net, big, nil), Float16, nil, ErrModel, "65504"},
		{"rounded already", reduced, Int8, quantization(n), ErrModel, "does not come back"},
	} {
		err := c.m.SetPrecision(c.p, c.q)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.is, c.want)
		}
	}
	m := precise(t, model(), Int8)
	m.Metadata[onnx.KeyQuantization] = "{"
	if _, err := Marshal(m); err == nil {
		t.Error("ranges that are no JSON: got no error")
	}
	b := marshal(t, precise(t, model(), Int8))
	if _, err := Reopen(bytes.Replace(b, []byte("DequantizeLinear"), []byte("DequantizeLineas"), 1)); !errors.Is(err, ErrModel) {
		t.Errorf("a changed file: got %v, want %v", err, ErrModel)
	}
}
