package runtime

import (
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// Info is the name and the type of an input or output. Dimensions that the model
// leaves open are [graph.Dynamic]; the shape is nil where it declares none.
type Info struct {
	Name string
	graph.Type
}

func (i Info) String() string { return fmt.Sprintf("%q %v", i.Name, i.Type) }

// infos copies what callers may see, and change, of ports.
func infos(ports []onnx.Port) []Info {
	var list []Info
	for _, p := range ports {
		list = append(list, Info{p.Name, graph.Type{DType: p.DType, Shape: slices.Clone(p.Shape)}})
	}
	return list
}

// ReadFile returns the bytes of a model's file, with the weights that lie in other
// files beside it moved into the model: one file that holds all of it.
func ReadFile(path string) ([]byte, error) {
	f, err := openFile(path, (*SessionOptions)(nil).maxMemory())
	if err != nil {
		return nil, err
	}
	b, err := f.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: with its weights inside: %w", path, ErrModel, err)
	}
	return b, nil
}

// Hash returns the hash of a model, given as [ReadFile] returns it, that its
// [ModelInfo] and its results have: SHA-256, in hexadecimal.
func Hash(model []byte) string { return onnx.Hash(model) }

// openFile parses a model's file, with what lies in other files beside it: weights
// of at most limit bytes.
func openFile(path string, limit int64) (*onnx.File, error) {
	b, err := readBytes(path)
	if err != nil {
		return nil, err
	}
	f, err := onnx.Read(b)
	if err == nil {
		err = f.Gather(path, limit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
	}
	return f, nil
}

// readBytes returns the bytes of a model's file, which has less than protobuf's 2 GiB.
func readBytes(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > math.MaxInt32 {
		return nil, fmt.Errorf("%w: %s: got %d bytes, want less than 2 GiB: larger models have their weights in other files", ErrModel, path, info.Size())
	}
	b, err := regular.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return b, nil
}

// readModel parses a model.
func readModel(b []byte) (*onnx.File, error) {
	f, err := onnx.Read(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	return f, nil
}

// release drops what a file that is open on a provider has beside the plan.
func release(f *onnx.File, provider Provider) {
	if provider.row().ORT {
		f.ReleaseBytes() // other outputs may be asked for
	} else {
		f.Release()
	}
}

// ready prepares a file to be run.
func ready(f *onnx.File) error {
	if name := f.Outside(); name != "" {
		return fmt.Errorf("%w: weight %q lies in another file: open the model by its path", ErrModel, name)
	}
	if err := f.Widen(); err != nil {
		return fmt.Errorf("%w: %w", ErrModel, err)
	}
	return nil
}
