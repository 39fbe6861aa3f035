package train

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
)

// corrupted is a network that is trained on corrupted images, in milliseconds.
var corrupted = network(models.Spec{Model: "unet", Channels: 1, Height: 16, Filters: 2, Depth: 1})

// Neither workers nor a stop change a bit of what corruption makes; few images
// come several times in an epoch.
func TestCorruptedTraining(t *testing.T) {
	data := stripes(6, 1, 16, 16)
	base := Settings{Epochs: 2, Batch: 4, Workers: 1}
	want := fit(t, corrupted, data, base)
	if want.Settings.Corruption != CorruptionStructured || want.Settings.Augment != AugmentAuto || want.Settings.Loss != "mse:10+ssim" {
		t.Errorf("got %+v, want the network's recipe", want.Settings)
	}
	s := base
	s.Workers = 3
	s.Checkpoint = filepath.Join(t.TempDir(), "c")
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	s.Progress = func(p Progress) {
		if steps++; p.Steps < leastSamples/base.Batch {
			t.Errorf("got %d steps in an epoch, want %d at least", p.Steps, leastSamples/base.Batch)
		}
		if steps == leastSamples/base.Batch+4 {
			cancel()
		}
	}
	s.Provider = "go"
	if _, err := Fit(ctx, corrupted, data, &s); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it to be cancelled", err)
	}
	s.Resume, s.Progress = true, nil
	if got := fit(t, corrupted, data, s); !sameWeights(got.Weights, want.Weights) || got.Calibration.Threshold != want.Calibration.Threshold {
		t.Error("resumed on other workers: the weights differ")
	}
	for name, edit := range map[string]func(*Settings){
		"no corruption":   func(s *Settings) { s.Corruption = CorruptionNone },
		"no augmentation": func(s *Settings) { s.Augment = AugmentNone },
		"another seed":    func(s *Settings) { s.Seed = 2 },
	} {
		s := base
		edit(&s)
		if sameWeights(fit(t, corrupted, data, s).Weights, want.Weights) {
			t.Errorf("%s: changes nothing", name)
		}
	}
}

// Without a number of epochs there are as many as show the recipe's number of images.
func TestRecipeSamples(t *testing.T) {
	// An epoch shows 188 of 209 images, 7 nineteen times.
	for _, c := range []struct{ n, epochs int }{{209, (24000 + 187) / 188}, {7, (24000 + 132) / 133}} {
		tr := newTrainer(corrupted, stripes(c.n, 1, 16, 16), nil)
		if got := tr.settings.Epochs; got != c.epochs {
			t.Errorf("%d images: got %d epochs, want %d", c.n, got, c.epochs)
		}
	}
}

func TestCorruptionErrors(t *testing.T) {
	for want, s := range map[string]Settings{
		`corruption: got "blur"`:                              {Corruption: "blur"},
		`augment: got "some"`:                                 {Augment: "some"},
		`augment: got "auto", want none without a corruption`: {Corruption: CorruptionNone, Augment: AugmentAuto},
	} {
		if err := s.Validate(corrupted); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an ErrSettings that says %q", err, want)
		}
	}
}
