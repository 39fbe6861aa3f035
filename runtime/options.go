package runtime

import (
	"crypto/ed25519"
	"fmt"
	"math"
	goruntime "runtime"
	"slices"
	"time"

	"github.com/pbnjay/memory"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/residual"
)

// SessionOptions say what computes; nil is all defaults.
type SessionOptions struct {
	// Provider is a provider, a list such as "cuda,cpu" of which the first that
	// works is taken, or [Auto] (default).
	Provider Provider
	// Threads is how many threads one operator is computed with on a CPU: 0
	// (default) is GOMAXPROCS; 1 is the calling thread alone, for callers that
	// run several sessions side by side.
	Threads int
	// ProviderOptions are those that only one provider has, such as a GPU's
	// number or a reduced precision.
	ProviderOptions
	// Library is the path of ONNX Runtime's shared library; "" (default) looks
	// at $ANOMALY_ORT_LIB, the user's cache folder, the system's library path
	// and installed Python packages.
	Library string
	// MaxMemory is how many bytes the weights of a model and the values of a run of
	// it may take; 0 is half of the machine's, and on accelerators no limit. A model that takes more is an error
	// before it does, as far as its shapes tell.
	MaxMemory int64
	// Logf, where not nil, is told which provider a list or auto came to, and why,
	// and of what was not closed. It is called from any goroutine, and may not
	// close or swap the detector that calls it.
	Logf func(format string, args ...any)
}

// Options are those of a [Detector]; nil is all defaults.
type Options struct {
	SessionOptions

	// Batch is how many images run at once; 0 is 16, and on CPUs (cpu,
	// go, openvino) as many of those as suit their caches: 128x128 pixels a thread.
	// A model of fixed batch size has its own.
	Batch int
	// BatchWindow is how long a batch that is not full waits for images of other
	// calls; 0 (default) is not at all: as long as a batch is computed the next one
	// gathers by itself.
	BatchWindow time.Duration
	// OnBatch, where not nil, is told of each batch, before it is computed, how many
	// images it has, of one call or several; tiles, where images are cut into those. It
	// is called by one goroutine at a time, which computes nothing until it returns.
	OnBatch func(images int)
	// Reconstruction asks for reconstructions too, of models that give them.
	Reconstruction bool
	// Threshold, where not nil, replaces the model's threshold, or the label that it
	// gives itself.
	Threshold *float32
	// Review, where not nil, replaces the model's review band; the zero Band is
	// none. A band must hold the threshold. With Threshold alone there is no
	// band: the model's is about its own.
	Review *Band
	// MinArea is the smallest area, in pixels of the map, that can make an image
	// anomalous; 0 is 1. Above 1 a score is the highest residual that so many
	// connected pixels reach together (heatmap's Map.Peak).
	MinArea int
	// Zones, where not nil, are areas of the images with rules of their own:
	// maps come as the zones see them (heatmap's Zones.Apply) and scores are
	// theirs. Do not change them while they are in use.
	Zones *heatmap.Zones
	// View says what of an image is looked at, where that is to be another than the
	// model's own.
	View View
	// Scale is that of the results' maps in colours; zero is from what most of the
	// model's good images do not reach on (heatmap.NewScale).
	Scale heatmap.Scale
	// Map says how the map of a model that gives only a reconstruction is made;
	// zero is SSIM.
	Map residual.Options

	// What files of other tools may leave unsaid.

	// MapOutput, ScoreOutput and ReconstructionOutput name outputs; "" goes by
	// anomalib's names (anomaly_map, pred_score), else by rank and type where there
	// is one of a kind: [N,1,H,W], [N,H,W,1] or [N,H,W] is a map, [N] or [N,1] a
	// score, the input's shape a reconstruction.
	MapOutput, ScoreOutput, ReconstructionOutput string
	// Layout is NCHW or NHWC; "" goes by where the 1 or 3 channels are and, where
	// both would fit, takes uint8 for NHWC and floats for NCHW.
	Layout string
	// Range is what black and white are in floating-point images that go in, and in
	// reconstructions unless ReconstructionRange says otherwise (of networks that
	// begin with a rescaling, for example). Zero is what the file's metadata say in
	// ONNX's words (Image.NominalPixelRange), else 0 and 1. It is never guessed.
	Range, ReconstructionRange Range
	// Height and Width are the size of the images of a model that takes any; 0 is
	// the size to which its graph itself resizes its input, else its map's if that
	// is fixed, else each image's own.
	Height, Width int

	// Signers, where there are any, are keys by one of which a model must be signed
	// ([Sign]): one that is not, or was changed since, is an error that wraps
	// ErrSignature, whatever way it was to come into use.
	Signers []ed25519.PublicKey
}

func (o *SessionOptions) withDefaults() SessionOptions {
	c := SessionOptions{}
	if o != nil {
		c = *o
	}
	if c.Threads == 0 {
		c.Threads = goruntime.GOMAXPROCS(0)
	}
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	c.ProviderOptions = c.ProviderOptions.copied() // which are the caller's to change
	return c
}

func (o *Options) withDefaults() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.SessionOptions = c.SessionOptions.withDefaults()
	// A Swap looks at them again, when they are the caller's to change.
	c.Threshold, c.Review, c.Signers = copied(c.Threshold), copied(c.Review), slices.Clone(c.Signers)
	return c
}

// maxMemory is MaxMemory, also of options without defaults.
func (o *SessionOptions) maxMemory() int64 {
	if o != nil && o.MaxMemory > 0 {
		return o.MaxMemory
	}
	if total := memory.TotalMemory(); total > 0 {
		return int64(min(total/2, math.MaxInt64))
	}
	return math.MaxInt64 // unknown
}

func (o *SessionOptions) validate() error {
	if o.Threads < 0 {
		return fmt.Errorf("%w: threads: got %d, want 0 or more", ErrInput, o.Threads)
	}
	if o.MaxMemory < 0 {
		return fmt.Errorf("%w: memory: got %d, want 0 or more bytes", ErrInput, o.MaxMemory)
	}
	providers, err := o.Provider.list()
	if err != nil {
		return err
	}
	return o.ProviderOptions.validate(providers)
}

func (o *Options) validate() error {
	if err := o.SessionOptions.validate(); err != nil {
		return err
	}
	for _, key := range o.Signers {
		if len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("%w: signers: got a key of %d bytes, want %d", ErrInput, len(key), ed25519.PublicKeySize)
		}
	}
	switch {
	case o.Batch < 0:
		return fmt.Errorf("%w: batch: got %d, want 0 or more", ErrInput, o.Batch)
	case o.BatchWindow < 0:
		return fmt.Errorf("%w: batch window: got %v, want 0 or more", ErrInput, o.BatchWindow)
	case o.Layout != "" && o.Layout != NCHW && o.Layout != NHWC:
		return fmt.Errorf("%w: layout: got %q, want %s or %s", ErrInput, o.Layout, NCHW, NHWC)
	case o.Height < 0 || o.Width < 0 || (o.Height == 0) != (o.Width == 0) || o.Height > 0 && o.Width > maxPixels/o.Height:
		return fmt.Errorf("%w: size: got %dx%d, want two sides, of at most %d pixels together", ErrInput, o.Height, o.Width, maxPixels)
	case o.MinArea < 0:
		return fmt.Errorf("%w: smallest area: got %d, want 0 or more", ErrInput, o.MinArea)
	}
	if t := o.Threshold; t != nil && math.IsNaN(float64(*t)) {
		return fmt.Errorf("%w: threshold: got NaN, want a number", ErrInput)
	}
	for _, r := range []Range{o.Range, o.ReconstructionRange} {
		if err := r.check(); r != (Range{}) && err != nil {
			return err
		}
	}
	if err := o.Map.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if o.Map.Kind == residual.NetworkMap {
		return fmt.Errorf("%w: map: got %q, want one of a reconstruction: %v", ErrInput, o.Map.Kind, residual.Kinds())
	}
	return nil
}
