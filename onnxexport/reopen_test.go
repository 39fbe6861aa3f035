package onnxexport

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
)

// A file built anew from what was read of it, in any other form, is the file of
// an export in that form.
func TestReopen(t *testing.T) {
	net := network(t, models.Spec{Channels: 1, Height: 16, Filters: 2, Depth: 1})
	weights := net.Init(1)
	spec, err := json.Marshal(net.Spec())
	if err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	var forms []*Options
	for _, input := range []InputKind{Uint8NHWC, FloatNCHW} {
		forms = append(forms, &Options{Profile: Reconstruction, Input: input})
		for _, m := range []residual.Options{{Kind: residual.SSIMMap, Blur: .375}, {Kind: residual.SSIMMap}, {Kind: residual.L1Map, Blur: 2}} {
			for _, th := range [][2]float32{{.25, .125}, {.25, nan}, {nan, nan}} {
				forms = append(forms, &Options{Profile: Detector, Input: input, Map: m, Threshold: th[0], PixelThreshold: th[1]})
			}
		}
	}
	for _, kind := range residual.Kinds() {
		forms = append(forms, &Options{Profile: Anomalib, Map: residual.Options{Kind: kind}, Threshold: .25, PixelThreshold: .125})
	}
	for _, o := range forms {
		o.Metadata = map[string]string{"model": string(spec), "data.hash": "y"}
	}
	for _, from := range forms {
		m, err := Reopen(marshal(t, build(t, net, weights, from)))
		if err != nil {
			t.Fatal(err)
		}
		read, err := m.Options()
		if err != nil {
			t.Fatal(err)
		}
		same, got, err := m.Network()
		if err != nil || same.Spec() != net.Spec() || len(got) != len(weights) {
			t.Fatalf("got %v, %d weights, %v, want %v, %d", same, len(got), err, net.Spec(), len(weights))
		}
		image, pixel, err := m.Thresholds()
		if (err != nil) != (from.Profile == Reconstruction) {
			t.Fatalf("profile %v: thresholds: %v", from.Profile, err)
		}
		if err == nil && fmt.Sprint(image, pixel) != fmt.Sprint(from.Threshold, from.PixelThreshold) {
			t.Errorf("got thresholds %v, %v, want %v, %v", image, pixel, from.Threshold, from.PixelThreshold)
		}
		read.Threshold, read.PixelThreshold = image, pixel
		if !bytes.Equal(marshal(t, build(t, net, got, read)), marshal(t, build(t, net, weights, from))) {
			t.Errorf("%+v: read %+v, whose file differs", from, read)
		}
		for _, to := range forms {
			o := *to
			o.Metadata = read.Metadata
			if !bytes.Equal(marshal(t, build(t, net, got, &o)), marshal(t, build(t, net, weights, to))) {
				t.Errorf("%+v to %+v: differs from an export", from, to)
			}
		}
	}
}

// TestReopenFieldOrder: files of before their graph came last are ours, too.
func TestReopenFieldOrder(t *testing.T) {
	net := conv{1, 4, 6}
	now := marshal(t, build(t, net, net.weights(), &Options{Input: FloatNCHW, Threshold: .5}))
	before, err := onnx.InFieldOrder(now)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before, now) {
		t.Fatal("want two orders")
	}
	m, err := Reopen(before)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(marshal(t, m), now) {
		t.Error("written again, the file is not what it would be now")
	}
}

func TestReopenErrors(t *testing.T) {
	net := conv{1, 4, 6}
	change := func(edit func(*onnxpb.ModelProto)) []byte {
		var p onnxpb.ModelProto
		if err := proto.Unmarshal(marshal(t, build(t, net, net.weights(), nil)), &p); err != nil {
			t.Fatal(err)
		}
		edit(&p)
		g := p.Graph
		p.Graph = nil
		var b []byte
		for _, part := range []*onnxpb.ModelProto{&p, {Graph: g}} { // the graph comes last
			var err error
			if b, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(b, part); err != nil {
				t.Fatal(err)
			}
		}
		return b
	}
	set := func(key, value string) func(*onnxpb.ModelProto) {
		return func(p *onnxpb.ModelProto) {
			for _, kv := range p.MetadataProps {
				if kv.GetKey() == "anomaly."+key {
					kv.Value = proto.String(value)
				}
			}
		}
	}
	plain := graph.New("plain")
	plain.Output("y", graph.Relu(plain.Input("x", graph.Float32, 1)))
	for _, c := range []struct {
		name string
		file []byte
		want string
	}{
		{"no model", []byte("x"), "no file that anomaly wrote: got 1 bytes that are no ONNX model"},
		{"no metadata", marshal(t, &Model{Graph: plain}), `metadata anomaly.schema: got "", want "1"`},
		{"later schema", change(set("schema", "2")), `metadata anomaly.schema: got "2", want "1"`},
		{"another tool", change(func(p *onnxpb.ModelProto) { p.ProducerName = proto.String("tool") }), "another tool has changed it"},
	} {
		if _, err := Reopen(c.file); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	for key, want := range map[string]string{"map.blur": `metadata anomaly.map.blur: got "x", want a number`, "map": `map: got "x"`, "profile": `profile: got "x"`} {
		m, err := Reopen(change(set(key, "x")))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Options(); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", key, err, want)
		}
	}
}
