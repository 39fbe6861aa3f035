package train

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/anomaly-go/anomaly/internal/ortlib"
	"github.com/anomaly-go/anomaly/internal/statedict"
	"github.com/anomaly-go/anomaly/models"
)

// ErrBackbone is wrapped by errors about pretrained weights that are not there.
var ErrBackbone = errors.New("train: backbone")

// backbones are the builds of the pretrained weights.
var backbones = map[models.EfficientNet]ortlib.Build{models.Lite0: ortlib.Lite0, models.Lite2: ortlib.Lite2}

// Resources returns what models.Open needs to open a spec: for the network
// features, the weights of its backbone out of the user's cache folder. Nothing is
// downloaded.
func Resources(spec models.Spec) (*models.Resources, error) {
	spec = spec.WithDefaults()
	build, ok := backbones[models.EfficientNet(spec.Backbone)]
	if !ok {
		return &models.Resources{}, nil
	}
	path, err := ortlib.Find(build, "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is not cached", ErrBackbone, spec.Backbone)
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackbone, err)
	}
	state, err := statedict.Read(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackbone, err)
	}
	e := models.EfficientNet(spec.Backbone)
	weights, err := e.Weights(state, e.Taps())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBackbone, err)
	}
	return &models.Resources{Weights: weights}, nil
}
