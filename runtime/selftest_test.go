package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// selfTested is a model with its self-test, whose weights are large enough to
// matter: an untrained network gives nearly one grey.
func selfTested(t testing.TB, spec models.Spec, seed uint64, o *onnxexport.Options) []byte {
	t.Helper()
	net := network(t, spec)
	weights := net.Init(seed)
	for name, w := range weights {
		if strings.HasSuffix(name, ".w") || len(w.Shape()) == 4 {
			for i := range graph.Data[float32](w) {
				graph.Data[float32](w)[i] *= 3
			}
		}
	}
	return stamped(t, net, weights, o)
}

func stamped(t testing.TB, net onnxexport.Network, weights map[string]*graph.Tensor, o *onnxexport.Options) []byte {
	t.Helper()
	m, err := onnxexport.Build(net, weights, o)
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	self, err := openDetector(t, b, &Options{SessionOptions: SessionOptions{Provider: Go}, Batch: 1}).SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(m.Metadata, self.Metadata())
	if b, err = onnxexport.Marshal(m); err != nil {
		t.Fatal(err)
	}
	return b
}

// The pixels are part of the format: files hold scores of them.
func TestPattern(t *testing.T) {
	pix := pattern(40, 30, 3)
	sum := sha256.Sum256(pix)
	const want = "a367a223e0b8eee3" // as the formula in another language gives
	if got := hex.EncodeToString(sum[:8]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	grey := pattern(40, 30, 1)
	for i, v := range grey {
		if v != pix[3*i] {
			t.Fatalf("grey pixel %d: got %d, want channel 0's %d", i, v, pix[3*i])
		}
	}
}

func TestVerify(t *testing.T) {
	spec := models.Spec{Height: 24, Width: 16, Filters: 4}
	threshold := float32(.1)
	for name, o := range map[string]*onnxexport.Options{
		"detector":       {Threshold: 1},
		"float input":    {Input: onnxexport.FloatNCHW, Map: residual.Options{Kind: residual.L2Map}},
		"reconstruction": {Profile: onnxexport.Reconstruction},
	} {
		model := selfTested(t, spec, 1, o)
		each(t, func(t *testing.T, provider Provider) {
			for _, options := range []*Options{
				{SessionOptions: SessionOptions{Provider: provider}},
				{SessionOptions: SessionOptions{Provider: provider}, Batch: 3, Threshold: &threshold, MinArea: 9, Map: residual.Options{Kind: residual.L1Map, Blur: 2}},
			} {
				d := openDetector(t, model, options)
				if tested, err := d.Verify(t.Context()); !tested || err != nil {
					t.Errorf("%s: got %v, %v, want true", name, tested, err)
				}
			}
		})
		// A fifth of the numbers of the first filters set to others.
		damaged := edit(t, model, func(g *onnxpb.GraphProto) {
			for _, w := range g.Initializer {
				if len(w.GetDims()) == 4 {
					for i := 3; i < len(w.RawData); i += 20 { // the byte with the exponent
						w.RawData[i] ^= 2
					}
					return
				}
			}
		})
		d := openDetector(t, damaged, &Options{SessionOptions: SessionOptions{Provider: Go}})
		if tested, err := d.Verify(t.Context()); !tested || !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "self-test") {
			t.Errorf("%s, damaged: got %v, %v, want ErrModel of the self-test", name, tested, err)
		}
	}
}

func TestVerifyMetadata(t *testing.T) {
	model := selfTested(t, models.Spec{Height: 16, Filters: 4}, 1, nil)
	with := func(key, value string) []byte {
		return editModel(t, model, func(p *onnxpb.ModelProto) {
			for _, e := range p.MetadataProps {
				if e.GetKey() == key {
					e.Value = &value
				}
			}
		})
	}
	tests := []struct {
		name   string
		model  []byte
		tested bool
		err    string
	}{
		{"as it was written", model, true, ""},
		{"none", detectorModel(t, models.Spec{Height: 16, Filters: 4}, nil), false, ""},
		{"image of a later version", with(onnx.KeySelfTestImage, "pattern-2"), false, ""},
		{"score that is none", with(onnx.KeySelfTestScore, "x"), false, `anomaly.selftest.score: got "x"`},
		{"other score", with(onnx.KeySelfTestScore, "0.1"), true, "score of image pattern-1"},
		{"other mean", with(onnx.KeySelfTestMean, "0.1"), true, "mean residual of image pattern-1"},
	}
	for _, tt := range tests {
		d := openDetector(t, tt.model, &Options{SessionOptions: SessionOptions{Provider: Go}})
		tested, err := d.Verify(t.Context())
		if tested != tt.tested || (err == nil) != (tt.err == "") || err != nil && (!errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v, %v, want %v, %q", tt.name, tested, err, tt.tested, tt.err)
		}
	}
}

// What a reconstruction is measured by, against the steps it is made of.
func TestSelfTestReconstruction(t *testing.T) {
	model := detectorModel(t, models.Spec{Height: 16, Width: 24, Filters: 4}, &onnxexport.Options{Profile: onnxexport.Reconstruction})
	got, err := openDetector(t, model, &Options{SessionOptions: SessionOptions{Provider: Go}}).SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pix := pattern(16, 24, 3)
	out, err := openTest(t, model, &SessionOptions{Provider: Go}).Run(t.Context(), map[string]*graph.Tensor{"input": graph.NewTensor(pix, 1, 16, 24, 3)})
	if err != nil {
		t.Fatal(err)
	}
	y := graph.Data[float32](out["reconstruction"])
	var most, sum float64
	for at := range 16 * 24 {
		for c := range 3 {
			d := math.Abs(float64(y[c*16*24+at]) - float64(pix[3*at+c])/255)
			most, sum = max(most, d), sum+d
		}
	}
	if mean := sum / float64(len(pix)); math.Abs(float64(got.Score)-most) > 1e-6 || math.Abs(float64(got.Mean)-mean) > 1e-6 {
		t.Errorf("got %+v, want score %v and mean %v", got, most, mean)
	}
}
