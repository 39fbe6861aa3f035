package conformance

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/npy"
)

// readArrays reads NumPy's .npz file, a zip of .npy files.
func readArrays(path string) (map[string]*graph.Tensor, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	arrays := map[string]*graph.Tensor{}
	for _, f := range z.File {
		name, _ := bytes.CutSuffix([]byte(f.Name), []byte(".npy"))
		if arrays[string(name)], err = readArray(f); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, f.Name, err)
		}
	}
	return arrays, nil
}

func readArray(z *zip.File) (*graph.Tensor, error) {
	r, err := z.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	f, err := npy.NewFile(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	switch f.DType {
	case npy.Float32:
		return tensor[float32](f)
	case npy.Float64:
		return tensor[float64](f)
	case npy.Uint8:
		return tensor[uint8](f)
	case npy.Int32:
		return tensor[int32](f)
	case npy.Int64:
		return tensor[int64](f)
	case npy.Bool:
		return tensor[bool](f)
	}
	return nil, fmt.Errorf("there are no tensors of type %s", f.DType)
}

func tensor[T graph.Elem](f *npy.File) (*graph.Tensor, error) {
	data, err := npy.ReadAll[T](f)
	if err != nil {
		return nil, err
	}
	return graph.NewTensor(data, f.Shape...), nil
}

// numbered returns name_0, name_1 and so on.
func numbered(arrays map[string]*graph.Tensor, name string) []*graph.Tensor {
	var list []*graph.Tensor
	for i := 0; ; i++ {
		t := arrays[fmt.Sprint(name, "_", i)]
		if t == nil {
			return list
		}
		list = append(list, t)
	}
}

// A difference is how far an output is from its golden values.
type difference struct {
	Max float64 // the largest absolute difference; how many booleans differ
	Of  int     `json:",omitempty"` // how many booleans there are, 0 for numbers
}

// differences are those of a model's outputs, by name.
type differences map[string]difference

// compare measures the difference of two tensors. An error says what of it is
// not tolerated. NaN equals NaN.
func compare(got, want *graph.Tensor, tol tolerance) (difference, error) {
	if got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return difference{}, fmt.Errorf("got %v%v, want %v%v", got.DType(), got.Shape(), want.DType(), want.Shape())
	}
	g, w := numbers(got), numbers(want)
	var worst float64
	var differ int
	var beyond []int
	for i := range w {
		diff := math.Abs(g[i] - w[i])
		switch {
		case g[i] == w[i] || g[i] != g[i] && w[i] != w[i]:
			continue
		case diff != diff:
			diff = math.Inf(1)
		}
		differ++
		if worst = max(worst, diff); diff > tol.of(w[i]) || math.IsInf(diff, 0) {
			beyond = append(beyond, i)
		}
	}
	d := difference{Max: worst}
	if want.DType() == graph.Bool {
		d = difference{Max: float64(differ), Of: len(w)}
	}
	if len(beyond) == 0 {
		return d, nil
	}
	return d, fmt.Errorf("%d of %d elements differ by more than %v, up to %.3g; the first, at %d: got %v, want %v",
		len(beyond), len(w), tol, worst, beyond[0], g[beyond[0]], w[beyond[0]])
}

// numbers returns a tensor's elements; false is 0, true 1.
func numbers(t *graph.Tensor) []float64 {
	var n []float64
	switch data := t.Raw().(type) {
	case []float32:
		n = converted(data)
	case []uint8:
		n = converted(data)
	case []int32:
		n = converted(data)
	case []int64:
		n = converted(data)
	case []float64:
		n = data
	case []bool:
		n = make([]float64, len(data))
		for i, b := range data {
			if b {
				n[i] = 1
			}
		}
	}
	return n
}

func converted[T uint8 | int32 | int64 | float32](data []T) []float64 {
	n := make([]float64, len(data))
	for i, x := range data {
		n[i] = float64(x)
	}
	return n
}
