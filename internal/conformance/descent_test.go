package conformance

import (
	"testing"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/runtime"
)

// descentTol is for networks that move the image: where a Relu's input is 0 but
// for rounding, the gradient is another, of a pixel or two.
var descentTol = tolerance{abs: 1e-3}

// Networks that move the image, with the gradient inside, give on each provider
// what float64 gives, and the same in any batch.
func TestDescent(t *testing.T) {
	providers := []runtime.Provider{runtime.Go, runtime.CPU}
	if *providerFlag != "" {
		providers = []runtime.Provider{runtime.Provider(*providerFlag)}
	}
	for _, p := range providers {
		t.Run(string(p), func(t *testing.T) {
			for _, a := range runtime.Diagnose(&runtime.SessionOptions{Provider: p}).Providers {
				if a.Provider == p && a.Problem != "" {
					t.Skipf("%s cannot be used: %s", p, a.Problem)
				}
			}
			for _, network := range []string{"dcae", "unet", "ssimae"} {
				spec := models.Spec{Model: network, AEGrad: 2, AEGradStop: 1, Height: ownHeight, Width: ownWidth, Filters: ownFilters}
				c := ownTest(t, "own/aegrad/"+network, spec, onnxexport.Options{}, ownHeight, ownWidth)
				c.tol = descentTol
				if _, err := c.try(t, p); err != nil {
					t.Errorf("%s: %v", network, err)
				}
			}
		})
	}
}
