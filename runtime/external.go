package runtime

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// external reports whether a weight's numbers lie in another file.
func external(t *onnxpb.TensorProto) bool {
	return t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL
}

// ReadFile returns the bytes of a model's file, with the weights that lie in other
// files beside it moved into the model: one file that holds all of it.
func ReadFile(path string) ([]byte, error) {
	b, err := regular.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if b, err = gather(b, filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return b, nil
}

// externalFiles returns the names of the files, in a model's folder, that gather
// reads or would if they were there; none of bytes that are no model.
func externalFiles(b []byte) []string {
	p, err := unmarshal(b)
	if err != nil {
		return nil
	}
	names := []string{sidecarName}
	for _, t := range externals(p.GetGraph()) {
		for _, e := range t.GetExternalData() {
			if e.GetKey() == "location" && !slices.Contains(names, e.GetValue()) {
				names = append(names, e.GetValue())
			}
		}
	}
	return names
}

// gather moves what lies in other files of the model's folder into the model:
// weights, as exporters of large models write them, and anomalib's metadata.
func gather(b []byte, dir string) ([]byte, error) {
	p, err := unmarshal(b)
	if err != nil {
		return nil, err
	}
	outside := externals(p.GetGraph())
	added, err := addSidecar(p, dir)
	if err != nil {
		return nil, err
	}
	if len(outside) == 0 && !added {
		return b, nil
	}
	folder, err := os.OpenRoot(dir) // a model cannot reach beyond its folder
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	defer folder.Close()
	files := map[string][]byte{}
	for _, t := range outside {
		if err := embed(t, folder, files); err != nil {
			return nil, fmt.Errorf("%w: weight %q: %w", ErrModel, t.GetName(), err)
		}
	}
	if b, err = proto.Marshal(p); err != nil {
		return nil, fmt.Errorf("%w: with its weights inside: %w", ErrModel, err)
	}
	return b, nil
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
