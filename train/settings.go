package train

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// Errors that [Fit] wraps.
var (
	ErrSettings   = errors.New("train")             // settings or data that cannot be used
	ErrDiverged   = errors.New("train: diverged")   // a loss or a gradient is not finite
	ErrCheckpoint = errors.New("train: checkpoint") // a checkpoint that is damaged or of another run
)

// Settings say how to train. A nil *Settings and zero fields have the defaults
// given, or the network's ([models.Recipe]), in brackets those of dcae. Networks
// that are fitted in closed form have no use for a loss, an optimiser and what
// belongs to them.
type Settings struct {
	Loss         string  `json:"loss"`          // as residual.ParseLoss reads it; default the network's ("ssim")
	Epochs       int     `json:"epochs"`        // default the network's (50, or as many as show its number of images)
	Samples      int     `json:"-"`             // where Epochs is 0: as many epochs as show so many images, repeats counted; default the network's
	Batch        int     `json:"batch"`         // images a step; default the network's (16)
	LearningRate float64 `json:"learning_rate"` // at its peak; default the network's (2e-3), right for Adam: SGD wants some hundred times more
	Seed         uint64  `json:"seed"`          // of weights, order and split; default 1
	Val          float64 `json:"val"`           // share of images held back for the threshold; default 0.1, at least 5 images

	// Corruption is what the network is shown, and the clean image what it is to
	// make of it; default the network's (CorruptionNone). Held-back images are
	// corrupted too, always in the same way.
	Corruption Corruption `json:"corruption,omitempty"`
	// Augment says how images are changed before they are corrupted: AugmentAuto
	// (default with a corruption) or AugmentNone.
	Augment Augment `json:"augment,omitempty"`

	Optimizer   Optimizer `json:"optimizer"`    // default the network's (OptimizerAdam)
	WeightDecay *float64  `json:"weight_decay"` // decoupled, of AdamW (default 0.01) and SGD (default 0); biases do not decay
	Momentum    *float64  `json:"momentum"`     // of SGD, in [0,1); default 0.9
	Schedule    Schedule  `json:"schedule"`     // of the learning rate; default the network's (ScheduleTrapezoid)
	Clip        *float64  `json:"clip"`         // largest norm of all gradients together, longer ones are scaled down; 0: any; default the network's
	// EMA is the decay, in (0,1), of an exponential moving average of the
	// weights, which is then what is tested, scored and exported; default 0: none.
	EMA float64 `json:"ema"`
	// Patience ends training after so many epochs without a lower loss of the
	// held-back images, and returns the weights that had the lowest; default 0:
	// the last ones. A last network that holds nothing back, as cross-fitting
	// has, trains for the median of its folds' best epochs.
	Patience int `json:"patience"`

	// Map says which map the exported model computes and the threshold is of.
	// Default: the network's.
	Map *residual.Options `json:"map"`
	// View says what of an image is looked at, by the exported model too, and whether
	// data are tiles ([CutTiles]); the zero View is the whole image.
	View anrt.View `json:"view,omitzero"`
	// FalseReject is the share of good images that the threshold may reject; default calibrate.DefaultFalseReject.
	FalseReject float64 `json:"false_reject"`
	// ThresholdRule is calibrate.Rate (default) or calibrate.Max.
	ThresholdRule calibrate.Rule `json:"threshold_rule"`

	// Provider as package runtime names them; default "auto": "go" for networks that clearly take less time on it or where
	// ONNX Runtime cannot be loaded, else "cpu".
	Provider anrt.Provider `json:"-"`
	// ProviderOptions are those of the provider, as package runtime has them.
	ProviderOptions anrt.ProviderOptions `json:"-"`
	// Workers is how many threads compute, each images of its own where a step has
	// enough; default the number of CPUs. It has no influence on the result.
	Workers int `json:"-"`
	// Checkpoint is the file that keeps the state; "" keeps none.
	Checkpoint string `json:"-"`
	// Resume continues from Checkpoint, which must be there, of the same data and
	// settings.
	Resume bool `json:"-"`
	// Log is a file that gets a line of JSON, a [LogLine], for each epoch: each
	// once, however often the run was stopped and resumed. "" writes none.
	Log string `json:"-"`
	// Machine says for people what this computer is; the log and the history have it
	// beside the provider.
	Machine string `json:"-"`
	// Progress, if not nil, is called after every step and epoch, from one goroutine.
	Progress func(Progress) `json:"-"`
	// Logf, if not nil, is told what a person should know: the provider taken, how sure the threshold is.
	Logf func(format string, args ...any) `json:"-"`
}

// Progress is where training is.
type Progress struct {
	Stage, Stages int           // networks trained one after the other: 1 of 1, or more with cross-fitting
	Epoch, Epochs int           // Epoch counts from 1
	Step, Steps   int           // of this epoch; Step counts from 1
	Loss          float64       // mean of this epoch so far; NaN of a network fitted in closed form, whose steps are images seen
	Val           float64       // loss of the held-back images, at an epoch's end; else NaN
	Elapsed, Left time.Duration // Left is estimated from the speed so far
	Provider      anrt.Provider // that computes: never "auto" nor a list

	// Weights are those that would be exported now, at an epoch's end; else nil.
	// They are not to be changed, nor kept.
	Weights map[string]*graph.Tensor
}

// EpochEnd reports whether p ends an epoch.
func (p Progress) EpochEnd() bool { return p.Step == p.Steps }

func (s *Settings) withDefaults(net models.Network) Settings {
	c := Settings{}
	if s != nil {
		c = *s
	}
	r := net.Recipe()
	c.Loss = cmp.Or(c.Loss, r.Loss)
	if c.Samples == 0 {
		c.Epochs = cmp.Or(c.Epochs, r.Epochs)
	}
	c.LearningRate = cmp.Or(c.LearningRate, r.LearningRate)
	c.Optimizer = cmp.Or(c.Optimizer, Optimizer(r.Optimizer))
	c.Schedule = cmp.Or(c.Schedule, Schedule(r.Schedule))
	c.Corruption = cmp.Or(c.Corruption, Corruption(r.Corruption))
	if c.Corruption == CorruptionNone {
		c.Corruption = ""
	}
	switch {
	case c.Augment == "" && c.Corruption != "":
		c.Augment = AugmentAuto
	case c.Augment == AugmentNone && c.Corruption == "": // says nothing
		c.Augment = ""
	}
	if c.Map == nil {
		c.Map = &r.Map
	}
	c.Batch = cmp.Or(c.Batch, r.Batch, 16)
	if c.Seed == 0 {
		c.Seed = 1
	}
	if c.Val == 0 {
		c.Val = 0.1
	}
	if c.Clip == nil {
		c.Clip = new(r.Clip)
	}
	if c.WeightDecay == nil {
		c.WeightDecay = new(0.)
		if c.Optimizer == OptimizerAdamW {
			c.WeightDecay = new(0.01)
		}
	}
	if c.Momentum == nil {
		c.Momentum = new(0.)
		if c.Optimizer == OptimizerSGD {
			c.Momentum = new(0.9)
		}
	}
	if c.FalseReject == 0 {
		c.FalseReject = calibrate.DefaultFalseReject
	}
	if c.ThresholdRule == "" {
		c.ThresholdRule = calibrate.Rate
	}
	if c.Provider == "" {
		c.Provider = anrt.Auto
	}
	if c.Workers == 0 {
		c.Workers = goruntime.GOMAXPROCS(0)
	}
	if c.Progress == nil {
		c.Progress = func(Progress) {}
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return c
}

// Validate reports what is wrong with the settings for a network. Fit calls it.
func (s *Settings) Validate(net models.Network) error {
	c := s.withDefaults(net)
	bad := func(what string, got any, want string) error {
		return fmt.Errorf("%w: %s: got %v, want %s", ErrSettings, what, got, want)
	}
	if err := c.Map.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	_, height, width := net.InputSize()
	if _, err := c.View.For(height, width); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	switch {
	case !(c.Val > 0 && c.Val < 1):
		return bad("held-back share", c.Val, "a number between 0 and 1")
	case !(c.FalseReject > 0 && c.FalseReject < 1):
		return bad("false-reject rate", c.FalseReject, "a number between 0 and 1")
	case c.ThresholdRule != calibrate.Rate && c.ThresholdRule != calibrate.Max:
		return bad("threshold rule", fmt.Sprintf("%q", c.ThresholdRule), fmt.Sprintf("%q or %q", calibrate.Rate, calibrate.Max))
	case c.Workers < 1:
		return bad("workers", c.Workers, "1 or more")
	}
	if _, ok := net.(models.Trainable); !ok {
		return nil
	}
	if _, err := residual.ParseLoss(c.Loss); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	switch {
	case c.Corruption != "" && c.Corruption != CorruptionStructured:
		return bad("corruption", fmt.Sprintf("%q", c.Corruption), fmt.Sprintf("%q or %q", CorruptionStructured, CorruptionNone))
	case c.Augment != "" && c.Augment != AugmentAuto && c.Augment != AugmentNone:
		return bad("augment", fmt.Sprintf("%q", c.Augment), fmt.Sprintf("%q or %q", AugmentAuto, AugmentNone))
	case c.Augment == AugmentAuto && c.Corruption == "":
		return bad("augment", fmt.Sprintf("%q", c.Augment), "none without a corruption")
	case c.Samples < 0:
		return bad("samples", c.Samples, "1 or more, or 0 for the network's")
	case c.Epochs < 0 || c.Epochs == 0 && c.Samples == 0 && net.Recipe().Samples == 0:
		return bad("epochs", c.Epochs, "1 or more")
	case c.Batch < 1:
		return bad("batch", c.Batch, "1 or more")
	case !(c.LearningRate > 0 && c.LearningRate < 10):
		return bad("learning rate", c.LearningRate, "a positive number below 10")
	case !slices.Contains(Optimizers(), c.Optimizer):
		return bad("optimizer", fmt.Sprintf("%q", c.Optimizer), fmt.Sprintf("one of %q", Optimizers()))
	case !slices.Contains(Schedules(), c.Schedule):
		return bad("schedule", fmt.Sprintf("%q", c.Schedule), fmt.Sprintf("one of %q", Schedules()))
	case !(*c.WeightDecay >= 0 && *c.WeightDecay*c.LearningRate < 1):
		return bad("weight decay", *c.WeightDecay, "0 or more, and less than 1 over the learning rate")
	case *c.WeightDecay > 0 && c.Optimizer == OptimizerAdam:
		return bad("weight decay", *c.WeightDecay, "none with adam: adamw has it")
	case !(*c.Momentum >= 0 && *c.Momentum < 1):
		return bad("momentum", *c.Momentum, "a number between 0 and 1")
	case *c.Momentum > 0 && c.Optimizer != OptimizerSGD:
		return bad("momentum", *c.Momentum, "none but with sgd")
	case !(*c.Clip >= 0) || math.IsInf(*c.Clip, 1):
		return bad("clip", *c.Clip, "0 or more")
	case !(c.EMA >= 0 && c.EMA < 1):
		return bad("ema", c.EMA, "0, or a number between 0 and 1")
	case c.Patience < 0:
		return bad("patience", c.Patience, "0 or more")
	case c.Resume && c.Checkpoint == "":
		return bad("checkpoint", "none", "a file to resume from")
	}
	return nil
}
