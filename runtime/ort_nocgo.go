//go:build !cgo

package runtime

import (
	"errors"
	"fmt"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

var errNoCgo = errors.New("built without cgo, which ONNX Runtime needs: build with CGO_ENABLED=1 and a C compiler, or use provider " + string(Go))

// loadLibrary answers for ONNX Runtime, which is called through cgo.
func loadLibrary(string, Provider) (path, version string, places []Place, err error) {
	return "", "", nil, errNoCgo
}

func openORT(_ *onnx.File, provider Provider, _ SessionOptions) (engine, error) {
	return nil, fmt.Errorf("%w %s: %w", ErrProvider, provider, errNoCgo)
}
