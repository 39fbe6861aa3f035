package onnx

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// external reports whether a weight's numbers lie in another file.
func external(t *onnxpb.TensorProto) bool {
	return t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL
}

// Outside returns the name of a weight that lies in another file, "" for none.
func (f *File) Outside() string {
	if outside := externals(f.proto.GetGraph()); len(outside) > 0 {
		return outside[0].GetName()
	}
	return ""
}

// Beside returns the names of the files, in the model's folder, that [File.Gather]
// reads or would if they were there.
func (f *File) Beside() []string {
	names := []string{sidecarName}
	for _, t := range externals(f.proto.GetGraph()) {
		for _, e := range t.GetExternalData() {
			if e.GetKey() == "location" && !slices.Contains(names, e.GetValue()) {
				names = append(names, e.GetValue())
			}
		}
	}
	return names
}

// Gather moves what lies in other files of the model's folder into the model:
// weights, as exporters of large models write them, and anomalib's metadata.
func (f *File) Gather(dir string) error {
	if err := f.AddSidecar(dir); err != nil {
		return err
	}
	outside := externals(f.proto.GetGraph())
	if len(outside) == 0 {
		return nil
	}
	folder, err := os.OpenRoot(dir) // a model cannot reach beyond its folder
	if err != nil {
		return err
	}
	defer folder.Close()
	files := map[string][]byte{}
	for _, t := range outside {
		if err := embed(t, folder, files); err != nil {
			return fmt.Errorf("weight %q: %w", t.GetName(), err)
		}
	}
	f.bytes = nil
	return nil
}

// sidecarName is what anomalib 0.x and 1.x write beside a model. It is kept as
// metadata of the model itself, so that a model is its bytes.
const sidecarName = "metadata.json"

// AddSidecar puts anomalib's metadata.json, where it lies in the folder of a model
// that may be anomalib's, into the model.
func (f *File) AddSidecar(dir string) error {
	has := func(key string) bool { _, ok := f.Metadata[key]; return ok }
	if f.Outputs[0].Name != LegacyOutput || has(KeySidecar) || has(KeyProfile) {
		return nil
	}
	path := filepath.Join(dir, sidecarName)
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
		return nil // there need not be one, nor need it be anomalib's
	}
	b, err := regular.Read(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), "image_threshold") {
		return nil
	}
	f.proto.MetadataProps = append(f.proto.MetadataProps, &onnxpb.StringStringEntryProto{Key: proto.String(KeySidecar), Value: proto.String(string(b))})
	f.Metadata[KeySidecar] = string(b)
	f.bytes = nil
	return nil
}

// externals lists the tensors whose numbers lie in another file: weights, and
// constants in nodes, those of inner graphs included.
func externals(g *onnxpb.GraphProto) []*onnxpb.TensorProto {
	var list []*onnxpb.TensorProto
	add := func(tensors ...*onnxpb.TensorProto) {
		for _, t := range tensors {
			if external(t) {
				list = append(list, t)
			}
		}
	}
	add(g.GetInitializer()...)
	for _, n := range g.GetNode() {
		for _, a := range n.GetAttribute() {
			add(a.GetT())
			add(a.GetTensors()...)
		}
		for _, inner := range subgraphs(n) {
			list = append(list, externals(inner)...)
		}
	}
	return list
}

// embed moves a weight into the model; files are those read so far.
func embed(t *onnxpb.TensorProto, folder *os.Root, files map[string][]byte) error {
	where := map[string]string{}
	for _, e := range t.GetExternalData() {
		where[e.GetKey()] = e.GetValue()
	}
	name := where["location"]
	data, read := files[name]
	if !read {
		var err error
		if info, err := folder.Stat(name); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%s: %w", name, regular.ErrIrregular)
		}
		if data, err = folder.ReadFile(name); err != nil {
			return err
		}
		files[name] = data
	}
	offset, err := strconv.ParseUint(cmp.Or(where["offset"], "0"), 10, 63)
	if err != nil || offset > uint64(len(data)) {
		return fmt.Errorf("offset: got %q, want a number up to %d, the size of %q", where["offset"], len(data), name)
	}
	data = data[offset:]
	if s, ok := where["length"]; ok {
		length, err := strconv.ParseUint(s, 10, 63)
		if err != nil || length > uint64(len(data)) {
			return fmt.Errorf("length: got %q, want a number up to %d, what %q has left", s, len(data), name)
		}
		data = data[:length]
	}
	t.RawData, t.ExternalData, t.DataLocation = data, nil, nil
	return nil
}
