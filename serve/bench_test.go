package serve

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/runtime"
)

// benchModel returns a model of 128×128 pixels and a PNG of 640×480.
func benchModel(b *testing.B) (model, file []byte) {
	b.Helper()
	net, err := models.Open(models.Spec{Height: 128, Width: 128, Filters: 16}, nil)
	if err != nil {
		b.Fatal(err)
	}
	m, err := onnxexport.Build(net, net.Init(1), &onnxexport.Options{Threshold: 1})
	if err == nil {
		model, err = onnxexport.Marshal(m)
	}
	if err != nil {
		b.Fatal(err)
	}
	return model, pngBytes(b, testImage(1, 640, 480))
}

// BenchmarkRequest compares an image that is sent with the same one decoded and
// given to Detect by a program, in turns, for machines have other work: the medians,
// and what part of its time a request costs more.
func BenchmarkRequest(b *testing.B) {
	model, file := benchModel(b)
	o := testOptions()
	o.Detector.Provider = runtime.Auto
	det, err := runtime.OpenBytes(model, &o.Detector)
	if err != nil {
		b.Fatal(err)
	}
	defer det.Close()
	_, web, _ := newServer(b, o, func(dir string) { put(b, model, dir, "part.onnx") })
	detect := func() {
		img, _, err := imageio.Decode(bytes.NewReader(file), nil)
		if err == nil {
			_, err = det.Detect(b.Context(), img)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	request := func() {
		a, err := http.Post(web.URL+"/v1/models/part/images", "image/png", bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, a.Body)
		a.Body.Close()
		if a.StatusCode != http.StatusOK {
			b.Fatalf("got %d", a.StatusCode)
		}
	}
	var took [2][]float64 // ms
	for b.Loop() {
		for i, f := range []func(){detect, request} {
			began := time.Now()
			f()
			took[i] = append(took[i], float64(time.Since(began))/1e6)
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	d, r := took[0][len(took[0])/2], took[1][len(took[1])/2]
	b.ReportMetric(d, "detect-ms")
	b.ReportMetric(r, "request-ms")
	b.ReportMetric(r/d, "ratio")
}
