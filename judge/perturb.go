package judge

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/runtime"
)

// A Perturbation changes images as a lamp that ages, a lens out of focus, a
// camera that heats up or a part that lies askew would, at the model's resolution.
type Perturbation struct {
	Kind string `json:"kind"` // none, brightness, blur, noise or shift
	// Strength is: of brightness, the factor's distance from 1; of blur, a Gaussian's
	// sigma in pixels; of noise, a Gaussian's sigma as a share of the range; of shift,
	// pixels to the right and down.
	Strength float64 `json:"strength"`
}

// perturbationsTried are measured in this order.
var perturbationsTried = []Perturbation{
	{"none", 0},
	{"brightness", -.2}, {"brightness", -.1}, {"brightness", .1}, {"brightness", .2},
	{"blur", .5}, {"blur", 1}, {"blur", 2},
	{"noise", .01}, {"noise", .02}, {"noise", .05},
	{"shift", 1}, {"shift", 2}, {"shift", 4},
}

// apply perturbs an image, uint8 [height, width, channels], in place. What is
// random depends on the seed and the image's number alone.
func (p Perturbation) apply(pixels []uint8, height, width, channels int, seed uint64, image int) {
	switch p.Kind {
	case "brightness":
		for i, v := range pixels {
			pixels[i] = clamp(float64(v) * (1 + p.Strength))
		}
	case "noise":
		random := rand.New(rand.NewPCG(seed, uint64(image)))
		for i, v := range pixels {
			pixels[i] = clamp(float64(v) + 255*p.Strength*random.NormFloat64())
		}
	case "blur":
		plane := heatmap.NewMap(height, width)
		for c := range channels {
			for i := range plane.Data {
				plane.Data[i] = float32(pixels[i*channels+c])
			}
			for i, v := range plane.Blur(p.Strength).Data {
				pixels[i*channels+c] = clamp(float64(v))
			}
		}
	case "shift":
		by := int(p.Strength)
		from := slices.Clone(pixels)
		for y := range height {
			for x := range width {
				at := max(y-by, 0)*width + max(x-by, 0) // the border's pixels repeat
				copy(pixels[(y*width+x)*channels:][:channels], from[at*channels:])
			}
		}
	}
}

func clamp(v float64) uint8 { return uint8(math.Round(min(max(v, 0), 255))) }

// restore brings residuals back to where the truth lies; the image had height x
// width pixels.
func (p Perturbation) restore(m *heatmap.Map, height, width int) *heatmap.Map {
	if p.Kind != "shift" || m == nil {
		return m
	}
	down := int(math.Round(p.Strength * float64(m.Height) / float64(height)))
	right := int(math.Round(p.Strength * float64(m.Width) / float64(width)))
	back := heatmap.NewMap(m.Height, m.Width)
	for y := range m.Height {
		for x := range m.Width {
			back.Data[y*m.Width+x] = m.Data[min(y+down, m.Height-1)*m.Width+min(x+right, m.Width-1)]
		}
	}
	return back
}

// String names kind and strength in the units that people think in.
func (p Perturbation) String() string {
	switch p.Kind {
	case "brightness":
		return fmt.Sprintf("brightness %+.0f %%", 100*p.Strength)
	case "blur":
		return fmt.Sprintf("blur, sigma %g px", p.Strength)
	case "noise":
		return fmt.Sprintf("noise, sigma %g %%", 100*p.Strength)
	case "shift":
		return fmt.Sprintf("shift by %g px", p.Strength)
	}
	return p.Kind
}

// Perturbations are what perturbations cost a model.
type Perturbations struct {
	Threshold *float32    `json:"threshold"` // the model's; nil for none
	Results   []Perturbed `json:"results"`   // the first without perturbation
}

// Perturbed are the metrics of perturbed images.
type Perturbed struct {
	Perturbation
	Image        ImageMetrics  `json:"image"`
	Pixel        *PixelMetrics `json:"pixel"`
	FalseRejects *float64      `json:"false_rejects"` // share of good images that are found anomalous; nil without a verdict
	Recall       *float64      `json:"recall"`        // the same of anomalous ones
}

// PerturbOptions are options of [Perturb]; nil is the defaults.
type PerturbOptions struct {
	Resolution int                // as for Evaluate
	Seed       uint64             // of the noise
	Progress   func(done, of int) // where not nil, called after each look at an image
}

// Perturb measures a model on images that are perturbed in some ways, each by
// itself. Images that cannot be read or computed do not count.
func Perturb(ctx context.Context, det *runtime.Detector, samples []dataset.Sample, o *PerturbOptions) (*Perturbations, error) {
	if o == nil {
		o = &PerturbOptions{}
	}
	info := det.Info()
	all := &Perturbations{Threshold: info.Threshold}
	done := 0
	for _, p := range perturbationsTried {
		look := &Options{Alter: func(i int, pixels []uint8, height, width int) {
			p.apply(pixels, height, width, info.Channels, o.Seed, i)
		}}
		var findings []*Finding
		err := Run(ctx, det, samples, look, func(f *Finding) error {
			if done++; o.Progress != nil {
				o.Progress(done, len(samples)*len(perturbationsTried))
			}
			if f.Err != nil {
				return nil
			}
			height, width := info.Height, info.Width
			if height == 0 {
				height, width = f.Size.Y, f.Size.X
			}
			f.Result.Map = p.restore(f.Result.Map, height, width)
			findings = append(findings, f)
			return nil
		})
		if err != nil {
			return nil, err
		}
		m, err := measure(ctx, findings, o.Resolution, nil)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", p, err)
		}
		row := Perturbed{Perturbation: p, Image: m.Image.ImageMetrics, Pixel: m.Pixel}
		if d := m.Decided; d != nil {
			row.FalseRejects, row.Recall = &d.FalseReject.Share, &d.Recall.Share
		}
		all.Results = append(all.Results, row)
	}
	return all, nil
}
