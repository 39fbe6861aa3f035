package runtime

import (
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// TestScale: colours begin at what most good images do not reach, in the units of
// the model's maps.
func TestScale(t *testing.T) {
	quantiles := map[string]string{"normal.quantiles": `{"levels":[0,0.5,0.75,1],"score":[0.1,0.2,0.3,0.6]}`}
	normalized := onnxexport.Normalize(.3, .5, nil)
	for name, c := range map[string]struct {
		export onnxexport.Options
		o      Options
		want   heatmap.Scale
	}{
		"good images' quantile": {onnxexport.Options{Threshold: .5, Metadata: quantiles}, Options{}, heatmap.Scale{Lo: .3, Mid: .5, Hi: 1}},
		"normalised":            {onnxexport.Options{Profile: onnxexport.Anomalib, Threshold: .5, Metadata: quantiles}, Options{}, heatmap.Scale{Lo: normalized, Mid: .5, Hi: 1}},
		"pixel threshold":       {onnxexport.Options{Threshold: .5, PixelThreshold: .4, Metadata: quantiles}, Options{}, heatmap.Scale{Lo: .3, Mid: .4, Hi: .8}},
		"another threshold":     {onnxexport.Options{Threshold: .5, Metadata: quantiles}, Options{Threshold: new(float32(1))}, heatmap.Scale{Lo: .3, Mid: 1, Hi: 2}},
		"not known":             {onnxexport.Options{Threshold: .5}, Options{}, heatmap.Scale{Lo: .25, Mid: .5, Hi: 1}},
		"not understood":        {onnxexport.Options{Threshold: .5, Metadata: map[string]string{"normal.quantiles": `{"levels":[0.75]}`}}, Options{}, heatmap.Scale{Lo: .25, Mid: .5, Hi: 1}},
		"no threshold":          {onnxexport.Options{Metadata: quantiles}, Options{}, heatmap.Scale{}},
		"given":                 {onnxexport.Options{Threshold: .5, Metadata: quantiles}, Options{Scale: heatmap.Scale{Hi: 2}}, heatmap.Scale{Hi: 2}},
	} {
		c.o.Provider = Go
		d := openDetector(t, detectorModel(t, models.Spec{Height: 16, Filters: 2, Depth: 1}, &c.export), &c.o)
		if got := d.Info().Scale; got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
		if got := detect(t, d, pictures(1)...)[0].Scale; got != c.want {
			t.Errorf("%s: a result has %v, want %v", name, got, c.want)
		}
	}
}
