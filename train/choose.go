package train

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/anomaly-go/anomaly/models"
)

// Auto is the name of the network that [Choose] chooses. It is none of models.Names.
const Auto = "auto"

// A Preset says how much time training and running may take.
type Preset string

// Presets.
const (
	Fast    Preset = "fast"    // a minute or two of training on two cores
	Default Preset = "default" // some minutes
	Best    Preset = "best"    // the most that is of use
)

// String returns the preset's name.
func (p Preset) String() string { return string(p) }

// Presets lists the presets there are.
func Presets() []Preset { return []Preset{Fast, Default, Best} }

// fromScratch is the network that is trained where there is no backbone.
const fromScratch = "unet"

// scratch is how large the images of fromScratch are, as a square, and how many
// it is shown: what fits into the time of a preset, two minutes, a quarter of an
// hour and two hours, on two cores. More of what there is beyond the first goes
// into images shown than into size: at equal time that found more (docs/unet.md).
var scratch = map[Preset]struct {
	side    float64
	samples int
}{
	Fast: {64, 8000}, Default: {128, 24000}, Best: {192, 60000},
}

// Samples returns how many images a network of that name is shown with the preset,
// repeats counted; 0 is its own number ([models.Recipe]).
func (p Preset) Samples(model string) int {
	if model != fromScratch {
		return 0
	}
	return scratch[p].samples
}

// align is what the side of fromScratch's images is a multiple of.
const align = 16

// fewImages is below how many images a place's own covariance cannot be told from
// chance: then one is common to all places.
const fewImages = 20

// Choose completes the spec of the network features, or chooses one where
// spec.Model is [Auto], for so many training images of a size (pixels). Fields
// that are set are kept, a Height and a Width with each other. The aspect is the
// images' otherwise: of features as large as a square of Height, or of the preset's
// if that is 0, of other networks where Height is 0 too, of unet as large as the
// preset's ([Preset.Samples] are how long it trains). It returns what a person should
// know of the choice, "" where there was none.
//
// Pretrained features, modelled in closed form, find more than networks trained
// from nothing on so few images, in seconds; without the backbone in the cache,
// or below its smallest image, it is the latter.
func Choose(spec models.Spec, preset Preset, images, width, height int) (models.Spec, string, error) {
	auto := spec.Model == Auto
	if auto {
		spec.Model = "features"
		switch _, err := Resources(spec); {
		case spec.Height > 0 && spec.Height < models.LeastFeatures:
			spec.Model, spec.Backbone, spec.Scales, spec.Rank = fromScratch, "", 0, 0
			return spec.WithDefaults(), fmt.Sprintf("images of %d pixels are too small for pretrained features: training %s from nothing", spec.Height, fromScratch), nil
		case errors.Is(err, ErrBackbone):
			spec.Model, spec.Backbone, spec.Scales, spec.Rank = fromScratch, "", 0, 0
			return inAspect(spec, preset, width, height).WithDefaults(), fmt.Sprintf("%v: training %s from nothing, which takes longer and finds less in most products", err, fromScratch), nil
		case err != nil:
			return spec, "", err
		}
	}
	if spec.Model != "features" {
		return inAspect(spec, preset, width, height), "", nil
	}
	if auto && spec.Height == 0 && max(width, height) < models.LeastFeatures && max(width, height) > 1 {
		side := math.Ceil(math.Sqrt(float64(width)*float64(height))/align) * align
		return models.Spec{Model: fromScratch, Channels: spec.Channels}.InAspect(side, width, height).WithDefaults(),
			fmt.Sprintf("images of %dx%d are too small for pretrained features: training %s from nothing", width, height, fromScratch), nil
	}
	side, scales := 384, 2
	switch {
	case images < fewImages:
		side, scales = 512, 1
	case preset == Fast:
		side, scales = 256, 1
	case preset == Best:
		side, scales = 512, 3
	}
	if images < fewImages && spec.Rank == 0 {
		spec.Rank = -1
	}
	if spec.Scales == 0 {
		spec.Scales = scales
	}
	if spec.Width == 0 {
		spec = spec.InAspect(float64(cmp.Or(spec.Height, side)), width, height)
	}
	spec = spec.WithDefaults()
	if !auto {
		return spec, "", nil
	}
	covariance := "a covariance of each place"
	if spec.Rank < 0 {
		covariance = "one covariance for all places"
	}
	if spec.Rank < 0 && images < fewImages {
		covariance += fmt.Sprintf(", as there are fewer than %d images", fewImages)
	}
	return spec, fmt.Sprintf("chose features of %s at %dx%d, %s: %s, and the nearest feature", spec.Backbone, spec.Width, spec.Height, sizes(spec.Scales), covariance), nil
}

// inAspect sizes a network that is trained, where its spec does not.
func inAspect(spec models.Spec, preset Preset, width, height int) models.Spec {
	if spec.Height != 0 || spec.Width != 0 {
		return spec
	}
	side := 0. // the network's
	if spec.Model == fromScratch {
		side = scratch[preset].side
	}
	return spec.InAspect(side, width, height)
}

func sizes(n int) string {
	if n == 1 {
		return "one size"
	}
	return fmt.Sprintf("%d sizes", n)
}
