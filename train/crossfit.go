package train

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
)

// A CrossFitted is what networks think of images that they were not trained on:
// the images are split in folds, and each fold is scored by a network that was
// trained on the others.
type CrossFitted struct {
	Network  models.Network
	Settings Settings                   // with the defaults that were used
	Scores   []float64                  // [N] by image
	Fold     []int                      // [N] by image, an index of Weights
	Weights  []map[string]*graph.Tensor // by fold
}

// CrossFit scores every image by a network that has not seen it. It takes as long
// as training one network for each of five folds. Settings are those of [Fit], and
// so is what ctx does; a checkpoint must be another than that of Fit. [Scout] has
// what suspects are best looked for with.
func CrossFit(ctx context.Context, net models.Trainable, data *Data, settings *Settings) (*CrossFitted, error) {
	t, err := prepare(net, data, settings)
	if err != nil {
		return nil, err
	}
	if t.first != nil {
		return nil, fmt.Errorf("%w: tiles: got those of %d images, want images: cross-fitting looks at whole ones", ErrSettings, t.images)
	}
	t.keep = true
	t.stages = t.withRows(foldStages(permutation(t.n, t.settings.Seed, splitStream, 0)))
	st, err := t.run(ctx)
	if err != nil {
		return nil, err
	}
	c := &CrossFitted{Network: t.net, Settings: t.settings, Scores: make([]float64, t.n), Fold: make([]int, t.n), Weights: st.done}
	scores := st.Scores
	for fold, s := range t.stages {
		for _, image := range s.heldBack {
			c.Scores[image], c.Fold[image] = scores[0], fold
			scores = scores[1:]
		}
	}
	return c, nil
}

// A Suspect is an image that stands out from the others.
type Suspect struct {
	Image int     // its index
	Score float64 // of a network that was not trained on it
	// Z is by how many standard deviations the score's logarithm lies above that
	// of a usual image, both estimated from the median and the median absolute
	// deviation, which a few defects do not move.
	Z float64
}

// SuspectZ is the least Z of a suspect (Leys et al., Detecting outliers: do not use
// standard deviation around the mean, use absolute deviation around the median,
// Journal of Experimental Social Psychology 49, 2013, section 3). If the
// logarithms of good images' scores are normal, one in 160 has it.
const SuspectZ = 2.5

// Ranked returns all images, the most suspect first. A fold's scores are held
// against their own median, since networks differ, unless folds have fewer than
// ten images.
func (c *CrossFitted) Ranked() []Suspect {
	const few = 10
	logs := make([]float64, len(c.Scores))
	byFold := make([][]float64, len(c.Weights))
	for i, s := range c.Scores {
		logs[i] = math.Log(max(s, math.SmallestNonzeroFloat32)) // a perfect reconstruction has no logarithm
		byFold[c.Fold[i]] = append(byFold[c.Fold[i]], logs[i])
	}
	centre := make([]float64, len(byFold))
	for f, scores := range byFold {
		if len(c.Scores) < few*len(byFold) {
			scores = slices.Clone(logs)
		}
		centre[f] = median(scores)
	}
	deviations := make([]float64, len(logs))
	for i := range logs {
		logs[i] -= centre[c.Fold[i]]
		deviations[i] = math.Abs(logs[i])
	}
	const toSigma = 1.4826 // of a normal distribution, over the median absolute deviation
	sigma := max(toSigma*median(deviations), 1e-9)
	ranked := make([]Suspect, len(logs))
	for i, l := range logs {
		ranked[i] = Suspect{Image: i, Score: c.Scores[i], Z: l / sigma}
	}
	slices.SortStableFunc(ranked, func(a, b Suspect) int { return cmp.Compare(b.Z, a.Z) })
	return ranked
}

// median sorts xs.
func median(xs []float64) float64 {
	slices.Sort(xs)
	return calibrate.Quantile(xs, .5)
}

// String says what makes the image suspect.
func (s Suspect) String() string {
	return fmt.Sprintf("score %.4g, %.1f deviations above the usual", s.Score, s.Z)
}
