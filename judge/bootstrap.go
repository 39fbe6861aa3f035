package judge

import (
	"context"
	"errors"
	"math/rand/v2"
	goruntime "runtime"
	"slices"

	"github.com/anomaly-go/anomaly/metrics"
	"golang.org/x/sync/errgroup"
)

// An Interval is a difference and its 95 % bootstrap percentile interval (Efron
// and Tibshirani, "An Introduction to the Bootstrap", section 13.3).
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

const resamplings = 1000 // of a bootstrap: 25 lie beyond each end of a 95 % interval

// bootstrap returns the differences of the metrics of two models, with intervals
// from sets of images drawn with replacement, as many good and as many anomalous
// ones as there are, the same sets for both models.
func (c *Comparison) bootstrap(ctx context.Context, models [2][]*Finding, resolution int, seed uint64) (Difference, error) {
	var classes [2][]int
	for i, f := range models[0] {
		k := 0
		if f.Sample.Anomalous {
			k = 1
		}
		classes[k] = append(classes[k], i)
	}
	pixels := c.A.Pixel != nil && c.B.Pixel != nil
	var binned [2]*metrics.Binned
	if pixels {
		for k, findings := range models {
			var err error
			if binned[k], err = binPixels(ctx, findings, resolution); err != nil {
				return Difference{}, err
			}
		}
	}

	image, pixel := make([][]float64, resamplings), make([][]float64, resamplings)
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(goruntime.GOMAXPROCS(0))
	for r := range resamplings {
		work.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			random := rand.New(rand.NewPCG(seed, uint64(r)))
			var drawn []int
			for _, class := range classes {
				for range class {
					drawn = append(drawn, class[random.IntN(len(class))])
				}
			}
			var figures [2][]float64
			for k, findings := range models {
				set := make([]*Finding, len(drawn))
				for i, at := range drawn {
					set[i] = findings[at]
				}
				of, err := measureScores(labelled(set))
				if err != nil {
					return err
				}
				figures[k] = of.List()
			}
			image[r] = minus(figures[1], figures[0])
			if !pixels {
				return nil
			}
			// Anomalous images without a mask are not among the maps.
			times, at := make([]int, 0, len(drawn)), map[int]int{}
			for _, i := range drawn {
				at[i]++
			}
			for i, f := range models[0] {
				if f.measurable() {
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
	if err := work.Wait(); err != nil {
		return Difference{}, err
	}
	d := Difference{Image: intervals(ImageNames(), minus(c.B.Image.List(), c.A.Image.List()), image)}
	if pixels {
		d.Pixel = intervals(PixelNames(), minus(c.B.Pixel.List(), c.A.Pixel.List()), pixel)
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
func intervals(names []string, values []float64, draws [][]float64) map[string]Interval {
	draws = slices.DeleteFunc(draws, func(d []float64) bool { return d == nil })
	m := map[string]Interval{}
	for i, name := range names {
		iv := Interval{values[i], values[i], values[i]}
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
func binPixels(ctx context.Context, findings []*Finding, resolution int) (*metrics.Binned, error) {
	const bins, most = 512, 1 << 20
	total := 0
	for _, f := range findings {
		total += len(f.Result.Map.Data)
	}
	every := total/most + 1
	var some []float32
	at := 0
	for _, f := range findings {
		residuals := f.Result.Map.Data
		for ; at < len(residuals); at += every {
			some = append(some, residuals[at])
		}
		at -= len(residuals)
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
	return b, eachMap(ctx, findings, resolution, b.Add)
}
