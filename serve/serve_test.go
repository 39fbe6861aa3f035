package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/runtime"
)

// side is that of the test models' images.
const side = 32

// modelBytes returns the file of a network of random weights, whose threshold is
// passed by some of the test images.
var modelBytes = func() func(t testing.TB, seed uint64) []byte {
	var mu sync.Mutex
	cache := map[uint64][]byte{}
	return func(t testing.TB, seed uint64) []byte {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if cache[seed] == nil {
			spec := models.Spec{Height: side, Width: side, Filters: 8}
			net, err := models.Open(spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			m, err := onnxexport.Build(net, net.Init(seed), &onnxexport.Options{Threshold: .99})
			if err != nil {
				t.Fatal(err)
			}
			if cache[seed], err = onnxexport.Marshal(m); err != nil {
				t.Fatal(err)
			}
		}
		return cache[seed]
	}
}()

// put writes a file by renaming, its folder made.
func put(t testing.TB, b []byte, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".new", b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// testImage returns a picture, another one for every n.
func testImage(n, width, height int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(x*x*(n+1)/8 + 3*y), uint8(x * y / 4), uint8(40 * n), 255})
		}
	}
	return img
}

func pngBytes(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// testOptions are quick, on the provider that is everywhere, and open.
func testOptions() *Options {
	o := &Options{Interval: 10 * time.Millisecond, DrainDelay: 10 * time.Millisecond, OpenAdmin: true}
	o.Detector.Provider = runtime.Go
	return o
}

// newServer serves a repository with model "part" at its root, or what prepare puts
// there.
func newServer(t testing.TB, o *Options, prepare func(dir string)) (*Server, *httptest.Server, string) {
	t.Helper()
	dir := t.TempDir()
	if prepare == nil {
		put(t, modelBytes(t, 1), dir, "part.onnx")
	} else {
		prepare(dir)
	}
	s, err := New(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() { web.Close(); s.Close() })
	return s, web, dir
}

// serving serves on addresses of its own until the test ends.
func serving(t *testing.T, s *Server) (web, rpc string) {
	t.Helper()
	var listeners [2]net.Listener
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners[i] = l
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- s.Serve(ctx, listeners[0], listeners[1]) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return listeners[0].Addr().String(), listeners[1].Addr().String()
}

// ask sends a request and returns status and body.
func ask(t testing.TB, method, url string, body io.Reader, headers ...string) (int, string, http.Header) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b), a.Header
}

// eventually waits for something that a watch does.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s did not come", what)
}

func unmarshal[T any](t testing.TB, body string) T {
	t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// want is what the detector itself says of an image.
func want(t testing.TB, model []byte, img image.Image) runtime.Result {
	t.Helper()
	o := testOptions().Detector
	det, err := runtime.OpenBytes(model, &o)
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	r, err := det.Detect(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	return r[0]
}

func TestImages(t *testing.T) {
	_, web, _ := newServer(t, testOptions(), nil)
	url := web.URL + "/v1/models/part/images"
	img := testImage(0, 50, 40)
	expected := want(t, modelBytes(t, 1), img)

	code, body, header := ask(t, "POST", url, bytes.NewReader(pngBytes(t, img)), "X-Request-Id", "abc-1")
	if code != 200 || header.Get("X-Request-Id") != "abc-1" {
		t.Fatalf("got %d %s, want 200", code, body)
	}
	f := unmarshal[judge.Finding](t, body)
	if f.Score != expected.Score || *f.Threshold != *expected.Threshold || *f.Anomalous != expected.Anomalous || f.Model != expected.Model[:runtime.HashDigits] {
		t.Errorf("got %+v, want what the detector says: %+v", f, expected)
	}
	for _, r := range f.Regions {
		if !image.Rect(r.X, r.Y, r.X+r.W, r.Y+r.H).In(image.Rect(0, 0, 50, 40)) {
			t.Errorf("region %+v lies outside the image of 50x40", r)
		}
	}
	if expected.Anomalous != (len(f.Regions) > 0) {
		t.Errorf("got %d regions of an image whose verdict is %v", len(f.Regions), expected.Anomalous)
	}

	form, kind := multipartForm(t, map[string][]byte{"a.png": pngBytes(t, img), "../b.png": []byte("no image")}, "a.png", "../b.png")
	code, body, _ = ask(t, "POST", url, form, "Content-Type", kind)
	items := unmarshal[[]map[string]any](t, body)
	if code != 200 || len(items) != 2 || items[0]["path"] != "a.png" || float32(items[0]["score"].(float64)) != expected.Score {
		t.Errorf("form: got %d %s", code, body)
	} else if items[1]["path"] != "b.png" || !strings.Contains(fmt.Sprint(items[1]["error"]), "neither PNG") {
		t.Errorf("form: second item: got %v, want an error", items[1])
	}

	for _, draw := range []string{drawOverlay, drawHeatmap} {
		code, body, header = ask(t, "POST", url+"?draw="+draw, bytes.NewReader(pngBytes(t, img)), "Accept", "image/png")
		drawn, err := png.Decode(strings.NewReader(body))
		if code != 200 || err != nil || drawn.Bounds() != img.Bounds() || header.Get("Anomaly-Verdict") == "" {
			t.Errorf("%s: got %d, %v, verdict %q; want a picture of the image's size", draw, code, err, header.Get("Anomaly-Verdict"))
		}
		alone := body
		code, body, _ = ask(t, "POST", url+"?draw="+draw, bytes.NewReader(pngBytes(t, img)))
		with := unmarshal[map[string]any](t, body)
		if b, err := base64.StdEncoding.DecodeString(fmt.Sprint(with["picture"])); code != 200 || err != nil || string(b) != alone || with["score"] == nil {
			t.Errorf("%s in JSON: got %d, %v, want the finding and the same picture", draw, code, err)
		}
	}
	// A scale of one's own: of residuals that all lie below it, black; above it, the last colour.
	seen := map[string]bool{}
	for heat, brightness := range map[string]func(color.Color) bool{
		"10:11": func(c color.Color) bool { r, g, b, _ := c.RGBA(); return r+g+b < 0x1000 },
		"-2:-1": func(c color.Color) bool { r, _, _, _ := c.RGBA(); return r > 0xf000 },
	} {
		code, body, _ = ask(t, "POST", url+"?draw=heatmap&heat="+heat, bytes.NewReader(pngBytes(t, img)), "Accept", "image/png")
		drawn, err := png.Decode(strings.NewReader(body))
		if code != 200 || err != nil || !brightness(drawn.At(20, 20)) {
			t.Errorf("heat=%s: got %d, %v", heat, code, err)
		}
		seen[body] = true
	}
	if len(seen) != 2 {
		t.Error("the scale of the colours makes no difference")
	}
}

func TestErrors(t *testing.T) {
	o := testOptions()
	o.MaxBody, o.MaxPixels, o.MaxImages = 100_000, 10_000, 2
	_, web, _ := newServer(t, o, nil)
	small := pngBytes(t, testImage(0, 40, 40))
	form := func(names ...string) (string, string) {
		files := map[string][]byte{}
		for _, n := range names {
			files[n] = small
		}
		b, kind := multipartForm(t, files, names...)
		return b.String(), kind
	}
	two, twoKind := form("a.png", "b.png")
	three, kind := form("a.png", "b.png", "c.png")
	const images, infer = "/v1/models/part/images", "/v2/models/part/infer"
	tests := []struct {
		name, method, path, body string
		code                     int
		want                     string
		headers                  []string
	}{
		{"no model", "POST", "/v1/models/other/images", string(small), 404, `no model "other"`, nil},
		{"another method", "PUT", images, "", 405, "want POST", nil},
		{"another path", "GET", "/etc/passwd", "", 404, "there is no", nil},
		{"traversal", "POST", "/v1/models/..%2f..%2fetc/images", "x", 404, "no model", nil},
		{"header in a name", "POST", "/v1/models/a%0d%0aX:%20b/images", "x", 404, `a\r\nX: b`, nil},
		{"nothing", "POST", images, "", 400, "no image", nil},
		{"no image", "POST", images, "hello", 415, "neither PNG", nil},
		{"half an image", "POST", images, string(small[:len(small)/2]), 400, "not enough pixel data", nil},
		{"too many pixels", "POST", images, string(pngBytes(t, testImage(0, 101, 100))), 413, "too large", nil},
		{"too many bytes", "POST", images, strings.Repeat("x", 100_001), 413, "too large", nil},
		{"compressed", "POST", images, string(small), 415, "Content-Encoding", []string{"Content-Encoding", "gzip"}},
		{"too many images", "POST", images, three, 400, "at most 2", []string{"Content-Type", kind}},
		{"form without boundary", "POST", images, three, 400, "boundary", []string{"Content-Type", "multipart/form-data"}},
		{"bad content type", "POST", images, "x", 415, "Content-Type", []string{"Content-Type", ";;"}},
		{"two drawn", "POST", images, two, 400, "want 1 to be drawn", []string{"Content-Type", twoKind, "Accept", "image/png"}},
		{"draw what", "POST", images + "?draw=cat", string(small), 400, "overlay", nil},
		{"heat of what", "POST", images + "?heat=0:1", string(small), 400, "draw=heatmap", nil},
		{"heat from what", "POST", images + "?draw=heatmap&heat=1:0", string(small), 400, "LO:HI", nil},
		{"another version", "POST", images + "?version=7", string(small), 404, "version", nil},

		{"no JSON", "POST", infer, "{", 400, "JSON", nil},
		{"no inputs", "POST", infer, "{}", 400, "0 inputs", nil},
		{"input of another name", "POST", infer, `{"inputs":[{"name":"x","datatype":"UINT8","shape":[1],"data":[1]}]}`, 400, `input "x"`, nil},
		{"input of another type", "POST", infer, `{"inputs":[{"name":"input","datatype":"FP32","shape":[1],"data":[1]}]}`, 400, "FP32", nil},
		{"too few values", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,32,32,3],"data":[1,2]}]}`, 400, "got 2 values", nil},
		{"another size", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,1,2,1],"data":[1,2]}]}`, 400, "want [1 32 32 3]", nil},
		{"negative shape", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[-1,-2],"data":[1,2]}]}`, 400, "shape", nil},
		{"overflowing shape", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[4294967296,4294967296,2],"data":[]}]}`, 400, "shape", nil},
		{"empty batch", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[0,32,32,3],"data":[]}]}`, 400, "got 0 images", nil},
		{"value", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1],"data":[256]}]}`, 400, "0 to 255", nil},
		{"fraction", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1],"data":[1.5]}]}`, 400, "0 to 255", nil},
		{"text", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1],"data":["[1]"]}]}`, 400, "0 to 255", nil},
		{"no base64", "POST", infer, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["%"]}]}`, 400, "base64", nil},
		{"output", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,1],"data":[1]}],"outputs":[{"name":"cat"}]}`, 400, `no output "cat"`, nil},
		{"output twice", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1],"data":[1]}],"outputs":[{"name":"a"},{"name":"a"}]}`, 400, "twice", nil},
		{"length beyond the body", "POST", infer, `{}`, 400, "at most", []string{headerLength, "999"}},
		{"length is none", "POST", infer, `{}`, 400, headerLength, []string{headerLength, "-1"}},
		{"bytes behind JSON", "POST", infer, `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1],"data":[1]}]}xyz`, 400, "3 bytes", []string{headerLength, "71"}},
		{"element beyond the tensor", "POST", infer, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}]}` + "\xff\xff\xff\xffx", 400, "longer than what is left", []string{headerLength, "96"}},
		{"load with a file", "POST", "/v2/repository/models/part/load", `{"parameters":{"file:1/model.onnx":"AAAA"}}`, 400, "no parameters", nil},
		{"load what is not there", "POST", "/v2/repository/models/other/load", "", 404, "no model", nil},
		{"use of a plain file", "POST", "/v1/models/part/use", `{"version":"1"}`, 409, "plain file", nil},
		{"roll back to nothing", "POST", "/v1/models/part/rollback", "", 409, "no earlier model", nil},
		{"no shadow", "DELETE", "/v1/models/part/shadow", "", 409, "no shadow", nil},
		{"large JSON", "POST", "/v2/repository/index", `{"x":"` + strings.Repeat("x", 70_000) + `"}`, 413, "too large", nil},
		{"another site's page", "POST", images, string(small), 403, "cross-origin", []string{"Sec-Fetch-Site", "cross-site"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, body, header := ask(t, tt.method, web.URL+tt.path, strings.NewReader(tt.body), tt.headers...)
			if code != tt.code || !strings.Contains(body, strings.Trim(fmt.Sprintf("%q", tt.want), `"`)) && !strings.Contains(body, tt.want) {
				t.Errorf("got %d %s, want %d and %q", code, body, tt.code, tt.want)
			}
			if header.Get("X") != "" {
				t.Errorf("a header was injected: %v", header)
			}
		})
	}
}

// TestBatches has two requests wait for each other: they are computed at once.
func TestBatches(t *testing.T) {
	o := testOptions()
	o.Detector.Batch, o.Detector.BatchWindow = 2, time.Hour
	_, web, _ := newServer(t, o, nil)
	var both sync.WaitGroup
	for i := range 2 {
		both.Go(func() {
			if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(i, side, side)))); code != 200 {
				t.Errorf("got %d %s", code, body)
			}
		})
	}
	both.Wait()
	_, given, _ := ask(t, "GET", web.URL+"/metrics", nil)
	for _, want := range []string{`anomaly_request_images_count{model="part"} 2`, `anomaly_batch_images_count{model="part"} 1`, `anomaly_batch_images_sum{model="part"} 2`} {
		if !strings.Contains(given, "\n"+want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// logBuffer is a log to look at.
type logBuffer struct{ testenv.Buffer }

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
