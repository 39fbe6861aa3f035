package runtime

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

func TestBand(t *testing.T) {
	b, err := ParseBand("0.25:5e-1")
	if err != nil || b != (Band{.25, .5}) || b.String() != "0.25:0.5" {
		t.Errorf("got %v, %v", b, err)
	}
	for score, want := range map[float32]Verdict{-1: Accept, .25: Accept, math.Nextafter32(.25, 1): Review, .5: Review, math.Nextafter32(.5, 1): Reject} {
		if got := b.Verdict(score); got != want {
			t.Errorf("%v: got %q, want %q", score, got, want)
		}
	}
	for _, text := range []string{"", "1", ":", "1:", ":1", "2:1", "NaN:NaN", "0:Inf", "0:1e39", "a:b", "1:2:3"} {
		if b, err := ParseBand(text); !errors.Is(err, ErrInput) {
			t.Errorf("%q: got %v, %v, want an error", text, b, err)
		}
	}
}

// decisionModel has threshold and review band.
func decisionModel(t *testing.T, threshold float32, review string) []byte {
	return detectorModel(t, models.Spec{Height: 16, Filters: 2}, &onnxexport.Options{
		Threshold: threshold, Metadata: map[string]string{"review": review},
	})
}

func TestDetectorReview(t *testing.T) {
	f := func(x float32) *float32 { return &x }
	model := decisionModel(t, .5, "0.4:0.6")
	imgs := pictures(4)
	scores := detect(t, openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}}), imgs...)
	for _, c := range []struct {
		name string
		o    Options
		want *Band
	}{
		{"the model's", Options{}, &Band{.4, .6}},
		{"another", Options{Review: &Band{.1, .5}}, &Band{.1, .5}},
		{"none", Options{Review: &Band{}}, nil},
		{"another threshold", Options{Threshold: f(.5)}, nil},
		{"another threshold and band", Options{Threshold: f(1), Review: &Band{.9, 1.9}}, &Band{.9, 1.9}},
	} {
		c.o.Provider = Go
		d := openDetector(t, model, &c.o)
		if got := d.Info().Review; fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		for i, r := range detect(t, d, imgs...) {
			want := Good
			if r.Anomalous {
				want = Anomalous
			}
			if c.want != nil {
				want = c.want.Verdict(scores[i].Score)
			}
			if r.Verdict != want || r.Score != scores[i].Score || r.Anomalous != (r.Score > *r.Threshold) {
				t.Errorf("%s: score %v: got %q, anomalous %v, want %q", c.name, r.Score, r.Verdict, r.Anomalous, want)
			}
		}
	}
}

func TestDetectorMinArea(t *testing.T) {
	model := decisionModel(t, .5, "0:2")
	imgs := pictures(3)
	plain := detect(t, openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}}), imgs...)
	threshold := plain[0].Map.Peak(12)
	d := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}, MinArea: 12, Threshold: &threshold})
	for i, r := range detect(t, d, imgs...) {
		if want := plain[i].Map.Peak(12); r.Score != want || r.Anomalous != (want > threshold) || !slices.Equal(r.Map.Data, plain[i].Map.Data) {
			t.Errorf("image %d: got %v, anomalous %v, want %v", i, r.Score, r.Anomalous, want)
		}
	}
	if plain[0].Score <= threshold {
		t.Errorf("an area of 12 lowers no score: %v, %v", plain[0].Score, threshold)
	}
}

func TestDetectorZones(t *testing.T) {
	model := decisionModel(t, .5, "0.5:0.5")
	imgs := pictures(3)
	plain := detect(t, openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}}), imgs...)
	zones := &heatmap.Zones{Height: 2, Width: 2, Data: []uint8{0, 1, 2, 0}, Rules: map[uint8]heatmap.ZoneRule{1: {Ignore: true}, 2: {Threshold: .1}}}
	for i, r := range detect(t, openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}, Zones: zones}), imgs...) {
		var above bool
		var score float32
		for at, v := range plain[i].Map.Data {
			switch y, x := at/16/8, at%16/8; {
			case y == 0 && x == 1:
				v = 0
			case y == 1 && x == 0:
				above = above || v > .1
				v *= 5
			default:
				above = above || v > .5
			}
			score = max(score, v)
		}
		// The test's v*5 and the zones' v*.5/.1 round differently.
		const rounding = 1e-6
		if math.Abs(float64(r.Score-score)) > rounding || r.Score != r.Map.Max() || r.Anomalous != above {
			t.Errorf("image %d: got %v, anomalous %v, want %v, %v", i, r.Score, r.Anomalous, score, above)
		}
		if want := (Band{.5, .5}).Verdict(r.Score); r.Verdict != want {
			t.Errorf("image %d: got %q, want %q", i, r.Verdict, want)
		}
	}
}

func TestDecisionErrors(t *testing.T) {
	good, bare := decisionModel(t, .5, "0.4:0.6"), decisionModel(t, 0, "0:0.1")
	own := &heatmap.Zones{Height: 1, Width: 1, Data: []uint8{0}, Rules: map[uint8]heatmap.ZoneRule{0: {Threshold: 1}}}
	zero := float32(0)
	for _, c := range []struct {
		name  string
		model []byte
		o     Options
		want  error
		text  string
	}{
		{"band without the threshold", good, Options{Review: &Band{.1, .4}}, ErrInput, "got 0.1:0.4, want one that holds the threshold 0.5"},
		{"descending band", good, Options{Review: &Band{.6, .4}}, ErrInput, "ascending"},
		{"infinite band", good, Options{Review: &Band{.4, float32(math.Inf(1))}}, ErrInput, "finite"},
		{"the model's band without its threshold", decisionModel(t, .5, "0.1:0.4"), Options{}, ErrModel, "anomaly.review"},
		{"the model's band", decisionModel(t, .5, "high"), Options{}, ErrModel, `"high"`},
		{"area", good, Options{MinArea: 257}, ErrInput, "got 257 pixels, want at most the map's 256"},
		{"negative area", good, Options{MinArea: -1}, ErrInput, "got -1"},
		{"zones without pixels", good, Options{Zones: &heatmap.Zones{Height: 2, Width: 2}}, ErrInput, "got 0 pixels, want 2x2"},
		{"zone thresholds without a threshold", bare, Options{Zones: own}, ErrInput, "want a threshold above 0"},
		{"zone thresholds with threshold 0", good, Options{Zones: own, Threshold: &zero}, ErrInput, "want a threshold above 0"},
	} {
		c.o.Provider = Go
		if d, err := OpenBytes(c.model, &c.o); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || d != nil {
			t.Errorf("%s: got %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
	// A band needs no threshold.
	if r := detect(t, openDetector(t, bare, &Options{SessionOptions: SessionOptions{Provider: Go}}), pictures(1)...); r[0].Verdict == "" || r[0].Threshold != nil {
		t.Errorf("got %+v", r[0])
	}
}
