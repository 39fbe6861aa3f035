package train

import (
	"errors"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
)

// The network features is chosen and sized by preset, number and aspect of the
// images; what is given stays.
func TestChoose(t *testing.T) {
	cached := true
	if _, err := Resources(models.Spec{Model: "features"}); err != nil {
		cached = false
	}
	for _, tt := range []struct {
		name          string
		spec          models.Spec
		preset        Preset
		images        int
		width, height int
		want          models.Spec // of it model, size, scales and rank
	}{
		{"features", models.Spec{Model: "features"}, Default, 100, 900, 900, models.Spec{Model: "features", Height: 384, Width: 384, Scales: 2, Rank: 16}},
		{"fast", models.Spec{Model: "features"}, Fast, 100, 900, 900, models.Spec{Model: "features", Height: 256, Width: 256, Scales: 1, Rank: 16}},
		{"best", models.Spec{Model: "features"}, Best, 100, 90, 90, models.Spec{Model: "features", Height: 512, Width: 512, Scales: 3, Rank: 16}},
		{"few", models.Spec{Model: "features"}, Fast, 19, 900, 900, models.Spec{Model: "features", Height: 512, Width: 512, Scales: 1, Rank: -1}},
		{"wide", models.Spec{Model: "features"}, Fast, 100, 640, 360, models.Spec{Model: "features", Height: 192, Width: 336, Scales: 1, Rank: 16}},
		{"far too wide", models.Spec{Model: "features"}, Fast, 100, 8000, 100, models.Spec{Model: "features", Height: 128, Width: 512, Scales: 1, Rank: 16}},
		{"given", models.Spec{Model: "features", Height: 128, Scales: 3, Rank: 5}, Best, 10, 100, 100, models.Spec{Model: "features", Height: 128, Width: 128, Scales: 3, Rank: 5}},
		{"another network", models.Spec{Model: "dcae", Height: 32}, Best, 10, 200, 100, models.Spec{Model: "dcae", Height: 32}},
		{"unet, fast", models.Spec{Model: "unet"}, Fast, 100, 900, 900, models.Spec{Model: "unet", Height: 64, Width: 64}},
		{"unet", models.Spec{Model: "unet"}, Default, 100, 900, 900, models.Spec{Model: "unet", Height: 128, Width: 128}},
		{"unet, best", models.Spec{Model: "unet"}, Best, 100, 900, 900, models.Spec{Model: "unet", Height: 192, Width: 192}},
		{"unet, given", models.Spec{Model: "unet", Height: 96, Width: 96}, Best, 100, 900, 900, models.Spec{Model: "unet", Height: 96, Width: 96}},
		{"auto", models.Spec{Model: Auto}, Default, 100, 900, 900, models.Spec{Model: "features", Height: 384, Width: 384, Scales: 2, Rank: 16}},
		{"auto, digits", models.Spec{Model: Auto}, Default, 100, 28, 28, models.Spec{Model: fromScratch, Height: 32, Width: 32}},
		{"auto, small", models.Spec{Model: Auto, Height: 32}, Default, 100, 900, 900, models.Spec{Model: fromScratch, Height: 32, Width: 32}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.spec.Model == Auto && tt.spec.Height == 0 && !cached {
				t.Skip("the backbones are not cached: make setup")
			}
			got, why, err := Choose(tt.spec, tt.preset, tt.images, tt.width, tt.height)
			if err != nil {
				t.Fatal(err)
			}
			if got.Model != tt.want.Model || got.Height != tt.want.Height || got.Width != tt.want.Width || got.Scales != tt.want.Scales || got.Rank != tt.want.Rank {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if (why != "") != (tt.spec.Model == Auto) || why != "" && !strings.Contains(why, tt.want.Model) {
				t.Errorf("got the reason %q", why)
			}
		})
	}
}

// A preset's samples are as many epochs as show them, whatever the batch; epochs that are given stay.
func TestPresetSamples(t *testing.T) {
	unet, dcae := network(models.Spec{Model: "unet", Height: 32}), network(models.Spec{Height: 32})
	for _, tt := range []struct {
		net          models.Network
		preset       Preset
		epochs, want int
	}{
		// 90 of 100 images twice an epoch: corrupted, an epoch shows 128 at least.
		{unet, Fast, 0, (8000 + 179) / 180},
		{unet, Best, 0, (60000 + 179) / 180},
		{unet, Best, 3, 3},
		{unet, "", 0, (24000 + 179) / 180}, // the network's own
		{dcae, Best, 0, 50},
	} {
		s := Settings{Epochs: tt.epochs, Samples: tt.preset.Samples(tt.net.Spec().Model)}
		if err := s.Validate(tt.net); err != nil {
			t.Fatal(err)
		}
		if got := newTrainer(tt.net, stripes(100, 3, 32, 32), &s).settings.Epochs; got != tt.want {
			t.Errorf("%s, preset %q: got %d epochs, want %d", tt.net.Spec().Model, tt.preset, got, tt.want)
		}
	}
}

// Without the backbone auto says so and what that costs; features is an error.
func TestChooseWithoutBackbone(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	got, why, err := Choose(models.Spec{Model: Auto}, Default, 50, 100, 100)
	if err != nil || got.Model != fromScratch || !strings.HasPrefix(why, ErrBackbone.Error()) || !strings.Contains(why, "finds less") {
		t.Errorf("got %+v, %q, %v", got, why, err)
	}
	if _, err := Resources(models.Spec{Model: "features"}); !errors.Is(err, ErrBackbone) {
		t.Errorf("got %v, want %v", err, ErrBackbone)
	}
}
