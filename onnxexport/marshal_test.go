package onnxexport

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
)

// tinySHA256 is of the file of conv{1, 4, 6} in profile Reconstruction. It changes
// when the layout of files does, or the names that package graph gives: make
// sure that this is meant, and put in what the test prints.
const tinySHA256 = "f5db48d7a8b487721a342e5f27960a41186865a7d56dae3f9966f7f287f32b6a"

func marshal(t testing.TB, m *Model) []byte {
	t.Helper()
	b, err := Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func build(t testing.TB, net Network, weights map[string]*graph.Tensor, o *Options) *Model {
	t.Helper()
	m, err := Build(net, weights, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestGolden(t *testing.T) {
	net := conv{1, 4, 6}
	b := marshal(t, build(t, net, net.weights(), &Options{Profile: Reconstruction, Metadata: map[string]string{"model": "tiny"}}))
	if got := fmt.Sprintf("%x", sha256.Sum256(b)); got != tinySHA256 {
		t.Errorf("got %s, want %s", got, tinySHA256)
	}
}

// A file that is only half there is no model, wherever it ends.
func TestPrefixes(t *testing.T) {
	net := conv{1, 4, 6}
	b := marshal(t, build(t, net, net.weights(), &Options{Threshold: .1, Metadata: map[string]string{"model": "tiny"}}))
	if _, err := parse(b); err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := parse(b[:n]); !errors.Is(err, ErrModel) {
			t.Fatalf("%d of %d bytes: got %v, want ErrModel", n, len(b), err)
		}
	}
}

func TestDeterministic(t *testing.T) {
	net := network(t, models.Spec{Height: 16, Filters: 4})
	o := &Options{Threshold: .1, Metadata: map[string]string{}}
	for i := range 20 {
		o.Metadata[fmt.Sprintf("key%d", i)] = "value"
	}
	want := marshal(t, build(t, net, net.Init(1), o))
	for range 3 {
		if got := marshal(t, build(t, net, net.Init(1), o)); !bytes.Equal(got, want) {
			t.Fatal("two builds of one model differ")
		}
	}
}

func TestRoundTrip(t *testing.T) {
	for _, c := range runCases(t) {
		t.Run(c.name, func(t *testing.T) {
			b := marshal(t, c.model)
			m, err := parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(marshal(t, m), b) {
				t.Error("Marshal(parse(b)) differs from b")
			}
			if len(c.model.Metadata) > 0 && !cmp.Equal(m.Metadata, c.model.Metadata) {
				t.Error(cmp.Diff(m.Metadata, c.model.Metadata))
			}
			for name, w := range c.model.Weights {
				if got := m.Weights[name]; got == nil || !slices.Equal(graph.Data[float32](got), graph.Data[float32](w)) {
					t.Errorf("weight %q differs", name)
				}
			}
			for i, v := range c.model.Graph.Outputs() {
				if got := m.Graph.Outputs()[i]; got.Name() != v.Name() || got.Type.String() != v.Type.String() {
					t.Errorf("output %d: got %s %v, want %s %v", i, got.Name(), got.Type, v.Name(), v.Type)
				}
			}
		})
	}
}

func parse(b []byte) (*Model, error) {
	m, err := onnx.Parse(b)
	if err != nil {
		return nil, errorf("%w", err)
	}
	return (*Model)(m), nil
}
