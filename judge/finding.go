package judge

import (
	"encoding/json"
	"image"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/runtime"
)

// A Finding is what came of one image: what the model found, or Err. Its JSON form
// is the same wherever findings are written: with an Err "path" and "error" alone.
type Finding struct {
	Path      string           `json:"path"` // as Options.Path gives it
	Score     float32          `json:"score"`
	Threshold *float32         `json:"threshold"`         // nil: none
	Anomalous *bool            `json:"anomalous"`         // nil where nothing says
	Regions   []heatmap.Region `json:"regions"`           // of an anomalous image, in its pixels; empty unless Options.MinArea asks for them
	Verdict   runtime.Verdict  `json:"verdict,omitempty"` // in JSON of a review band alone: of others Anomalous says the same
	Model     string           `json:"model,omitempty"`   // beginning of the model's hash where it may be swapped, else ""

	Sample *dataset.Sample `json:"-"`
	Err    error           `json:"-"` // why there is nothing else
	Size   image.Point     `json:"-"` // of the image, in pixels
	Image  image.Image     `json:"-"` // nil unless Options ask for it
	Result runtime.Result  `json:"-"` // all that the model gave

	pixels        []uint8 // as the model sees them, until there is a result: [height, width, channels]
	height, width int
}

// MarshalJSON implements [json.Marshaler].
func (f Finding) MarshalJSON() ([]byte, error) {
	if f.Err != nil {
		return json.Marshal(struct {
			Path  string `json:"path"`
			Error string `json:"error"`
		}{f.Path, f.Err.Error()})
	}
	type plain Finding
	p := plain(f)
	if p.Regions == nil {
		p.Regions = []heatmap.Region{}
	}
	if p.Verdict == runtime.Good || p.Verdict == runtime.Anomalous {
		p.Verdict = ""
	}
	return json.Marshal(p)
}

// NewFinding returns the finding of a result that a caller of the detector got
// itself, of an image of a size in pixels.
func NewFinding(path string, size image.Point, r runtime.Result, o *Options) *Finding {
	f := &Finding{Path: path, Size: size}
	f.fill(r, o)
	return f
}

// fill takes what the model gave.
func (f *Finding) fill(r runtime.Result, o *Options) {
	f.Result, f.pixels = r, nil
	f.Score, f.Threshold, f.Verdict, f.Regions = r.Score, r.Threshold, r.Verdict, []heatmap.Region{}
	if o.Swapped {
		f.Model = r.Model[:runtime.HashDigits]
	}
	if r.Judged {
		anomalous := r.Anomalous // by itself, lest a copy of the finding hold its pixels
		f.Anomalous = &anomalous
	}
	if o.MinArea > 0 && r.Anomalous && r.PixelThreshold != nil && r.Map != nil {
		f.Regions = append(f.Regions, heatmap.Regions(r.Map, &heatmap.RegionOptions{
			Threshold: *r.PixelThreshold, MinArea: o.MinArea, Width: f.Size.X, Height: f.Size.Y,
		})...)
	}
	if !o.KeepImages {
		f.Image = nil
	}
}
