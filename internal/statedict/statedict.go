package statedict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/nlpodyssey/gopickle/pytorch"
	"github.com/nlpodyssey/gopickle/types"
)

// ErrFormat is wrapped by errors about files that are no state dicts.
var ErrFormat = errors.New("statedict")

// Read returns the float32 tensors of a file by name; those of other types, such
// as counters of batches, are left out.
func Read(path string) (_ map[string]*graph.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil { // the decoder trusts what a file says of its sizes
			err = fmt.Errorf("%w: %s: %v", ErrFormat, path, r)
		}
	}()
	if err := looksSaved(path); err != nil {
		return nil, err
	}
	loaded, err := pytorch.Load(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, path, err)
	}
	dict, ok := loaded.(*types.OrderedDict)
	if !ok {
		return nil, fmt.Errorf("%w: %s: got a %T, want a state dict", ErrFormat, path, loaded)
	}
	tensors := map[string]*graph.Tensor{}
	for key, entry := range dict.Map {
		name, ok := key.(string)
		t, isTensor := entry.Value.(*pytorch.Tensor)
		if !ok || !isTensor {
			return nil, fmt.Errorf("%w: %s: %v: got a %T, want a tensor", ErrFormat, path, key, entry.Value)
		}
		storage, ok := t.Source.(*pytorch.FloatStorage)
		if !ok {
			continue
		}
		data, ok := gather(storage.Data, t.StorageOffset, t.Size, t.Stride)
		if !ok {
			return nil, fmt.Errorf("%w: %s: %s: got %v in steps of %v from %d, beyond the %d numbers there are", ErrFormat, path, name, t.Size, t.Stride, t.StorageOffset, len(storage.Data))
		}
		tensors[name] = graph.NewTensor(data, t.Size...)
	}
	return tensors, nil
}

// looksSaved refuses files that begin otherwise than those of torch.save: the
// decoder takes them for tar archives, of which it may never see the end.
func looksSaved(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	defer f.Close()
	var head [14]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFormat, path, err)
	}
	// A zip archive, or a pickle of protocol 2 that begins with PyTorch's number.
	if !bytes.HasPrefix(head[:], []byte("PK\x03\x04")) && string(head[:]) != "\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19" {
		return fmt.Errorf("%w: %s: got a file that begins with %q, want one of torch.save", ErrFormat, path, head[:])
	}
	return nil
}

// gather copies a tensor of any strides into one piece; not ok is one that does
// not lie inside data.
func gather(data []float32, at int, size, stride []int) (out []float32, ok bool) {
	if len(size) != len(stride) || slices.Min(append([]int{at}, size...)) < 0 || slices.Min(append([]int{0}, stride...)) < 0 {
		return nil, false
	}
	last := at
	for i, n := range size {
		if n == 0 {
			return nil, true
		}
		last += (n - 1) * stride[i]
	}
	if last >= len(data) || graph.Elements(size) > len(data) {
		return nil, false
	}
	places := []int{at}
	for i, n := range size {
		next := make([]int, 0, len(places)*n)
		for _, p := range places {
			for j := range n {
				next = append(next, p+j*stride[i])
			}
		}
		places = next
	}
	out = make([]float32, len(places))
	for i, p := range places {
		out[i] = data[p]
	}
	return out, true
}
