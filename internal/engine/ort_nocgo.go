//go:build !cgo

package engine

import (
	"errors"

	"github.com/anomaly-go/anomaly/internal/onnx"
)

var errNoCgo = errors.New("built without cgo, which ONNX Runtime needs: build with CGO_ENABLED=1 and a C compiler, or use provider go")

// LoadLibrary answers for ONNX Runtime, which is called through cgo.
func LoadLibrary(string, *Provider) (path, version string, places []Place, err error) {
	return "", "", nil, errNoCgo
}

func openORT(_ *onnx.File, provider *Provider, _ Options) (Plan, error) {
	return nil, provider.fail(errNoCgo)
}
