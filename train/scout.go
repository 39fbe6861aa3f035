package train

import (
	"math"

	"github.com/anomaly-go/anomaly/models"
)

// What networks that look for suspects are, as measured in docs/suspects.md: small
// and trained briefly, for a network that can hold more learns what is rare too.
const (
	scoutSide    = 64 // pixels, at most
	scoutDepth   = 4  // at most
	scoutFilters = 12
	scoutSteps   = 275 // of the optimiser, for each of the networks
	scoutRate    = 3e-3
)

// Scout returns the network and the settings with which [CrossFit] is to look for
// suspects among n images that spec is to be trained on with these settings.
//
// They are the same whatever spec and settings are, but for the images' channels,
// sides that are smaller already, and what says where and from which seed
// training runs. Images have to be brought to the network's size.
func Scout(spec models.Spec, settings *Settings, n int) (models.Spec, *Settings) {
	spec = spec.WithDefaults()
	scout := models.Spec{
		Model: "dcae", Channels: spec.Channels, Height: min(spec.Height, scoutSide), Width: min(spec.Width, scoutSide),
		Filters: scoutFilters, Depth: scoutDepth,
	}
	for (scout.Height|scout.Width)%(1<<scout.Depth) != 0 {
		scout.Depth--
	}
	s := Settings{LearningRate: scoutRate}
	if settings != nil {
		s.Seed, s.Provider, s.ProviderOptions, s.Workers = settings.Seed, settings.Provider, settings.ProviderOptions, settings.Workers
		s.Checkpoint, s.Resume, s.Progress, s.Logf = settings.Checkpoint, settings.Resume, settings.Progress, settings.Logf
	}
	s = s.withDefaults(scout)
	steps := math.Ceil(float64(n-n/folds) / float64(s.Batch)) // of an epoch
	s.Epochs = max(int(math.Round(scoutSteps/steps)), 1)
	return scout, &s
}
