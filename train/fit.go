package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/augment"
	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/corrupt"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// Data are images of good parts, preprocessed.
type Data struct {
	Pixels []uint8  // [N,H,W,C] of the spec's size
	Names  []string // [N] for messages; nil numbers the images
	Hash   string   // identifies the images in checkpoints and metadata; "" is a hash of Pixels

	// Where Pixels are tiles of images ([CutTiles] makes such data): the image that each
	// is of, from 0 on, ascending, and image i itself, whole. Images are held back with
	// all of their tiles, and scored whole. Names are the images'.
	Of    []int                            // [N]; nil of images that are no tiles
	Image func(i int) (image.Image, error) // called from any goroutine
}

// A Result is a trained network.
type Result struct {
	Network     models.Network
	Settings    Settings                 // with the defaults that were used
	Weights     map[string]*graph.Tensor // by parameter name, float32
	History     []Epoch                  // of the network returned; none of one that is fitted in closed form
	Epoch       int                      // whose weights they are, from 1: the last, but for Settings.Patience; 0 without a History
	Calibration Calibration
	Pseudo      PseudoDefects
	Choices     []models.Choice // that the network's fit to all images made
	DataHash    string
	Errors      []float64     // squared errors of reconstructions of training images, each summed over the image, ascending; none of a network that is fitted in closed form
	Images      int           // in the data, whole ones
	Provider    anrt.Provider // that trained
}

// An Epoch is one pass over the training images.
type Epoch struct {
	Stage, Epoch int     // network and epoch, from 1
	Loss         float64 // mean over the epoch's steps, by image
	Val          float64 // loss of the held-back images at its end; NaN where none are
	LearningRate float64 // of its last step
	GradNorm     float64 // of all gradients together before clipping, mean over the steps
	Seconds      float64 // it took
	Best         bool    // whether Val was the lowest of this network until then; false without Settings.Patience
	Machine      string  // that computed it: Settings.Machine and the provider
}

// A stage trains one network: on the images train, after which it scores those
// of heldBack, which it has not seen. Of tiles both are of their rows in the data, and
// held are the images that are held back, as heldBack is otherwise.
type stage struct{ train, heldBack, held []int }

// crossFit is the number of images below which a held-back share would be too
// small to set a threshold from: then every image is scored by a network trained
// on others, in folds, and a last network is trained on all.
//
// fewest is how many images are held back at the least: with two, the bound of
// [calibrate.Rate] would lie 39 standard deviations above their mean, with five it is four.
const (
	crossFit = 20
	folds    = 5
	fewest   = 5
)

// stages splits n images. The split depends on n, val and seed alone.
func stages(n int, val float64, seed uint64) []stage {
	order := permutation(n, seed, splitStream, 0)
	if n >= crossFit {
		k := max(fewest, int(math.Round(val*float64(n))))
		return []stage{{train: order[k:], heldBack: order[:k]}}
	}
	return append(foldStages(order), stage{train: order})
}

// foldStages splits images so that every one is held back once.
func foldStages(order []int) []stage {
	var out []stage
	k := min(len(order), folds)
	for f := range k {
		var s stage
		for i, at := range order {
			if i%k == f {
				s.heldBack = append(s.heldBack, at)
			} else {
				s.train = append(s.train, at)
			}
		}
		out = append(out, s)
	}
	return out
}

// Streams of random numbers: each purpose has its own, counter-based on the seed.
const (
	splitStream = iota + 1
	orderStream
	tileStream = 1 << 31 // beyond those of the stages' orders
)

// permutation returns a random order of n images that depends on its arguments alone.
func permutation(n int, seed uint64, stream, counter int) []int {
	return rand.New(rand.NewPCG(seed, uint64(stream)<<32|uint64(counter))).Perm(n)
}

// Fit trains the network on data: by gradient descent, or in closed form if it
// is a [models.Fitter]. When ctx is cancelled it finishes the step in flight,
// writes the checkpoint and returns ctx's error.
func Fit(ctx context.Context, net models.Network, data *Data, settings *Settings) (*Result, error) {
	t, err := prepare(net, data, settings)
	if err != nil {
		return nil, err
	}
	if t.fitter != nil {
		return t.solve(ctx)
	}
	s := &t.settings
	t.stages = t.withRows(stages(t.images, s.Val, s.Seed))
	st, err := t.run(ctx)
	if err != nil {
		return nil, err
	}
	r, err := t.result(st.exported(), st.Scores, st.Pseudo)
	if err != nil {
		return nil, err
	}
	if r.Errors, err = t.errors(ctx, st.exported()); err != nil {
		return nil, err
	}
	slices.Sort(r.Errors)
	r.Epoch = st.Epoch
	for _, e := range st.History {
		if e.Stage == len(t.stages) {
			r.History = append(r.History, e)
		}
	}
	if st.BestEpoch > 0 {
		r.Epoch = st.BestEpoch
		s.Logf("the loss of the held-back images was lowest after epoch %d of %d: those weights are kept", r.Epoch, st.Epoch)
	}
	return r, nil
}

// result returns what Fit does, its threshold set from scores of images that were
// held back; pseudo are those of artificial defects on them.
func (t *trainer) result(weights map[string]*graph.Tensor, scores, pseudo []float64) (*Result, error) {
	s := &t.settings
	threshold, err := calibrate.FromGood(scores, s.FalseReject, s.ThresholdRule)
	if err != nil {
		return nil, err
	}
	t.countParts()
	t.logParts()
	calibration := Calibration{Calibration: threshold}
	calibration.describe(t.data.Pixels, t.channels, t.height, t.width)
	s.Logf("%s", calibration)
	defects, err := newPseudoDefects(pseudo, scores)
	if err != nil {
		return nil, err
	}
	if len(defects.Scores) > 0 {
		found, of := defects.Found(calibration.Threshold), "the part"
		if t.first != nil {
			of = "a tile"
		}
		s.Logf("at its threshold it finds about %.0f %% (95 %% at least %.0f %%) of artificial defects: spots and scratches of %.2g to %.2g %% of %s, on images held back",
			100*found.Share, 100*found.AtLeast, 100*corrupt.LeastDefect, 100*corrupt.MostDefect, of)
	}
	return &Result{
		Network: t.net, Settings: *s, Weights: weights, Calibration: calibration, Pseudo: defects, Choices: t.choices,
		DataHash: t.hash, Images: t.images, Provider: s.Provider,
	}, nil
}

// A trainer is one run of Fit.
type trainer struct {
	net       models.Network
	trainable models.Trainable // net, or nil
	fitter    models.Fitter    // net, or nil

	channels, height, width int // of an image
	size                    int // all of them multiplied

	settings Settings
	data     *Data
	n        int // images, or tiles of them
	images   int
	tiled    error // what is wrong with the tiles
	scored   int   // images in which a part was looked for, where it alone counts
	parts    int   // of them, where one stood out
	first    []int // row of each image that is cut into tiles; nil: rows are images
	hash     string
	stages   []stage
	corrupt  *corrupt.Generator  // nil where nothing is corrupted
	defects  *corrupt.Generator  // of pseudo-defects; nil before the first
	keep     bool                // the weights of every stage, not of the last alone
	choices  []models.Choice     // of the last fit
	views    []augment.Transform // of images, that fits see; the first changes nothing
	programs map[programKey]*program
	block    int // of channels, for which training steps are lowered; 0 is none
	log      *epochLog
	start    time.Time
	resumed  int // steps that had been done when this run began
}

// prepare checks what it is given. Stages are the caller's to set.
func prepare(net models.Network, data *Data, settings *Settings) (*trainer, error) {
	if err := settings.Validate(net); err != nil {
		return nil, err
	}
	t := newTrainer(net, data, settings)
	if t.n*t.size != len(data.Pixels) || t.n < 2 {
		return nil, fmt.Errorf("%w: images: got %d bytes, want two or more of %dx%dx%d", ErrSettings, len(data.Pixels), t.height, t.width, t.channels)
	}
	if t.tiled != nil {
		return nil, t.tiled
	}
	if t.hash == "" {
		t.hash = pixelHash(data.Pixels)
	}
	if t.images < 2 {
		return nil, fmt.Errorf("%w: images: got tiles of %d, want those of two or more", ErrSettings, t.images)
	}
	return t, t.prepareCorruption()
}

func newTrainer(net models.Network, data *Data, settings *Settings) *trainer {
	t := &trainer{net: net, settings: settings.withDefaults(net), data: data, hash: data.Hash, start: time.Now()}
	t.trainable, _ = net.(models.Trainable)
	t.fitter, _ = net.(models.Fitter)
	t.channels, t.height, t.width = net.InputSize()
	t.size = t.channels * t.height * t.width
	t.n = len(data.Pixels) / t.size
	t.tiled = t.setImages()
	if t.trainable != nil && t.settings.Epochs == 0 && t.n > 0 && t.tiled == nil {
		last := t.withRows(stages(t.images, t.settings.Val, t.settings.Seed))
		t.stages = last[len(last)-1:]
		samples := cmp.Or(t.settings.Samples, net.Recipe().Samples)
		t.settings.Epochs = (samples + t.samplesIn(0) - 1) / t.samplesIn(0)
	}
	return t
}

// run trains the networks of all stages and returns the state after the last.
func (t *trainer) run(ctx context.Context) (*state, error) {
	if err := t.open(); err != nil {
		return nil, err
	}
	defer t.close()
	st, err := t.initial()
	if err != nil {
		return nil, err
	}
	if t.log, err = openLog(t.settings.Log, t, st.History); err != nil {
		return nil, err
	}
	defer t.log.close()
	for {
		if err := t.runStage(ctx, st); err != nil {
			return nil, err
		}
		good, pseudo, err := t.score(ctx, st.exported(), st.Stage)
		if err != nil {
			return nil, err
		}
		st.Scores, st.Pseudo = append(st.Scores, good...), append(st.Pseudo, pseudo...)
		st.BestEpochs = append(st.BestEpochs, st.BestEpoch)
		if t.keep {
			st.done = append(st.done, st.exported())
		}
		if st.Stage+1 == len(t.stages) {
			return st, nil
		}
		st = t.fresh(st.Stage+1, st)
	}
}

// initial returns the state to begin with: the checkpoint's when resuming.
func (t *trainer) initial() (*state, error) {
	if !t.settings.Resume {
		return t.fresh(0, nil), nil
	}
	st, err := t.load()
	if err != nil {
		return nil, err
	}
	t.resumed = t.stepsBefore(st)
	t.settings.Logf("resuming from %s at epoch %d, step %d", t.settings.Checkpoint, st.Epoch+1, st.Step)
	return st, nil
}

// fresh returns the state at the beginning of a stage; before is that at the end
// of the one before, nil for none.
func (t *trainer) fresh(stage int, before *state) *state {
	st := &state{Stage: stage, weights: t.net.Init(t.settings.Seed + uint64(stage)<<32)}
	if before != nil {
		st.History, st.Scores, st.Pseudo, st.BestEpochs, st.done = before.History, before.Scores, before.Pseudo, before.BestEpochs, before.done
	}
	st.m = zerosLike(t.learned(st.weights))
	if t.settings.Optimizer != OptimizerSGD {
		st.v = zerosLike(st.m)
	}
	if t.settings.EMA > 0 {
		st.ema = clone(st.weights)
	}
	if t.settings.Patience > 0 {
		st.best = zerosLike(st.weights)
	}
	return st
}

// frozen reports whether a parameter keeps its initial values.
func (t *trainer) frozen(param string) bool {
	f, ok := t.net.(models.Frozen)
	return ok && f.Frozen(param)
}

// learned returns those of the weights that training changes.
func (t *trainer) learned(weights map[string]*graph.Tensor) map[string]*graph.Tensor {
	learned := maps.Clone(weights)
	maps.DeleteFunc(learned, func(name string, _ *graph.Tensor) bool { return t.frozen(name) })
	return learned
}

// current returns the weights that are tested: the average where there is one.
func (st *state) current() map[string]*graph.Tensor {
	if st.ema != nil {
		return st.ema
	}
	return st.weights
}

// exported returns the weights that are the result if training ends now.
func (st *state) exported() map[string]*graph.Tensor {
	if st.BestEpoch > 0 {
		return st.best
	}
	return st.current()
}

// epochs returns how many epochs the stage of st may have.
func (t *trainer) epochs(st *state) int {
	if t.settings.Patience == 0 || len(t.stages[st.Stage].heldBack) > 0 || len(st.BestEpochs) == 0 {
		return t.settings.Epochs
	}
	best := slices.Sorted(slices.Values(st.BestEpochs))
	return max(1, best[len(best)/2])
}

// finished reports whether the stage of st has ended.
func (t *trainer) finished(st *state) bool {
	patience := t.settings.Patience
	return st.Epoch >= t.epochs(st) || patience > 0 && st.BestEpoch > 0 && st.Epoch-st.BestEpoch >= patience
}

// samplesIn returns how many samples an epoch of a stage has: each of the training
// images once, or as often as the corruption has them.
func (t *trainer) samplesIn(stage int) int {
	n := len(t.stages[stage].train)
	return n * t.copies(n)
}

// stepsIn returns how many steps an epoch of a stage has.
func (t *trainer) stepsIn(stage int) int {
	return (t.samplesIn(stage) + t.settings.Batch - 1) / t.settings.Batch
}

// stepsBefore counts the steps of the whole run up to st.
func (t *trainer) stepsBefore(st *state) int {
	steps := st.Epoch*t.stepsIn(st.Stage) + st.Step
	for i := range st.Stage {
		steps += t.settings.Epochs * t.stepsIn(i)
	}
	return steps
}

func (t *trainer) stepsAll() int {
	return t.stepsBefore(&state{Stage: len(t.stages) - 1, Epoch: t.settings.Epochs})
}

// runStage trains from st to the end of its stage.
func (t *trainer) runStage(ctx context.Context, st *state) error {
	s := &t.settings
	stg := t.stages[st.Stage]
	steps := t.stepsIn(st.Stage)
	for !t.finished(st) {
		began := time.Now()
		interrupted := func() error {
			st.Seconds += time.Since(began).Seconds()
			return t.interrupted(ctx, st)
		}
		rate := func(step int) float64 { return s.Schedule.rate(s.LearningRate, step, s.Epochs*steps) }
		next := t.batches(st.Stage, st.Epoch, st.Step)
		for st.Step < steps {
			if ctx.Err() != nil {
				return interrupted()
			}
			batch := next()
			// The step in flight is finished even when ctx ends: only whole steps are state.
			loss, grads, err := t.gradients(context.WithoutCancel(ctx), st.weights, batch)
			if err == nil {
				err = t.checkFinite(ctx, st, batch, loss, grads)
			}
			if err != nil {
				return err
			}
			done := st.Epoch*steps + st.Step
			st.NormSum += clip(grads, *s.Clip)
			s.update(st, t.learned(st.weights), grads, rate(done), done+1)
			st.LossSum += loss * float64(len(batch.images))
			st.Step++
			if st.Step < steps {
				s.Progress(t.progress(st, math.NaN()))
			}
		}
		val, err := t.loss(ctx, st.current(), stg.heldBack)
		if err != nil {
			if ctx.Err() != nil {
				return interrupted()
			}
			return err
		}
		e := Epoch{
			Stage: st.Stage + 1, Epoch: st.Epoch + 1, Loss: st.LossSum / float64(t.samplesIn(st.Stage)), Val: val,
			LearningRate: rate((st.Epoch+1)*steps - 1), GradNorm: st.NormSum / float64(steps), Seconds: st.Seconds + time.Since(began).Seconds(),
			Best:    s.Patience > 0 && (val < st.BestVal || st.BestEpoch == 0 && !math.IsNaN(val)),
			Machine: strings.TrimPrefix(fmt.Sprintf("%s, provider %s", s.Machine, s.Provider), ", "),
		}
		if e.Best {
			st.best, st.BestVal, st.BestEpoch = clone(st.current()), val, e.Epoch
		}
		st.History = append(st.History, e)
		if err := t.log.add(e); err != nil {
			return err
		}
		progress := t.progress(st, val)
		progress.Weights = st.exported()
		s.Progress(progress)
		// What is saved is the state at the next epoch's beginning.
		st.Epoch, st.Step, st.LossSum, st.NormSum, st.Seconds = e.Epoch, 0, 0, 0, 0
		if err := t.save(st); err != nil {
			return err
		}
	}
	return nil
}

// interrupted saves st and returns the reason that ctx ended for.
func (t *trainer) interrupted(ctx context.Context, st *state) error {
	if err := t.save(st); err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	if t.settings.Checkpoint != "" {
		t.settings.Logf("stopped at epoch %d of %d, step %d; saved in %s", st.Epoch+1, t.settings.Epochs, st.Step, t.settings.Checkpoint)
	}
	return context.Cause(ctx)
}

func (t *trainer) progress(st *state, val float64) Progress {
	p := Progress{
		Stage: st.Stage + 1, Stages: len(t.stages),
		Epoch: st.Epoch + 1, Epochs: t.settings.Epochs,
		Step: st.Step, Steps: t.stepsIn(st.Stage),
		Loss: st.LossSum / float64(min(st.Step*t.settings.Batch, t.samplesIn(st.Stage))), Val: val,
		Elapsed: time.Since(t.start), Provider: t.settings.Provider,
	}
	done, all := t.stepsBefore(st), t.stepsAll()
	if new := done - t.resumed; new > 0 {
		p.Left = time.Duration(float64(p.Elapsed) / float64(new) * float64(all-done))
	}
	return p
}

// imageName names image i for messages.
func (t *trainer) imageName(i int) string {
	if t.first != nil {
		i = t.data.Of[i]
	}
	if i < len(t.data.Names) {
		return t.data.Names[i]
	}
	return fmt.Sprintf("image %d", i)
}
