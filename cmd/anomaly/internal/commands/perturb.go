package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/heatmap"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A perturbation changes images as a lamp that ages, a lens out of focus, a
// camera that heats up or a part that lies askew would, at the model's resolution.
type perturbation struct {
	Kind     string  `json:"kind"`
	Strength float64 `json:"strength"`
}

// perturbationsTried are measured in this order. Strengths are: brightness, the
// factor's distance from 1; blur, a Gaussian's sigma in pixels; noise, a
// Gaussian's sigma as a share of the range; shift, pixels to the right and down.
var perturbationsTried = []perturbation{
	{"none", 0},
	{"brightness", -.2}, {"brightness", -.1}, {"brightness", .1}, {"brightness", .2},
	{"blur", .5}, {"blur", 1}, {"blur", 2},
	{"noise", .01}, {"noise", .02}, {"noise", .05},
	{"shift", 1}, {"shift", 2}, {"shift", 4},
}

// apply perturbs an image, uint8 [height, width, channels], in place. What is
// random depends on the seed and the image's number alone.
func (p perturbation) apply(pixels []uint8, height, width, channels int, seed uint64, image int) {
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
func (p perturbation) restore(m *heatmap.Map, height, width int) *heatmap.Map {
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
func (p perturbation) String() string {
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

// perturbations are what eval --perturb found.
type perturbations struct {
	Threshold *float32    `json:"threshold"` // the model's; nil for none
	Results   []perturbed `json:"results"`   // the first without perturbation
}

// perturbed are the metrics of perturbed images.
type perturbed struct {
	perturbation
	Image        imageMetrics  `json:"image"`
	Pixel        *pixelMetrics `json:"pixel"`
	FalseRejects *float64      `json:"false_rejects"` // share of good images above the threshold
	Recall       *float64      `json:"recall"`        // share of anomalous ones
}

// perturb measures the model on perturbed images.
func (c *console) perturb(ctx context.Context, samples []dataset.Sample, o *evalOptions) (*perturbations, error) {
	options := o.survey.detector
	options.Reconstruction = false
	det, err := c.openDetector(o.survey.model, &options)
	if err != nil {
		return nil, err
	}
	defer det.Close()
	info := det.Info()
	result := &perturbations{Threshold: info.Threshold}
	c.startBar(len(samples)*len(perturbationsTried), "images")
	defer c.endBar()
	for _, p := range perturbationsTried {
		alter := func(i int, pixels []uint8, height, width int) {
			p.apply(pixels, height, width, info.Channels, o.seed, i)
		}
		judged, err := c.judge(ctx, det, samples, alter, nil)
		if err != nil && !errors.Is(err, errImages) { // which images failed was said before
			return nil, err
		}
		for i := range judged {
			height, width := info.Height, info.Width
			if height == 0 {
				height, width = judged[i].size.Y, judged[i].size.X
			}
			judged[i].residuals = p.restore(judged[i].residuals, height, width)
		}
		m, err := measure(ctx, judged, o.resolution, nil)
		if err != nil {
			return nil, fmt.Errorf("%v: %w", p, err)
		}
		row := perturbed{perturbation: p, Image: m.Image, Pixel: m.Pixel}
		row.FalseRejects, row.Recall = rates(judged)
		result.Results = append(result.Results, row)
	}
	return result, nil
}

// judge runs the model on samples and returns what it made of those that can be
// read; the error says how many cannot. fail, where not nil, gets each of these.
func (c *console) judge(ctx context.Context, det *anrt.Detector, samples []dataset.Sample, alter func(i int, pixels []uint8, height, width int), fail func(*outcome)) ([]judgement, error) {
	var judged []judgement
	judges := det.Info().Judges
	failed := 0
	err := detect(ctx, det, samples, &detectOptions{alter: alter}, func(out *outcome) error {
		c.stepBar()
		if out.err != nil {
			if failed++; fail != nil {
				fail(out)
			}
			return nil
		}
		j := judgement{sample: out.sample, size: out.size, score: float64(out.result.Score), residuals: out.result.Map}
		if judges {
			j.anomalous = &out.result.Anomalous
		}
		judged = append(judged, j)
		return nil
	})
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d of %d %w", failed, len(samples), errImages)
	}
	return judged, err
}

// rates returns the shares of good and of anomalous images that are found
// anomalous; nil where there are no verdicts.
func rates(judged []judgement) (falseRejects, recall *float64) {
	var n, above [2]float64 // good, anomalous
	for _, j := range judged {
		if j.anomalous == nil {
			return nil, nil
		}
		k := 0
		if j.sample.Anomalous {
			k = 1
		}
		n[k]++
		if *j.anomalous {
			above[k]++
		}
	}
	good, bad := above[0]/n[0], above[1]/n[1] // measure has seen that there are both
	return &good, &bad
}

// print prints a table of metrics, each with its distance from the first row's.
func (p *perturbations) print(w io.Writer) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	base := p.Results[0]
	head := "perturbation\tAUROC\t\t"
	if base.Pixel != nil {
		head += "pixels: AUROC\t\tAU-PRO .3\t\t"
	}
	if base.FalseRejects != nil {
		head += "false rejects\t\trecall\t\t"
	}
	fmt.Fprintln(t, head)
	for i, r := range p.Results {
		fmt.Fprintf(t, "%v\t", r.perturbation)
		cell := func(v, from float64) {
			if i == 0 {
				fmt.Fprintf(t, "%.4f\t\t", v)
			} else {
				fmt.Fprintf(t, "%.4f\t%+.4f\t", v, v-from)
			}
		}
		cell(r.Image.AUROC, base.Image.AUROC)
		if base.Pixel != nil && r.Pixel != nil {
			cell(r.Pixel.AUROC, base.Pixel.AUROC)
			cell(r.Pixel.AUPRO30, base.Pixel.AUPRO30)
		}
		if base.FalseRejects != nil {
			cell(*r.FalseRejects, *base.FalseRejects)
			cell(*r.Recall, *base.Recall)
		}
		fmt.Fprintln(t)
	}
	if err := t.Flush(); err != nil || p.Threshold == nil {
		return err
	}
	_, err := fmt.Fprintf(w, "false rejects and recall at the model's threshold %s\n", short(*p.Threshold))
	return err
}
