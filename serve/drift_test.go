package serve

import (
	"bytes"
	"fmt"
	"image"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// driftModel is a model that was trained on images of a brightness of about 0.5.
func driftModel(t *testing.T) []byte {
	t.Helper()
	net, err := models.Open(models.Spec{Height: side, Width: side, Filters: 8}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Build(net, net.Init(1), &onnxexport.Options{Threshold: .99})
	if err != nil {
		t.Fatal(err)
	}
	m.Metadata["anomaly.data.images"] = "100"
	m.Metadata["anomaly.normal.quantiles"] = `{"levels":[0,0.05,0.5,0.95,1],"brightness":[0.4,0.41,0.5,0.59,0.6],"sharpness":[0,0,0,0,0]}`
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDrift sends images that are as in training, then darker ones, then such as before.
func TestDrift(t *testing.T) {
	log := &logBuffer{}
	o := testOptions()
	o.Drift.Window, o.Logger = 20, log.logger()
	_, web, _ := newServer(t, o, func(dir string) { put(t, driftModel(t), dir, "part.onnx") })
	send := func(from, step uint8) {
		t.Helper()
		for i := range uint8(20) {
			img := image.NewGray(image.Rect(0, 0, side, side))
			for at := range img.Pix {
				img.Pix[at] = from + step*i
			}
			if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, img))); code != 200 {
				t.Fatalf("got %d %s", code, body)
			}
		}
	}
	check := func(when string, drifted bool, logged int) {
		t.Helper()
		value := 0
		if drifted {
			value = 1
		}
		_, metrics, _ := ask(t, "GET", web.URL+"/metrics", nil)
		for _, want := range []string{fmt.Sprintf(`anomaly_drift{model="part",quantity="brightness"} %d`, value), `anomaly_drift{model="part",quantity="sharpness"} 0`, "anomaly_drift_limit{", "anomaly_drift_distance{"} {
			if !strings.Contains(metrics, want) {
				t.Errorf("%s: the metrics lack %s", when, want)
			}
		}
		if n := strings.Count(log.String(), `"msg":"drift"`); n != logged {
			t.Errorf("%s: the log says drift %d times, want %d", when, n, logged)
		}
		_, body, _ := ask(t, "GET", web.URL+"/v1/models/part", nil)
		if !strings.Contains(body, `"quantity":"brightness","distance":`) || strings.Contains(body, `"drifted":true`) != drifted {
			t.Errorf("%s: got %s", when, body)
		}
	}
	send(104, 2) // about 0.41 to 0.56
	check("as in training", false, 0)
	send(80, 1)
	check("darker", true, 1)
	send(80, 1)
	check("still darker", true, 1)
	if !strings.Contains(log.String(), "darker than in training") {
		t.Error("the log does not say that it is darker")
	}
	send(104, 2)
	check("as before", false, 1)
	if !strings.Contains(log.String(), "drift has ended") {
		t.Error("the log does not say that it has ended")
	}
}
