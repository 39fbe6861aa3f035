package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// Weights beside the model are read from its folder, and from nowhere else.
func TestExternalWeights(t *testing.T) {
	dir := t.TempDir()
	spec := models.Spec{Height: 16, Filters: 4}
	whole := detectorModel(t, spec, &onnxexport.Options{Profile: onnxexport.Reconstruction})
	var beside []byte
	entry := func(k, v string) *onnxpb.StringStringEntryProto {
		return &onnxpb.StringStringEntryProto{Key: proto.String(k), Value: proto.String(v)}
	}
	var first *onnxpb.TensorProto
	split := func(change func()) []byte {
		beside = nil
		return edit(t, whole, func(g *onnxpb.GraphProto) {
			for _, w := range g.Initializer {
				if graph.DType(w.GetDataType()) != graph.Float32 || len(w.GetDims()) == 0 {
					continue
				}
				w.ExternalData = []*onnxpb.StringStringEntryProto{
					entry("location", "weights.bin"), entry("offset", itoa(len(beside))), entry("length", itoa(len(w.RawData))),
				}
				beside = append(beside, w.RawData...)
				w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
				if first == nil || w.GetName() == first.GetName() {
					first = w
				}
			}
			change()
		})
	}
	path := filepath.Join(dir, "sub", "model.onnx")
	write := func(b []byte) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{
			os.WriteFile(path, b, 0o600),
			os.WriteFile(filepath.Join(dir, "sub", "weights.bin"), beside, 0o600),
			os.WriteFile(filepath.Join(dir, "outside.bin"), beside, 0o600),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write(split(func() {}))
	each(t, func(t *testing.T, provider Provider) {
		d, err := Open(path, &Options{SessionOptions: SessionOptions{Provider: provider}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		img := pictures(1)[0]
		wantSame(t, "weights beside", detect(t, d, img)[0], detect(t, openDetector(t, whole, &Options{SessionOptions: SessionOptions{Provider: provider}}), img)[0], 0)

		s, err := OpenSessionFile(path, &SessionOptions{Provider: provider})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, change := range map[string]func(){
		"outside": func() { first.ExternalData[0].Value = proto.String("../outside.bin") },
		"absent":  func() { first.ExternalData[0].Value = proto.String("absent.bin") },
		"offset":  func() { first.ExternalData[1].Value = proto.String("99999999") },
		"length":  func() { first.ExternalData[2].Value = proto.String("-1") },
	} {
		b := split(change)
		write(b)
		if _, err := Open(path, &Options{SessionOptions: SessionOptions{Provider: Go}}); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), first.GetName()) {
			t.Errorf("%s: got %v, want ErrModel of weight %q", name, err, first.GetName())
		}
		if _, err := OpenSession(b, &SessionOptions{Provider: Go}); !errors.Is(err, ErrModel) {
			t.Errorf("%s: bytes alone: got %v, want ErrModel", name, err)
		}
		if _, err := OpenSessionFile(path, &SessionOptions{Provider: Go}); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: session: got %v, want ErrModel of %s", name, err, path)
		}
	}
}

// Constants in nodes may lie in other files too, and no path leads out of the folder.
func TestExternalConstants(t *testing.T) {
	needProvider(t, CPU)
	model := func(location string) []byte {
		s := newSketch(13)
		s.input("input", graph.Float32, "n", 3, foreignHeight, foreignWidth)
		s.mean("input", "anomaly_map", graph.Float32, 1)
		s.output("anomaly_map", graph.Float32, "n", 1, foreignHeight, foreignWidth)
		w := s.Graph.Initializer[0]
		s.Graph.Initializer = nil
		w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
		w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String(location)}}
		s.node("Constant", nil, w.GetName())
		n := len(s.Graph.Node)
		s.Graph.Node[n-1].Attribute = []*onnxpb.AttributeProto{{Name: proto.String("value"), Type: onnxpb.AttributeProto_TENSOR.Enum(), T: w}}
		s.Graph.Node[0], s.Graph.Node[n-1] = s.Graph.Node[n-1], s.Graph.Node[0]
		return s.bytes(t)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "sub")
	third := newSketch(13)
	third.weight("w", graph.Float32, []int64{3}, 1./3, 1./3, 1./3)
	data := third.Graph.Initializer[0].RawData
	for _, err := range []error{
		os.Mkdir(dir, 0o700),
		os.WriteFile(filepath.Join(dir, "weights.bin"), data, 0o600),
		os.WriteFile(filepath.Join(root, "outside.bin"), data, 0o600),
		os.Symlink(filepath.Join(root, "outside.bin"), filepath.Join(dir, "link.bin")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for location, fine := range map[string]bool{"weights.bin": true, "../outside.bin": false, filepath.Join(root, "outside.bin"): false, "link.bin": false, ".": false} {
		path := filepath.Join(dir, "model.onnx")
		if err := os.WriteFile(path, model(location), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := Open(path, &Options{SessionOptions: SessionOptions{Provider: CPU}})
		if fine != (err == nil) || !fine && !errors.Is(err, ErrModel) {
			t.Errorf("%s: got %v", location, err)
		}
		if err == nil {
			d.Close()
		}
		if _, err := InspectFile(path); err != nil {
			t.Errorf("%s: inspect: got %v", location, err)
		}
	}
	if _, err := OpenBytes(model("weights.bin"), &Options{SessionOptions: SessionOptions{Provider: CPU}}); !errors.Is(err, ErrModel) {
		t.Errorf("bytes alone: got %v, want ErrModel", err)
	}
}

// A hub's cache has model and weights as links into one folder. They are taken; what
// leads elsewhere is not, nor is a sparse file that is larger than memory.
func TestExternalWeightsBehindLinks(t *testing.T) {
	dir := t.TempDir()
	blobs, snapshot := filepath.Join(dir, "blobs"), filepath.Join(dir, "snapshots", "a")
	path := filepath.Join(snapshot, "model.onnx")
	spec := models.Spec{Height: 16, Filters: 2, Depth: 1}
	whole := detectorModel(t, spec, &onnxexport.Options{Profile: onnxexport.Reconstruction})
	var weight []byte
	name := ""
	outside := func(location string, dims ...int64) []byte {
		return edit(t, whole, func(g *onnxpb.GraphProto) {
			for _, w := range g.Initializer {
				if graph.DType(w.GetDataType()) != graph.Float32 || len(w.GetDims()) != 4 {
					continue
				}
				name, weight = w.GetName(), w.RawData
				w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String(location)}}
				w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
				if dims != nil {
					w.Dims = dims
				}
				return
			}
		})
	}
	model := outside("model.onnx_data")
	for _, err := range []error{
		os.MkdirAll(blobs, 0o700), os.MkdirAll(snapshot, 0o700),
		os.WriteFile(filepath.Join(blobs, "m"), model, 0o600), os.WriteFile(filepath.Join(blobs, "w"), weight, 0o600),
		os.WriteFile(filepath.Join(dir, "secret"), weight, 0o600),
		os.Symlink("../../blobs/m", path), os.Symlink("../../blobs/w", filepath.Join(snapshot, "model.onnx_data")),
	} {
		if err != nil {
			t.Skip(err) // a system without links
		}
	}
	o := &Options{SessionOptions: SessionOptions{Provider: Go}}
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()

	data := filepath.Join(snapshot, "model.onnx_data")
	refuse := func(what, want string) {
		t.Helper()
		if _, err := Open(path, o); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want ErrModel of %s: %s", what, err, name, want)
		}
	}
	replace := func(target string) {
		if err := errors.Join(os.Remove(data), os.Symlink(target, data)); err != nil {
			t.Fatal(err)
		}
	}
	replace("../../secret")
	refuse("a link elsewhere", "want a file beside the model")
	for _, location := range []string{"../../secret", filepath.Join(dir, "secret"), "sub/../../../secret"} {
		if err := os.WriteFile(filepath.Join(blobs, "m"), outside(location), 0o600); err != nil {
			t.Fatal(err)
		}
		refuse(location, "want a file beside the model")
	}

	const huge = 1 << 42
	for _, dims := range [][]int64{nil, {1 << 20, 1 << 20, 1, 1}} {
		if err := errors.Join(os.Remove(data), os.WriteFile(data, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(data, huge); err != nil {
			t.Skip(err) // a file system without sparse files
		}
		if err := os.WriteFile(filepath.Join(blobs, "m"), outside("model.onnx_data", dims...), 0o600); err != nil {
			t.Fatal(err)
		}
		if dims == nil {
			refuse("a sparse file", "got 4398046511104 bytes")
		} else {
			refuse("a sparse weight", "memory")
		}
	}
}
