package train

import (
	"math"

	"github.com/anomaly-go/anomaly/models"
)

// What networks that look for suspects are, as measured in docs/suspects.md: small
// and trained briefly, for a network that can hold more learns what is rare too.
const (
	scoutModel   = "dcae"
	scoutSide    = 64 // pixels, at most
	scoutDepth   = 4  // at most
	scoutFilters = 12
	scoutSteps   = 275 // of the optimiser, for each of the networks
	scoutRate    = 3e-3
)

// Scout returns the network and the settings with which [CrossFit] is to look for
// suspects among n images that net is to be trained on with these settings.
//
// They are the same whatever net and settings are, but for the images' channels,
// sides that are smaller already, and what says where and from which seed
// training runs. Images have to be brought to the network's size.
func Scout(net models.Network, settings *Settings, n int) (models.Trainable, *Settings) {
	channels, height, width := net.InputSize()
	scout := models.Spec{
		Model: scoutModel, Channels: channels, Height: min(even(height), scoutSide), Width: min(even(width), scoutSide),
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
	small, err := models.Open(scout, nil)
	if err != nil {
		panic(err) // even sides can be halved
	}
	s = s.withDefaults(small)
	steps := math.Ceil(float64(n-n/folds) / float64(s.Batch)) // of an epoch
	s.Epochs = max(int(math.Round(scoutSteps/steps)), 1)
	return small.(models.Trainable), &s
}

// even returns n, one less if it is odd, at least 2.
func even(n int) int { return max(n&^1, 2) }
