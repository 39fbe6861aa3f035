package runtime

import (
	"image"
	"math"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// unlikeModel is one of 16x16 grey images whose metadata say that it was trained on
// images of 160x120, of a brightness of .4 to .5 and a sharpness of .01 to .02.
func unlikeModel(t *testing.T) []byte {
	t.Helper()
	return detectorModel(t, models.Spec{Channels: 1, Height: 16, Width: 16, Filters: 2, Depth: 1}, &onnxexport.Options{Threshold: 1.9, Metadata: map[string]string{
		"data.size":        "160x120",
		"normal.quantiles": `{"levels":[0,0.05,0.5,0.95,1],"score":[0,0,0,0,0],"brightness":[0.4,0.41,0.45,0.49,0.5],"sharpness":[0.01,0.011,0.015,0.019,0.02]}`,
	}})
}

// scene is an image of a mean level in [0,1], with a chequered pattern of a contrast.
func scene(width, height int, level, contrast float64) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			v := level
			if (x*16/width+y*16/height)%2 == 0 {
				v += contrast
			} else {
				v -= contrast
			}
			img.Pix[y*img.Stride+x] = uint8(255 * min(max(v, 0), 1))
		}
	}
	return img
}

// TestUnlike provokes each way in which an image may be unlike those of the training,
// and holds that usual images, and small defects on them, are none.
func TestUnlike(t *testing.T) {
	det, err := OpenBytes(unlikeModel(t), &Options{SessionOptions: SessionOptions{Provider: Go}})
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	scratched := scene(160, 120, .45, .02)
	for x := range 160 {
		scratched.Pix[60*scratched.Stride+x] = 255
	}
	for _, test := range []struct {
		what string
		img  *image.Gray
		want []string
	}{
		{"as usual", scene(160, 120, .45, .02), nil},
		{"as the brightest", scene(160, 120, .5, .02), nil},
		{"with a scratch", scratched, nil},
		{"half as many pixels again", scene(192, 144, .45, .02), nil},
		{"darker", scene(160, 120, .2, .02), []string{"darker than the training images (0.198, expected 0.32 to 0.58)"}},
		{"brighter", scene(160, 120, .8, .02), []string{"brighter than"}},
		{"flat", scene(160, 120, .45, 0), []string{"more blurred than"}},
		{"noisy", scene(160, 120, .45, .2), []string{"sharper or noisier than"}},
		{"turned", scene(120, 160, .45, .02), []string{"of another aspect than the training images (120x160, usual 160x120)"}},
		{"small", scene(80, 60, .45, .02), []string{"of another size than"}},
		{"large", scene(320, 240, .45, .02), []string{"of another size than"}},
		{"small, dark and flat", scene(80, 60, .1, 0), []string{"darker", "more blurred", "of another size"}},
	} {
		results, err := det.Detect(t.Context(), test.img)
		if err != nil {
			t.Fatal(err)
		}
		got := results[0].Unlike
		if len(got) != len(test.want) {
			t.Errorf("%s: got %q, want %q", test.what, got, test.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], test.want[i]) {
				t.Errorf("%s: got %q, want %q", test.what, got, test.want)
			}
		}
	}
	info := det.Info()
	if got := info.UnlikeSize(image.Pt(120, 160)); len(got) != 1 {
		t.Errorf("UnlikeSize: got %q", got)
	}
}

// What is anomalous over more than half of its area is another product.
func TestUnlikeArea(t *testing.T) {
	known, threshold := usual{brightness: [2]float64{0, 1}}, float32(.5)
	m := &heatmap.Map{Data: []float32{1, 1, .5, 0}, Height: 2, Width: 2}
	if got := known.area(m, &threshold); got != nil {
		t.Errorf("half of it: got %q", got)
	}
	m.Data[2] = .6
	if got := known.area(m, &threshold); len(got) != 1 || !strings.Contains(got[0], "75 % of it is anomalous") {
		t.Errorf("three quarters: got %q", got)
	}
	nan := [2]float64{math.NaN(), math.NaN()}
	for what, got := range map[string][]string{
		"model of another tool": (&usual{brightness: nan}).area(m, &threshold),
		"no threshold":          known.area(m, nil),
		"no map":                known.area(nil, &threshold),
	} {
		if got != nil {
			t.Errorf("%s: got %q", what, got)
		}
	}
}

// A threshold that is asked for does not make images unlike those of the training:
// calibrate asks for one that all of an image is above.
func TestUnlikeAreaOtherThreshold(t *testing.T) {
	low := float32(-1)
	det, err := OpenBytes(unlikeModel(t), &Options{SessionOptions: SessionOptions{Provider: Go}, Threshold: &low})
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	results, err := det.Detect(t.Context(), scene(160, 120, .45, .02))
	if err != nil {
		t.Fatal(err)
	}
	if r := results[0]; !r.Anomalous || len(r.Unlike) > 0 {
		t.Errorf("got anomalous %v, unlike %q; want true and nothing", r.Anomalous, r.Unlike)
	}
}

// Nor does one that was set anew in the file, from other images or by hand.
func TestUnlikeAreaCalibrated(t *testing.T) {
	for calibration, want := range map[string]int{`{"rule":"given","trained":1.9}`: 0, `{"rule":"given","trained":null}`: 1, "": 1} {
		metadata := map[string]string{"data.size": "160x120", "normal.quantiles": `{"levels":[0,0.05,0.5,0.95,1],"brightness":[0.4,0.41,0.45,0.49,0.5],"sharpness":[0.01,0.011,0.015,0.019,0.02]}`}
		if calibration != "" {
			metadata["calibration"] = calibration
		}
		model := detectorModel(t, models.Spec{Channels: 1, Height: 16, Width: 16, Filters: 2, Depth: 1}, &onnxexport.Options{Threshold: 1e-9, Metadata: metadata})
		det, err := OpenBytes(model, &Options{SessionOptions: SessionOptions{Provider: Go}})
		if err != nil {
			t.Fatal(err)
		}
		defer det.Close()
		results, err := det.Detect(t.Context(), scene(160, 120, .45, .02))
		if err != nil {
			t.Fatal(err)
		}
		if got := results[0].Unlike; len(got) != want {
			t.Errorf("%s: got %q, want %d", calibration, got, want)
		}
	}
}

// What nothing is known of is not called unlike.
func TestUnlikeUnknown(t *testing.T) {
	for _, metadata := range []map[string]string{
		nil,
		{"anomaly.normal.quantiles": "rubbish", "anomaly.data.size": "x"},
		{"anomaly.normal.quantiles": `{"levels":[0,1],"brightness":[0.4],"sharpness":[]}`, "anomaly.data.size": "-1x5"},
	} {
		u := readUsual(metadata)
		if look, got := u.pixels(make([]uint8, 16), 4, 4, 1); look != nil || got != nil || !math.IsNaN(u.brightness[0]) {
			t.Errorf("%v: got %q", metadata, got)
		}
		if got := unlikeSize(u.size, image.Pt(1, 1000)); got != nil {
			t.Errorf("%v: got %q", metadata, got)
		}
	}
}
