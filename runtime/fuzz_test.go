package runtime

import (
	"errors"
	"testing"

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
