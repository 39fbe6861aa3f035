package judge

import (
	"context"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/dataset"
)

// Judged are the findings of one model, for [Compare].
type Judged struct {
	Model    string     // how to call it
	Findings []*Finding // in the samples' order
}

// A Comparison says how a model b differs from a.
type Comparison struct {
	A          ComparedModel   `json:"a"`
	B          ComparedModel   `json:"b"`
	Difference Difference      `json:"difference"` // b - a
	Images     []ComparedImage `json:"images"`     // those whose verdict changed first, and of those the ones that became wrong
}

// A ComparedModel is a model and its metrics.
type ComparedModel struct {
	Model string `json:"model"`
	*Evaluation
}

// A Difference has an interval for each metric, by its key in JSON.
type Difference struct {
	Image map[string]Interval `json:"image"`
	Pixel map[string]Interval `json:"pixel"` // nil without masks
}

// A ComparedImage is an image to two models.
type ComparedImage struct {
	Path    string        `json:"path"`
	Kind    string        `json:"kind"`
	Changed bool          `json:"changed"`
	A       ComparedScore `json:"a"`
	B       ComparedScore `json:"b"`
}

// A ComparedScore is what one of the models made of it.
type ComparedScore struct {
	Score     float32 `json:"score"`
	Anomalous *bool   `json:"anomalous"` // nil where the model gives no verdict
}

// ImageNames and PixelNames return the keys of the metrics, in the order of their lists.
func ImageNames() []string { return []string{"auroc", "ap", "f1max"} }

// PixelNames is ImageNames for pixels.
func PixelNames() []string { return append(ImageNames(), "aupro30", "aupro05") }

// List returns the metrics in the order of ImageNames.
func (m ImageMetrics) List() []float64 { return []float64{m.AUROC, m.AP, m.F1Max} }

// List returns the metrics in the order of PixelNames.
func (m PixelMetrics) List() []float64 { return append(m.ImageMetrics.List(), m.AUPRO30, m.AUPRO05) }

// Compare measures two models on the images that both could compute, of findings of the
// same samples. Pixels are compared at a resolution, as by [Evaluate]; seed is that of
// the resampling.
func Compare(ctx context.Context, a, b Judged, resolution int, seed uint64) (*Comparison, error) {
	failedA, failedB := failed(a.Findings), failed(b.Findings)
	keepShared(&a.Findings, &b.Findings)
	c := &Comparison{Images: compareImages(a.Findings, b.Findings)}
	var err error
	if c.A, err = a.measure(ctx, resolution); err != nil {
		return nil, err
	}
	if c.B, err = b.measure(ctx, resolution); err != nil {
		return nil, err
	}
	c.A.Failed, c.B.Failed = failedA, failedB
	c.Difference, err = c.bootstrap(ctx, [2][]*Finding{a.Findings, b.Findings}, resolution, seed)
	return c, err
}

// failed returns the findings with an error.
func failed(findings []*Finding) (list []*Finding) {
	for _, f := range findings {
		if f.Err != nil {
			list = append(list, f)
		}
	}
	return list
}

func (j *Judged) measure(ctx context.Context, resolution int) (ComparedModel, error) {
	e, err := Evaluate(ctx, j.Findings, resolution)
	if err != nil {
		return ComparedModel{}, fmt.Errorf("%s: %w", j.Model, err)
	}
	return ComparedModel{j.Model, e}, nil
}

// keepShared drops the images that only one of two models has judged; both have
// them in the samples' order.
func keepShared(a, b *[]*Finding) {
	in := func(findings []*Finding) map[*dataset.Sample]bool {
		m := map[*dataset.Sample]bool{}
		for _, f := range findings {
			m[f.Sample] = f.Err == nil
		}
		return m
	}
	both := func(findings []*Finding, other map[*dataset.Sample]bool) []*Finding {
		return slices.DeleteFunc(slices.Clone(findings), func(f *Finding) bool { return f.Err != nil || !other[f.Sample] })
	}
	inA, inB := in(*a), in(*b)
	*a, *b = both(*a, inB), both(*b, inA)
}

// compareImages lists the images: whose verdict became wrong, then right, then
// the others, each in the samples' order.
func compareImages(a, b []*Finding) []ComparedImage {
	images := []ComparedImage{}
	var rank []int
	for i, f := range a {
		image := ComparedImage{Path: f.Path, Kind: f.Sample.Kind, A: f.compared(), B: b[i].compared()}
		r := 2
		if a, b := image.A.Anomalous, image.B.Anomalous; a != nil && b != nil && *a != *b {
			image.Changed = true
			r = 0
			if *b == f.Sample.Anomalous {
				r = 1
			}
		}
		images, rank = append(images, image), append(rank, r)
	}
	sorted := make([]ComparedImage, 0, len(images))
	for r := range 3 {
		for i := range images {
			if rank[i] == r {
				sorted = append(sorted, images[i])
			}
		}
	}
	return sorted
}

func (f *Finding) compared() ComparedScore { return ComparedScore{f.Score, f.Anomalous} }
