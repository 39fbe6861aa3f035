package train

import (
	"context"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// mostErrors is of how many training images errors are taken, evenly: their low
// quantiles need no more.
const mostErrors = 256

// errors returns, for the training images of the last network, the squared
// difference of the image and its reconstruction, summed over all pixels and
// channels: what Spec.AEGradStop is held against.
func (t *trainer) errors(ctx context.Context, weights map[string]*graph.Tensor) ([]float64, error) {
	det, err := t.detector(weights, &residual.Options{Kind: residual.L2Map}, anrt.View{})
	if err != nil {
		return nil, err
	}
	defer det.Close()
	images := t.stages[len(t.stages)-1].train
	n := min(len(images), mostErrors)
	return measure(ctx, det, n, func(i int) []uint8 {
		at := images[i*len(images)/n]
		return t.data.Pixels[at*t.size:][:t.size]
	}, func(r *anrt.Result) float64 {
		sum := 0.
		for _, v := range r.Map.Data { // the mean of the channels
			sum += float64(v) * float64(t.channels)
		}
		return sum
	})
}
