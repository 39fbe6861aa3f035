package runtime

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// FuzzInspect looks at files of any tool: what is refused wraps ErrModel, what is
// described is possible.
func FuzzInspect(f *testing.F) {
	spec := models.Spec{Height: 16, Width: 16, Filters: 2, Depth: 1}
	for _, b := range [][]byte{
		affine(f), detectorModel(f, spec, nil), detectorModel(f, spec, &onnxexport.Options{Profile: onnxexport.Reconstruction}),
	} {
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	anomalib := newSketch(13)
	anomalib.input("input", graph.Float32, "n", 3, "h", "w")
	anomalib.node("Resize", []string{"input", "", "", anomalib.weight("sizes", graph.Int64, []int64{4}, 1, 3, 8, 8)}, "x")
	anomalib.mean("x", "raw", graph.Float32, 1)
	anomalib.node("Where", []string{anomalib.weight("yes", graph.Bool, nil, 1), "raw", "x"}, "raw2")
	anomalib.node("Clip", []string{"raw2", anomalib.weight("zero", graph.Float32, nil, 0), anomalib.weight("one", graph.Float32, nil, 1)}, "anomaly_map")
	anomalib.highest("anomaly_map", "pred_score")
	anomalib.node("LessOrEqual", []string{"pred_score", "one"}, "good")
	anomalib.node("Not", []string{"good"}, "pred_label")
	anomalib.output("pred_score", graph.Float32, "n", 1)
	anomalib.output("pred_label", graph.Bool, "n", 1)
	anomalib.output("anomaly_map", graph.Float32, "n", 1, 8, 8)
	f.Add(anomalib.bytes(f))
	legacy := newSketch(11)
	legacy.input("input", float16, 1, 3, 8, 8)
	legacy.mean("input", "output", float16, 1)
	legacy.output("output", float16, 1, 1, 8, 8)
	legacy.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: proto.String(onnx.KeySidecar), Value: proto.String(
		`{"image_threshold": 1, "min": 0, "max": 2, "transform": {"transforms": [{"__class_fullname__": "Normalize", "mean": [0, 0, 0], "std": [1, 1, 1]}]}}`)}}
	f.Add(legacy.bytes(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := readModel(b); err != nil && !errors.Is(err, ErrModel) {
			t.Fatalf("got %v, want it to wrap ErrModel", err)
		}
		d, err := Inspect(b)
		if err != nil {
			if !errors.Is(err, ErrModel) {
				t.Fatalf("got %v, want it to wrap ErrModel", err)
			}
			return
		}
		macs := int64(0)
		if d.MACs != nil {
			macs = *d.MACs
		}
		if d.Params < 0 || macs < 0 {
			t.Errorf("got %d parameters and %d multiply-accumulates", d.Params, macs)
		}
	})
}
