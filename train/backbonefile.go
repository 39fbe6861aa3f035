package train

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/anomaly-go/anomaly/internal/backbone"
	"github.com/anomaly-go/anomaly/models"
)

// BackboneOptions say what a backbone's file leaves open; nil is all of it.
type BackboneOptions struct {
	// Taps are the names of tensors that features are taken from: maps [N,C,h,w] or
	// [N,h,w,C], or tokens [N,T,C] of patches. None are the last at strides 4, 8 and
	// 16 of a convolutional network, the last tokens of a vision transformer.
	Taps []string
	// Mean and Std are what pixels in [0,1] are normalised by, (x-Mean)/Std, one
	// number each or three. None are those that the file says, in its metadata (mean
	// and std) or by beginning with it, or else ImageNet's.
	Mean, Std []float64
}

// A Backbone is a network in an ONNX file, that features are taken from in place of
// an EfficientNet's. It is not safe for concurrent use.
type Backbone struct {
	file *backbone.Backbone
	name string
}

// OpenBackbone reads a file: of opset 6 to 28, of one input of RGB images, of which
// the operators up to the taps are those that provider go has. Errors wrap
// [ErrBackbone]: they say what in the file cannot serve, and what would.
func OpenBackbone(path string, o *BackboneOptions) (*Backbone, error) {
	if o == nil {
		o = &BackboneOptions{}
	}
	f, err := backbone.Open(path, (*backbone.Options)(o))
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w", ErrBackbone, filepath.Base(path), err)
	}
	return &Backbone{f, filepath.Base(path)}, nil
}

// Spec returns the spec of the network features with this backbone. Where the file
// takes images of one size alone, that is the network's.
func (b *Backbone) Spec(s models.Spec) (models.Spec, error) {
	s.Model, s.Backbone = "features", b.name
	s.BackboneFile = models.BackboneFile{
		SHA256: b.file.Hash, Taps: strings.Join(b.file.Taps, ","), Normalisation: b.file.Normalisation, Step: b.file.Step,
	}
	if h, w := b.file.Height, b.file.Width; h > 0 {
		if s.Height > 0 && s.Height != h || s.Width > 0 && s.Width != w || s.Scales > 1 {
			return s, fmt.Errorf("%w %s: size: got %dx%d at %s, want %dx%d at one size: the file takes no others", ErrBackbone, b.name, max(s.Width, s.Height), s.Height, sizes(max(s.Scales, 1)), w, h)
		}
		s.Height, s.Width, s.Scales = h, w, 1
	}
	return s, nil
}

// Resources returns what models.Open needs to open such a spec.
func (b *Backbone) Resources() *models.Resources { return &models.Resources{Backbone: b.file.For} }

// String says what is taken of the file.
func (b *Backbone) String() string {
	var taps []string
	for i, t := range b.file.Taps {
		taps = append(taps, fmt.Sprintf("%s (%d channels)", t, b.file.Channels[i]))
	}
	return fmt.Sprintf("%s: features are %s; %s", b.name, strings.Join(taps, ", "), b.file.Normalisation)
}
