package models

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/ref"
)

// The paper's table 1, at 128×128: sizes of what each layer makes, down and back.
func TestPaperNetwork(t *testing.T) {
	g := build(t, open(t, Spec{Model: "ssimae", Channels: 1}), 1)
	var got []string
	for _, n := range g.Nodes() {
		if n.Op == "Conv" || n.Op == "ConvTranspose" || n.Op == "Gemm" {
			got = append(got, n.Op+n.Outputs[0].Type.String())
		}
	}
	want := strings.Fields(`
		Conv[1,32,64,64] Conv[1,32,32,32] Conv[1,32,32,32] Conv[1,64,16,16] Conv[1,64,16,16] Conv[1,128,8,8] Conv[1,64,8,8] Conv[1,32,8,8]
		Gemm[1,100] Gemm[1,2048] Conv[1,64,8,8] Conv[1,128,8,8] ConvTranspose[1,64,16,16] Conv[1,64,16,16] ConvTranspose[1,32,32,32]
		Conv[1,32,32,32] ConvTranspose[1,32,64,64] ConvTranspose[1,1,128,128]`)
	for i, op := range got {
		got[i] = strings.ReplaceAll(strings.ReplaceAll(op, "float32", ""), " ", "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestSSIMAEValidate(t *testing.T) {
	for _, s := range []Spec{{Depth: 3}, {Latent: -1}, {Latent: 1 << 20}, {Height: 40}, {Height: 8}, {Model: "dcae", Latent: 100}} {
		s.Model = cmp.Or(s.Model, "ssimae")
		if err := s.Validate(); !errors.Is(err, ErrSpec) {
			t.Errorf("%+v: got %v, want an ErrSpec", s, err)
		}
	}
}

// At the beginning signals keep their size through all layers, the vector and
// what doubles the image included.
func TestSSIMAEInit(t *testing.T) {
	net := open(t, Spec{Model: "ssimae", Height: 32, Latent: 100})
	g := build(t, net, 1)
	var layers []*graph.Value
	for _, n := range g.Nodes() {
		if n.Op == "Conv" || n.Op == "ConvTranspose" || n.Op == "Gemm" {
			layers = append(layers, n.Outputs[0])
		}
	}
	x := graph.Zeros(graph.Float32, 1, 3, 32, 32)
	for i := range graph.Data[float32](x) {
		graph.Data[float32](x)[i] = float32(i%7) / 7
	}
	feeds := net.Init(1)
	feeds["x"] = x
	values, err := ref.Eval[float32](context.Background(), g, feeds, layers...)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range values {
		sum := 0.
		for _, a := range graph.Data[float32](v) {
			sum += float64(a) * float64(a)
		}
		if rms := math.Sqrt(sum / float64(v.Len())); !(rms > .03 && rms < 3) {
			t.Errorf("layer %d: got values of size %.3g", i, rms)
		}
	}
}
