package runtime

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// TestGoInterop: models of other tools, whose graphs compute shapes from the
// batch, at batches of 1, 2 and 3 images: the goldens' two, the first again.
func TestGoInterop(t *testing.T) {
	for _, name := range []string{"torch_dynamo_dcae_128", "keras_dcae_128_nhwc", "anomalib_padim_128"} {
		t.Run(name, func(t *testing.T) {
			dir := testenv.Shared(t, "interop", name)
			model, err := readFile(filepath.Join(dir, "model.onnx"))
			if err != nil {
				t.Fatal(err)
			}
			s := openTest(t, model, &Options{Provider: Go})
			golden := readGolden(t, filepath.Join(dir, "golden.npz"))
			for batch := range 3 {
				out, err := s.Run(t.Context(), map[string]*graph.Tensor{s.Inputs()[0].Name: firstImages(golden["input"], batch+1)})
				if err != nil {
					t.Fatal(err)
				}
				compared := 0
				for i, info := range s.Outputs() {
					if golden["output_"+itoa(i)] == nil { // a label or a mask
						continue
					}
					compared++
					want, got := firstImages(golden["output_"+itoa(i)], batch+1), out[info.Name]
					if d := maxDiff(graph.Data[float32](got), graph.Data[float32](want)); !(d <= interopTol) || !slices.Equal(got.Shape(), want.Shape()) {
						t.Errorf("batch of %d, %s: %v differs by %g from %v, want at most %g", batch+1, info.Name, got.Shape(), d, want.Shape(), interopTol)
					}
				}
				if compared == 0 {
					t.Error("compared nothing")
				}
			}
		})
	}
}

// firstImages returns a batch of n images: those of x, over and over.
func firstImages(x *graph.Tensor, n int) *graph.Tensor {
	data, shape := graph.Data[float32](x), slices.Clone(x.Shape())
	each := len(data) / shape[0]
	batch := []float32{}
	for i := range n {
		i %= shape[0]
		batch = append(batch, data[i*each:(i+1)*each]...)
	}
	shape[0] = n
	return graph.NewTensor(batch, shape...)
}
