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

	"github.com/anomaly-go/anomaly/graph"
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

// Gather moves what lies in other files beside the model, which is at path, into the
// model: weights, as exporters of large models write them, of at most limit bytes
// together, and anomalib's metadata.
func (f *File) Gather(path string, limit int64) error {
	if err := f.AddSidecar(filepath.Dir(path)); err != nil {
		return err
	}
	outside := externals(f.proto.GetGraph())
	if len(outside) == 0 {
		return nil
	}
	b := beside{model: path, left: limit, files: map[string]*os.File{}}
	defer b.close()
	for _, t := range outside {
		if err := b.embed(t); err != nil {
			return fmt.Errorf("weight %q: %w", t.GetName(), err)
		}
	}
	f.bytes = nil
	return nil
}

// A beside reads files beside a model.
type beside struct {
	model string
	left  int64 // bytes that may still be read
	files map[string]*os.File
}

func (b *beside) close() {
	for _, f := range b.files {
		f.Close()
	}
}

// open opens a file beside the model: in its folder, or for links, as model hubs
// keep what they have downloaded, in that of what the model's path leads to. A
// model cannot reach beyond those.
func (b *beside) open(name string) (*os.File, error) {
	if f := b.files[name]; f != nil {
		return f, nil
	}
	if !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%q: want a file beside the model", name)
	}
	path, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(b.model), name))
	if err != nil {
		return nil, err
	}
	within := false
	for _, of := range []string{filepath.Dir(b.model), b.model} {
		folder, err := filepath.EvalSymlinks(of)
		if err != nil {
			return nil, err
		}
		if of == b.model {
			folder = filepath.Dir(folder)
		}
		rel, err := filepath.Rel(folder, path)
		within = within || err == nil && filepath.IsLocal(rel)
	}
	if !within {
		return nil, fmt.Errorf("%q leads to %s: want a file beside the model", name, path)
	}
	f, err := regular.Open(path)
	if err != nil {
		return nil, err
	}
	b.files[name] = f
	return f, nil
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

// embed moves a weight into the model. It takes no memory before it knows that the
// bytes are as many as the weight has, and not too many: files can be sparse.
func (b *beside) embed(t *onnxpb.TensorProto) error {
	where := map[string]string{}
	for _, e := range t.GetExternalData() {
		where[e.GetKey()] = e.GetValue()
	}
	name := where["location"]
	f, err := b.open(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	offset, err := strconv.ParseInt(cmp.Or(where["offset"], "0"), 10, 64)
	if err != nil || offset < 0 || offset > size {
		return fmt.Errorf("offset: got %q, want a number up to %d, the size of %q", where["offset"], size, name)
	}
	length := size - offset
	if s, ok := where["length"]; ok {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 0 || n > length {
			return fmt.Errorf("length: got %q, want a number up to %d, what %q has left", s, length, name)
		}
		length = n
	}
	if want, known := rawSize(t); known && length != want {
		return fmt.Errorf("got %d bytes in %q, want %d for dimensions %v", length, name, want, t.GetDims())
	}
	if b.left -= length; b.left < 0 {
		return fmt.Errorf("memory: with it the weights take more than the limit of a model: %w", ErrMemory)
	}
	data := make([]byte, length)
	if _, err := f.ReadAt(data, offset); err != nil && length > 0 {
		return err
	}
	t.RawData, t.ExternalData, t.DataLocation = data, nil, nil
	return nil
}

// rawSize is how many bytes the numbers of a tensor take, where its type is known.
func rawSize(t *onnxpb.TensorProto) (int64, bool) {
	each := 2
	if d := graph.DType(t.GetDataType()); !isHalf(d) {
		var ok bool
		if each, ok = elemSize[d]; !ok {
			return 0, false
		}
	}
	n, ok := elements(dims(t))
	return n * int64(each), ok
}
