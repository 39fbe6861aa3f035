package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/augment"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// mostFeatures is how many bytes of features are kept between passes; more are
// extracted anew for each.
const mostFeatures = 2 << 30

// solve fits a network in closed form: once for each fold to the images outside
// it, for the scores of those in it, and then to all.
func (t *trainer) solve(ctx context.Context) (*Result, error) {
	x, err := t.openExtractor()
	if err != nil {
		return nil, err
	}
	defer x.close()
	order := permutation(t.images, t.settings.Seed, splitStream, 0)
	all := make([]int, t.images)
	for i := range all {
		all[i] = i
	}
	t.stages = t.withRows(append(foldStages(order), stage{train: all}))
	if err := t.chooseViews(); err != nil {
		return nil, err
	}
	var scores, pseudo []float64
	for i := range t.stages {
		s := t.stages[i]
		slices.Sort(s.train)
		weights, err := t.fitOnce(ctx, x, i)
		if err != nil {
			return nil, err
		}
		good, defects, err := t.score(ctx, weights, i)
		if err != nil {
			return nil, err
		}
		scores, pseudo = append(scores, good...), append(pseudo, defects...)
		if len(s.heldBack) == 0 {
			for _, c := range t.choices {
				t.settings.Logf("%s", c)
			}
			return t.result(weights, scores, pseudo)
		}
	}
	panic("train: no last stage")
}

// fitOnce fits the network to the images of a stage.
func (t *trainer) fitOnce(ctx context.Context, x *extractor, stage int) (map[string]*graph.Tensor, error) {
	var images []int // those of view v have v·n added
	for v := range t.views {
		for _, i := range t.stages[stage].train {
			images = append(images, v*t.n+i)
		}
	}
	fit, err := t.fitter.NewFit(len(images), t.settings.Seed)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	steps := fit.Passes() * len(images)
	for step := 0; step < steps; {
		for features, err := range x.features(ctx, images) {
			if err == nil {
				err = fit.Add(features)
			}
			if err != nil {
				return nil, fmt.Errorf("train: %w", err)
			}
			step++
			elapsed := time.Since(t.start)
			seen := (float64(stage) + float64(step)/float64(steps)) / float64(len(t.stages)) // stages cost about the same
			t.settings.Progress(Progress{
				Stage: stage + 1, Stages: len(t.stages), Epoch: 1, Epochs: 1, Step: step, Steps: steps,
				Loss: math.NaN(), Val: math.NaN(), Elapsed: elapsed, Left: time.Duration(float64(elapsed) * (1/seen - 1)),
				Provider: t.settings.Provider,
			})
		}
	}
	fitted, err := fit.Solve(ctx)
	if err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	if c, ok := fit.(models.Chooser); ok {
		t.choices = c.Choices()
	}
	weights := t.net.Init(t.settings.Seed)
	for name, w := range fitted {
		weights[name] = w
	}
	return weights, nil
}

// mostViews is up to how many images a fit sees where there are fewer than
// fewImages of them: each as it is, and flipped and turned as the set allows.
// Of tiles there are many.
const mostViews = 64

// chooseViews settles how often a fit sees each image.
func (t *trainer) chooseViews() error {
	var a augment.Augmentation
	if t.n < fewImages && t.first == nil {
		var err error
		var findings []augment.Finding
		if a, findings, err = augment.Choose(t.data.Pixels, t.height, t.width, t.channels); err != nil {
			return fmt.Errorf("%w: %w", ErrSettings, err)
		}
		for _, f := range findings {
			t.settings.Logf("images %s", f)
		}
	}
	t.views = a.Symmetries()
	t.views = t.views[:min(len(t.views), max(mostViews/t.n, 1))]
	if len(t.views) > 1 {
		t.settings.Logf("as images are few, the fit sees each in %d views: flipped and turned as the others may be", len(t.views))
	}
	return nil
}

// view returns the pixels of an image as fits number them.
func (t *trainer) view(image int) *graph.Tensor {
	pixels := make([]uint8, t.size)
	t.views[image/t.n].Image(pixels, t.data.Pixels[image%t.n*t.size:][:t.size], t.height, t.width, t.channels)
	return graph.NewTensor(pixels, 1, t.height, t.width, t.channels)
}

// An extractor computes the features of images, several side by side.
type extractor struct {
	t        *trainer
	sessions []*anrt.Session
	kept     map[int][]float32 // by image
	room     int64             // bytes, for more
}

// openExtractor settles the provider too.
func (t *trainer) openExtractor() (*extractor, error) {
	g := graph.New("features")
	pixels := onnxexport.Pixels(g.Input("input", graph.Uint8, 1, t.height, t.width, t.channels))
	g.Output("features", t.fitter.Features(pixels))
	if err := g.Err(); err != nil {
		return nil, fmt.Errorf("train: %w", err)
	}
	b, err := marshal(&onnxexport.Model{Graph: g, Weights: t.net.Init(t.settings.Seed)})
	if err != nil {
		return nil, err
	}
	if t.settings.Provider == anrt.Auto { // whatever a model takes: no network of features was faster on Go
		t.settings.Provider = anrt.CPU + "," + anrt.Go
	}
	x := &extractor{t: t, kept: map[int][]float32{}, room: mostFeatures}
	ses, err := t.session(b, 1, t.settings.Logf)
	for {
		if err != nil {
			x.close()
			return nil, err
		}
		x.sessions = append(x.sessions, ses)
		if t.settings.Provider = ses.Provider(); len(x.sessions) == t.settings.Workers || !t.settings.Provider.SharesCores() {
			return x, nil
		}
		ses, err = ses.Worker()
	}
}

func (x *extractor) close() {
	for _, s := range x.sessions {
		s.Close()
	}
}

// features yields the features of images in their order.
func (x *extractor) features(ctx context.Context, images []int) func(yield func([]float32, error) bool) {
	return func(yield func([]float32, error) bool) {
		for chunk := range slices.Chunk(images, len(x.sessions)) {
			out := make([][]float32, len(chunk))
			errs := make([]error, len(chunk))
			var wg sync.WaitGroup
			for i, image := range chunk {
				if out[i] = x.kept[image]; out[i] == nil {
					wg.Go(func() { out[i], errs[i] = x.extract(ctx, x.sessions[i], image) })
				}
			}
			wg.Wait()
			for i, image := range chunk {
				if n := 4 * int64(len(out[i])); errs[i] == nil && x.kept[image] == nil && n <= x.room {
					x.kept[image] = out[i]
					x.room -= n
				}
				if !yield(out[i], errs[i]) || errs[i] != nil {
					return
				}
			}
		}
	}
}

func (x *extractor) extract(ctx context.Context, ses *anrt.Session, image int) ([]float32, error) {
	out, err := ses.Run(ctx, map[string]*graph.Tensor{"input": x.t.view(image)})
	if err != nil {
		return nil, err
	}
	return graph.Data[float32](out["features"]), nil
}
