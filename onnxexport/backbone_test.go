package onnxexport

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
)

// A model with a backbone of a file is opened again without that file: the backbone
// is in it, at each size, and exported anew the model has the same bytes.
func TestReopenBackbone(t *testing.T) {
	weights := map[string]*graph.Tensor{}
	resources := &models.Resources{Backbone: func(h, w int) (*graph.Graph, map[string]*graph.Tensor, error) {
		g := graph.New("backbone")
		x := g.Input("x", graph.Float32, graph.Dynamic, 3, h, w)
		param := func(name string, shape ...int) *graph.Value {
			weights[name] = graph.Zeros(graph.Float32, shape...)
			for i := range graph.Data[float32](weights[name]) {
				graph.Data[float32](weights[name])[i] = float32(math.Sin(float64(3*i + len(name))))
			}
			return g.Param(name, shape...)
		}
		y := graph.Relu(graph.Conv(x, param("backbone.w", 5, 3, 8, 8), nil, &graph.ConvOptions{Strides: [2]int{8, 8}}))
		g.Output("tap0", graph.Mul(y, g.Scalar(.5)))
		g.Output("tap1", graph.Conv(y, param("backbone.v", 4, 5, 2, 2), param("backbone.b", 4), &graph.ConvOptions{Strides: [2]int{2, 2}}))
		return g, weights, g.Err()
	}}
	spec := models.Spec{
		Model: "features", Backbone: "net.onnx", Height: 96, Width: 64, Scales: 2, Rank: 2,
		BackboneFile: models.BackboneFile{SHA256: "ab", Taps: "a,b", Normalisation: "none", Step: 32},
	}
	net, err := models.Open(spec, resources)
	if err != nil {
		t.Fatal(err)
	}
	features := graph.New("features")
	size := graph.Elements(net.(models.Fitter).Features(features.Input("x", graph.Float32, 1, 3, 96, 64)).Shape)
	fit, err := net.(models.Fitter).NewFit(3, 1)
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, size)
	for image := range 3 {
		for i := range x {
			x[i] = float32(math.Cos(float64(i * (image + 2))))
		}
		if err := fit.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	all := net.Init(1)
	fitted, err := fit.Solve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range fitted {
		all[name] = w
	}
	described, err := json.Marshal(net.Spec())
	if err != nil {
		t.Fatal(err)
	}
	o := &Options{Threshold: 1, Metadata: map[string]string{"model": string(described)}}
	b := marshal(t, build(t, net, all, o))
	m, err := Reopen(b)
	if err != nil {
		t.Fatal(err)
	}
	again, got, err := m.Network()
	if err != nil || again.Spec() != net.Spec() || len(got) != len(all) {
		t.Fatalf("got %v, %d weights, %v, want %v, %d", again, len(got), err, net.Spec(), len(all))
	}
	if !bytes.Equal(marshal(t, build(t, again, got, o)), b) {
		t.Error("exported anew it has other bytes")
	}
	if _, err := models.Open(spec, nil); err == nil {
		t.Error("without the file or a model: got no error")
	}
}
