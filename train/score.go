package train

import (
	"context"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/appearance"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A Calibration is the threshold and what later images can be held against.
type Calibration struct {
	calibrate.Calibration

	// Quantiles (at Levels) of the training images' mean brightness and of their
	// sharpness (mean absolute Laplacian), both in [0,1].
	Brightness []float64 `json:"brightness"`
	Sharpness  []float64 `json:"sharpness"`
}

// Levels returns those of the quantiles in a [Calibration] and in the metadata.
func Levels() []float64 { return []float64{0, .01, .05, .25, .5, .75, .95, .99, 1} }

func quantiles(xs []float64) []float64 {
	slices.Sort(xs)
	var q []float64
	for _, p := range Levels() {
		q = append(q, calibrate.Quantile(xs, p))
	}
	return q
}

// describe adds what the images themselves look like.
func (c *Calibration) describe(pixels []uint8, channels, height, width int) {
	var bright, sharp []float64
	for img := range slices.Chunk(pixels, channels*height*width) {
		b, s := appearance.Measure(img, height, width, channels)
		bright, sharp = append(bright, b), append(sharp, s)
	}
	c.Brightness, c.Sharpness = quantiles(bright), quantiles(sharp)
}

// score returns the scores that the exported model gives the images that a stage
// holds back, and those of artificial defects on them.
func (t *trainer) score(ctx context.Context, weights map[string]*graph.Tensor, stage int) (good, pseudo []float64, err error) {
	held := t.stages[stage].held
	if len(held) == 0 {
		return nil, nil, nil
	}
	det, err := t.detector(weights, t.settings.Map, t.settings.View)
	if err != nil {
		return nil, nil, err
	}
	defer det.Close()
	if t.first != nil {
		if good, err = t.scoreWhole(ctx, det, held); err != nil {
			return nil, nil, err
		}
		pseudo, err = t.scorePseudoTiles(ctx, weights, stage, good)
		return good, pseudo, err
	}
	if good, err = scores(ctx, det, len(held), func(i int) []uint8 { return t.data.Pixels[held[i]*t.size:][:t.size] }); err != nil {
		return nil, nil, err
	}
	pseudo, err = t.scorePseudo(ctx, det, stage)
	return good, pseudo, err
}

// detector returns what judges images by the network of these weights and a map, as a view has them.
func (t *trainer) detector(weights map[string]*graph.Tensor, m *residual.Options, view anrt.View) (*anrt.Detector, error) {
	model, err := onnxexport.Build(t.net, weights, &onnxexport.Options{Map: *m})
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	b, err := marshal(model)
	if err != nil {
		return nil, err
	}
	return anrt.OpenBytes(b, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: t.settings.Provider, ProviderOptions: t.settings.ProviderOptions}, View: view})
}

// scores returns those of n images [H,W,C].
func scores(ctx context.Context, det *anrt.Detector, n int, image func(i int) []uint8) ([]float64, error) {
	return measure(ctx, det, n, image, func(r *anrt.Result) float64 { return float64(r.Score) })
}

// measure returns what of makes of the results of n images [H,W,C].
func measure(ctx context.Context, det *anrt.Detector, n int, image func(i int) []uint8, of func(*anrt.Result) float64) ([]float64, error) {
	all := make([]float64, 0, n)
	for len(all) < n {
		var pixels []uint8
		first := len(all)
		last := min(first+16, n)
		for i := first; i < last; i++ {
			pixels = append(pixels, image(i)...)
		}
		results, err := det.DetectPixels(ctx, pixels, last-first)
		if err != nil {
			return nil, err
		}
		for i := range results {
			all = append(all, of(&results[i]))
		}
	}
	return all, nil
}
