package models

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// ErrSpec is wrapped by errors about a Spec and about what it is opened with.
var ErrSpec = errors.New("models")

// A Spec names an architecture and its options: the part of a network that
// checkpoints, configurations and exported files keep. Zero fields have the
// architecture's defaults, here those of dcae.
type Spec struct {
	Model    string `json:"model"`    // one of Names, default "dcae"
	Channels int    `json:"channels"` // of the image: 1 or 3 (default)
	Height   int    `json:"height"`   // of the image in pixels, default 128; a multiple of 2^Depth
	Width    int    `json:"width"`    // of the image in pixels, default Height
	Filters  int    `json:"filters"`  // output channels of each hidden convolution, default 32
	Depth    int    `json:"depth"`    // how often the image is halved, default 3

	// Of features alone.
	Backbone     string       `json:"backbone,omitempty"`     // an EfficientNet, default Lite0; or the name of a file
	BackboneFile BackboneFile `json:"backbone_file,omitzero"` // a file that has another, which Backbone names then
	Scales       int          `json:"scales,omitempty"`       // sizes of the image that are looked at, each two thirds of the one before; default 1
	Rank         int          `json:"rank,omitempty"`         // directions of the covariance of each place; default 16, -1 is one covariance for all

	Latent int `json:"latent,omitempty"` // of ssimae alone: numbers that an image goes through; default 100

	// Passes is how often an image goes through unet, each time what came of it before; default 1. It is trained for one.
	Passes int `json:"passes,omitempty"`

	// AEGrad is how often the image is moved down the gradient of its
	// reconstruction's error, in the exported model; 0, the default, shows the
	// reconstruction itself. Networks that are [Trainable] have it.
	AEGrad int `json:"aegrad,omitempty"`
	// AEGradStop is the squared error, summed over an image, at which it moves no
	// further; 0 is none.
	AEGradStop float64 `json:"aegrad_stop,omitempty"`
}

// A BackboneFile says what features are taken from, if from an ONNX file.
type BackboneFile struct {
	SHA256        string `json:"sha256"`        // of the file, in hexadecimal
	Taps          string `json:"taps"`          // the tensors' names, between commas
	Normalisation string `json:"normalisation"` // of pixels, in words
	Step          int    `json:"step"`          // that the image's sides are multiples of, in pixels
}

// An architecture is a row of the table of networks.
type architecture struct {
	name     string
	least    int               // shortest side of an image, in pixels
	step     func(*Spec) int   // that sides are multiples of
	defaults func(*Spec)       // sets fields that are zero
	validate func(*Spec) error // of a spec with its defaults
	open     func(Spec, *Resources) (Network, error)
}

var architectures = []*architecture{&dcaeArchitecture, &unetArchitecture, &ssimaeArchitecture, &featuresArchitecture}

// Names lists the architectures there are, the default first.
func Names() []string {
	var names []string
	for _, a := range architectures {
		names = append(names, a.name)
	}
	return names
}

// architecture returns the row of s, nil if there is none.
func (s *Spec) architecture() *architecture {
	for _, a := range architectures {
		if a.name == s.Model {
			return a
		}
	}
	return nil
}

// WithDefaults returns the spec with its zero fields set.
func (s Spec) WithDefaults() Spec {
	if s.Model == "" {
		s.Model = architectures[0].name
	}
	if a := s.architecture(); a != nil {
		a.defaults(&s)
	}
	return s
}

// Validate reports what is wrong with the spec, its defaults set.
func (s Spec) Validate() error {
	s = s.WithDefaults()
	a := s.architecture()
	if a == nil {
		return bad("model", fmt.Sprintf("%q", s.Model), fmt.Sprintf("one of %q", Names()))
	}
	if s.AEGrad < 0 || s.AEGrad > mostDescent {
		return bad("aegrad", s.AEGrad, fmt.Sprintf("0 to %d", mostDescent))
	}
	if !(s.AEGradStop >= 0 && s.AEGradStop <= math.MaxFloat32) || s.AEGradStop > 0 && s.AEGrad == 0 {
		return bad("aegrad stop", s.AEGradStop, "0 or more, and none without aegrad")
	}
	if s.Latent != 0 && a != &ssimaeArchitecture {
		return bad("latent", s.Latent, fmt.Sprintf("none: %s alone has a vector", ssimaeArchitecture.name))
	}
	if s.Passes != 0 && a != &unetArchitecture {
		return bad("passes", s.Passes, fmt.Sprintf("none: %s alone has them", unetArchitecture.name))
	}
	return a.validate(&s)
}

// InputSize returns the channels, height and width of the network's images.
func (s Spec) InputSize() (channels, height, width int) {
	s = s.WithDefaults()
	return s.Channels, s.Height, s.Width
}

func bad(what string, got any, want string) error {
	return fmt.Errorf("%w: %s: got %v, want %s", ErrSpec, what, got, want)
}

func set(p *int, v int) {
	if *p == 0 {
		*p = v
	}
}

// imageDefaults sets the size of the image, by default RGB and so many pixels high.
func (s *Spec) imageDefaults(height int) {
	set(&s.Channels, 3)
	set(&s.Height, height)
	set(&s.Width, s.Height)
}

// levelStep is the step of a network that halves the image Depth times.
func (s *Spec) levelStep(depth int) int { return 1 << min(max(cmp.Or(s.Depth, depth), 0), 8) }

// validateLevels checks a network that halves the image Depth times.
func (s *Spec) validateLevels() error {
	switch step := 1 << min(max(s.Depth, 0), 16); {
	case s.Channels != 1 && s.Channels != 3:
		return bad("channels", s.Channels, "1 or 3")
	case s.Depth < 1 || s.Depth > 8:
		return bad("depth", s.Depth, "1 to 8")
	case s.Filters < 1 || s.Filters > 1024:
		return bad("filters", s.Filters, "1 to 1024")
	case s.Height < step || s.Height%step != 0 || s.Height > 1<<14:
		return bad("height", s.Height, fmt.Sprintf("a multiple of %d up to %d", step, 1<<14))
	case s.Width < step || s.Width%step != 0 || s.Width > 1<<14:
		return bad("width", s.Width, fmt.Sprintf("a multiple of %d up to %d", step, 1<<14))
	}
	return nil
}
