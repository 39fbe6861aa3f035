package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/metrics"
)

// A comparison is what `anomaly eval --compare` prints.
type comparison struct {
	A          comparedModel   `json:"a"`
	B          comparedModel   `json:"b"`
	Difference difference      `json:"difference"` // b - a
	Images     []comparedImage `json:"images"`     // those whose verdict changed first
}

type comparedModel struct {
	Model     string   `json:"model"`
	Threshold *float32 `json:"threshold"`
	*evaluation
	judged []judgement
}

type difference struct {
	Image map[string]interval `json:"image"`
	Pixel map[string]interval `json:"pixel"` // nil without masks
}

// An interval is a difference and its 95 % bootstrap percentile interval (Efron
// and Tibshirani, "An Introduction to the Bootstrap", section 13.3).
type interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

type comparedImage struct {
	Path    string        `json:"path"`
	Kind    string        `json:"kind"`
	Changed bool          `json:"changed"`
	A       comparedScore `json:"a"`
	B       comparedScore `json:"b"`
}

type comparedScore struct {
	Score     float32 `json:"score"`
	Anomalous *bool   `json:"anomalous"` // nil where the model gives no verdict
}

// compare is `anomaly eval --compare`; o's model is a.
func (c *console) compare(ctx context.Context, o *evalOptions, b string) error {
	samples, err := o.samples()
	if err != nil {
		return err
	}
	spell, err := spelling(nil)
	if err != nil {
		return err
	}
	var models [2]comparedModel
	var failed error
	said := map[string]bool{} // each image once, unless the models fail in different ways
	fail := func(out *outcome) {
		if line := failure(spell(out.sample), out.err); !said[line] {
			said[line] = true
			c.notef("%s", line)
		}
	}
	for i, path := range []string{o.survey.model, b} {
		models[i].Model = path
		if err := c.judgeWith(ctx, samples, &models[i], o, fail); errors.Is(err, errImages) {
			failed = cmp.Or(failed, fmt.Errorf("%s: %w", path, err))
		} else if err != nil {
			return err
		}
	}
	keepShared(&models[0].judged, &models[1].judged)
	for i := range models {
		m := &models[i]
		if m.evaluation, err = evaluate(ctx, m.judged, o.resolution, nil); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", m.Model, err), failed)
		}
	}
	result := &comparison{A: models[0], B: models[1], Images: compareImages(models, spell)}
	if result.Difference, err = bootstrap(ctx, models, o); err != nil {
		return errors.Join(err, failed)
	}
	if o.json {
		err = json.NewEncoder(c.out).Encode(result)
	} else {
		err = result.print(c.out)
	}
	return errors.Join(err, failed)
}

// judgeWith fills in what a model makes of the samples.
func (c *console) judgeWith(ctx context.Context, samples []dataset.Sample, m *comparedModel, o *evalOptions, fail func(*outcome)) error {
	options := o.survey.detector
	det, err := c.openDetector(m.Model, &options)
	if err != nil {
		return err
	}
	defer det.Close()
	m.Threshold = det.Info().Threshold
	c.startBar(len(samples), "images")
	defer c.endBar()
	m.judged, err = c.judge(ctx, det, samples, nil, fail)
	c.noteUnmeasured(m.judged)
	return err
}

// keepShared drops the images that only one of two models has judged; both have
// them in the samples' order.
func keepShared(a, b *[]judgement) {
	in := func(judged []judgement) map[*dataset.Sample]bool {
		m := map[*dataset.Sample]bool{}
		for _, j := range judged {
			m[j.sample] = true
		}
		return m
	}
	inA, inB := in(*a), in(*b)
	*a = slices.DeleteFunc(*a, func(j judgement) bool { return !inB[j.sample] })
	*b = slices.DeleteFunc(*b, func(j judgement) bool { return !inA[j.sample] })
}

// compareImages lists the images: whose verdict became wrong, then right, then
// the others, each in the samples' order.
func compareImages(models [2]comparedModel, spell func(*dataset.Sample) string) []comparedImage {
	images := []comparedImage{}
	rank := map[string]int{}
	for i, j := range models[0].judged {
		image := comparedImage{Path: spell(j.sample), Kind: j.sample.Kind}
		for k, score := range []*comparedScore{&image.A, &image.B} {
			score.Score = float32(models[k].judged[i].score)
			score.Anomalous = models[k].judged[i].anomalous
		}
		rank[image.Path] = 2
		if a, b := image.A.Anomalous, image.B.Anomalous; a != nil && b != nil && *a != *b {
			image.Changed = true
			rank[image.Path] = 0
			if *b == j.sample.Anomalous {
				rank[image.Path] = 1
			}
		}
		images = append(images, image)
	}
	slices.SortStableFunc(images, func(a, b comparedImage) int { return rank[a.Path] - rank[b.Path] })
	return images
}

const resamplings = 1000 // of a bootstrap: 25 lie beyond each end of a 95 % interval

// imageNames and pixelNames are the keys of the metrics, in the order in which
// they are printed.
var (
	imageNames = []string{"auroc", "ap", "f1max"}
	pixelNames = []string{"auroc", "ap", "f1max", "aupro30", "aupro05"}
)

func (m imageMetrics) list() []float64 { return []float64{m.AUROC, m.AP, m.F1Max} }
func (m pixelMetrics) list() []float64 { return append(m.imageMetrics.list(), m.AUPRO30, m.AUPRO05) }

// bootstrap returns the differences of the metrics of two models, with intervals
// from sets of images drawn with replacement, as many good and as many anomalous
// ones as there are, the same sets for both models.
func bootstrap(ctx context.Context, models [2]comparedModel, o *evalOptions) (difference, error) {
	a, b := &models[0], &models[1]
	judged := a.judged
	var classes [2][]int
	for i, j := range judged {
		k := 0
		if j.sample.Anomalous {
			k = 1
		}
		classes[k] = append(classes[k], i)
	}
	pixels := a.Pixel != nil && b.Pixel != nil
	var binned [2]*metrics.Binned
	if pixels {
		for k := range models {
			var err error
			if binned[k], err = binPixels(ctx, models[k].judged, o.resolution); err != nil {
				return difference{}, err
			}
		}
	}

	image, pixel := make([][]float64, resamplings), make([][]float64, resamplings)
	work := newWorkers()
	for r := range resamplings {
		if ctx.Err() != nil {
			break
		}
		work.do(func() error { // the error is wait's
			random := rand.New(rand.NewPCG(o.seed, uint64(r)))
			var drawn []int
			for _, class := range classes {
				for range class {
					drawn = append(drawn, class[random.IntN(len(class))])
				}
			}
			var figures [2][]float64
			for k, m := range models {
				set := make([]judgement, len(drawn))
				for i, at := range drawn {
					set[i] = judgement{sample: m.judged[at].sample, score: m.judged[at].score}
				}
				of, err := measureImages(set)
				if err != nil {
					return err
				}
				figures[k] = of.list()
			}
			image[r] = minus(figures[1], figures[0])
			if !pixels {
				return nil
			}
			// Anomalous images without a mask are not among the maps.
			times, at := make([]int, 0, len(judged)), map[int]int{}
			for _, i := range drawn {
				at[i]++
			}
			for i := range judged {
				if judged[i].measurable() {
					times = append(times, at[i])
				}
			}
			for k := range models {
				f, err := binned[k].Figures(times, .3, .05)
				if errors.Is(err, metrics.ErrOneClass) { // a draw without any mask
					return nil
				}
				if err != nil {
					return err
				}
				figures[k] = append([]float64{f.AUROC, f.AveragePrecision, f.F1Max}, f.AUPRO...)
			}
			pixel[r] = minus(figures[1], figures[0])
			return nil
		})
	}
	if err := work.wait(); err != nil {
		return difference{}, err
	}
	if ctx.Err() != nil {
		return difference{}, ctx.Err()
	}
	d := difference{Image: intervals(imageNames, minus(b.Image.list(), a.Image.list()), image)}
	if pixels {
		d.Pixel = intervals(pixelNames, minus(b.Pixel.list(), a.Pixel.list()), pixel)
	}
	return d, nil
}

func minus(b, a []float64) []float64 {
	d := make([]float64, len(b))
	for i := range d {
		d[i] = b[i] - a[i]
	}
	return d
}

// intervals takes the percentiles of the draws, of which those that gave no
// metric are nil.
func intervals(names []string, values []float64, draws [][]float64) map[string]interval {
	draws = slices.DeleteFunc(draws, func(d []float64) bool { return d == nil })
	m := map[string]interval{}
	for i, name := range names {
		iv := interval{values[i], values[i], values[i]}
		if len(draws) > 0 {
			of := make([]float64, len(draws))
			for r, d := range draws {
				of[r] = d[i]
			}
			slices.Sort(of)
			tail := len(of) / 40
			iv.Low, iv.High = of[tail], of[len(of)-1-tail]
		}
		m[name] = iv
	}
	return m
}

// binPixels puts the pixels of each image into bins, whose edges are quantiles of
// the residuals: narrow where they are high, where AU-PRO is decided.
func binPixels(ctx context.Context, judged []judgement, resolution int) (*metrics.Binned, error) {
	const bins, most = 512, 1 << 20
	total := 0
	for _, j := range judged {
		total += len(j.residuals.Data)
	}
	every := total/most + 1
	var some []float32
	at := 0
	for _, j := range judged {
		for ; at < len(j.residuals.Data); at += every {
			some = append(some, j.residuals.Data[at])
		}
		at -= len(j.residuals.Data)
	}
	slices.Sort(some)
	edges := make([]float32, bins-1)
	for i := range edges {
		share := float64(i+1) / bins
		edges[len(edges)-1-i] = some[len(some)-1-int(share*share*float64(len(some)-1))]
	}
	b, err := metrics.NewBinned(edges)
	if err != nil {
		return nil, err
	}
	return b, eachMap(ctx, judged, resolution, b.Add)
}

// print prints the metrics side by side and the images whose verdict changed.
func (r *comparison) print(w io.Writer) error {
	fmt.Fprintf(w, "a  %s\nb  %s\n%d good and %d anomalous images\n\n", printable(r.A.Model), printable(r.B.Model), r.A.N.Good, r.A.N.Anomalous)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "\ta\tb\tb - a\t95 % interval\t\t")
	titles := map[string]string{"auroc": "AUROC", "ap": "AP", "f1max": "F1-max", "aupro30": "AU-PRO .3", "aupro05": "AU-PRO .05"}
	rows := func(of string, names []string, a, b []float64, d map[string]interval) {
		for i, name := range names {
			clear := "" // a difference that chance would seldom give
			if d[name].Low > 0 || d[name].High < 0 {
				clear = "*"
			}
			fmt.Fprintf(t, "%s %s\t%.4f\t%.4f\t%+.4f\t%+.4f to %+.4f\t%s\t\n", of, titles[name], a[i], b[i], d[name].Value, d[name].Low, d[name].High, clear)
		}
	}
	rows("images", imageNames, r.A.Image.list(), r.B.Image.list(), r.Difference.Image)
	if r.Difference.Pixel != nil {
		rows("pixels", pixelNames, r.A.Pixel.list(), r.B.Pixel.list(), r.Difference.Pixel)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	changed := slices.IndexFunc(r.Images, func(i comparedImage) bool { return !i.Changed })
	if changed < 0 {
		changed = len(r.Images)
	}
	if len(r.Images) > 0 && (r.Images[0].A.Anomalous == nil || r.Images[0].B.Anomalous == nil) {
		_, err := fmt.Fprintln(w, "\nNo verdicts to compare: not both models have a threshold.")
		return err
	}
	fmt.Fprintf(w, "\nThe verdict changed on %d of %d images.\n", changed, len(r.Images))
	if changed == 0 {
		return nil
	}
	verdict := func(s comparedScore) string { return finding{Anomalous: s.Anomalous}.Verdict() }
	fmt.Fprintf(w, "\n%-9s  %10s  %-9s  %10s  %-14s  %s\n", "a", "score", "b", "score", "kind", "path")
	for _, i := range r.Images[:changed] {
		if _, err := fmt.Fprintf(w, "%-9s  %10s  %-9s  %10s  %-14s  %s\n", verdict(i.A), short(i.A.Score), verdict(i.B), short(i.B.Score), printable(i.Kind), printable(i.Path)); err != nil {
			return err
		}
	}
	return nil
}
