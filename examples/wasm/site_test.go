//go:build !js

package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/anomaly-go/anomaly/internal/testenv/chromium"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// modelBytes returns an untrained network.
func modelBytes(t testing.TB, spec models.Spec, threshold float32) []byte {
	t.Helper()
	net, err := models.Open(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxexport.Build(net, net.Init(1), &onnxexport.Options{Threshold: threshold})
	if err != nil {
		t.Fatal(err)
	}
	b, err := onnxexport.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testImage draws by arithmetic.
func testImage(n, width, height int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.SetRGBA(x, y, color.RGBA{uint8(x*x*(n+1)/8 + 3*y), uint8(x * y / 4), uint8(40 * n), 255})
		}
	}
	return img
}

// here is what the page must say and show, computed on this machine.
func here(t *testing.T, model []byte, img image.Image) *finding {
	t.Helper()
	det, err := open(model)
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	f, err := look(det, img)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A browser is the page in a headless Chromium.
type browser struct {
	*testing.T
	ctx context.Context
	url string
}

// openSite opens the page of a folder, and skips the test where there is no Chromium.
func openSite(t *testing.T, dir string) browser {
	t.Helper()
	ctx := chromium.Open(t, chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.WindowSize(1280, 900))
	server := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(server.Close)
	b := browser{t, ctx, server.URL + "/"}
	b.do(chromedp.Navigate(b.url))
	return b
}

func (b browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b browser, expression string) T {
	b.Helper()
	return chromium.Eval[T](b, b.ctx, expression)
}

// patience is how long anything in the page may take, on a machine that has much else to do.
const patience = 3 * time.Minute

// call has the browser do a command of its protocol.
func call[P, R any](b browser, command cdp.Command[P, R], params P) (result R) {
	b.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) (err error) {
		result, err = cdp.Call(ctx, target, command, params)
		return err
	}))
	return result
}

// until waits for a condition in JavaScript.
func (b browser) until(condition string) {
	b.Helper()
	for began := time.Now(); !eval[bool](b, "!!("+condition+")"); {
		if time.Since(began) > patience {
			b.Fatalf("%s never comes; the page says\n%s", condition, eval[string](b, `document.body.innerText`))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// give gives the page files, as who chooses them does.
func (b browser) give(paths ...string) {
	b.Helper()
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#files"), paths))
}

func (b browser) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}

// canvas returns the picture of a result's tile.
func (b browser) canvas(result, tile int) image.Image {
	b.Helper()
	url := eval[string](b, fmt.Sprintf(`document.querySelectorAll('#results li')[%d].querySelectorAll('canvas')[%d].toDataURL()`, result, tile))
	file, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(url, "data:image/png;base64,"))
	if err != nil {
		b.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		b.Fatal(err)
	}
	return img
}

func write(t *testing.T, path string, b []byte) string {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func writePNG(t *testing.T, path string, img image.Image) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return write(t, path, b.Bytes())
}

// scoreStep and colourStep are how far a score and a channel of a pixel may be from those of this
// machine, whose kernels add in another order: scores differ in their sixth digit, of which
// the page shows four, and colours by rounding.
const (
	scoreStep  = 1.5e-3
	colourStep = 2
)

// scoreIn returns the score in what is said of an image.
func scoreIn(t *testing.T, said string) (score float64) {
	t.Helper()
	_, after, _ := strings.Cut(said, "score ")
	if _, err := fmt.Sscanf(after, "%g", &score); err != nil {
		t.Fatalf("got %q, want a score: %v", said, err)
	}
	return score
}

func TestPage(t *testing.T) {
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	spec := models.Spec{Height: 32, Width: 32, Filters: 8}
	images := []image.Image{testImage(0, 60, 40), testImage(1, 60, 40), testImage(2, 60, 40)}
	const threshold = 1.08 // between their scores
	model := modelBytes(t, spec, threshold)
	if err := build(t.Context(), site, write(t, filepath.Join(dir, "part.onnx"), model)); err != nil {
		t.Fatal(err)
	}
	b := openSite(t, site)
	b.until(`state.innerText === 'model.onnx, 32×32'`)

	var files []string
	for i, img := range images {
		files = append(files, writePNG(t, filepath.Join(dir, fmt.Sprintf("%d.png", i)), img))
	}
	b.give(append(files, write(t, filepath.Join(dir, "broken.png"), []byte("no picture")))...)
	b.until(`results.children.length === 4 && !document.querySelector('.waiting')`)
	if got := b.text("#results li"); !strings.HasPrefix(got, "failed") || !strings.Contains(got, "broken.png") {
		t.Errorf("a file that is no picture: got %q", got)
	}
	verdicts := map[string]bool{}
	for i, img := range images {
		row := len(images) - i // the newest is first
		want := here(t, model, img)
		verdicts[want.verdict] = true
		got := b.text(fmt.Sprintf("#results li:nth-child(%d)", row+1))
		if !strings.HasPrefix(got, want.verdict+" score ") || !strings.Contains(got, filepath.Base(files[i])) || len(want.tiles) != len(tileNames) {
			t.Errorf("image %d: got %q, want %q, %q and %d tiles", i, got, want.verdict, filepath.Base(files[i]), len(tileNames))
		}
		if score := scoreIn(t, got); math.Abs(score-scoreIn(t, want.said)) > scoreStep {
			t.Errorf("image %d: got %q, want %q", i, got, want.said)
		}
		for j, tile := range want.tiles {
			if d := distance(b.canvas(row, j), tile); d > colourStep {
				t.Errorf("image %d, %s: got a distance of %d to what is drawn here, want %d at most", i, tileNames[j], d, colourStep)
			}
		}
	}
	if !verdicts["good"] || !verdicts["anomalous"] {
		t.Errorf("got verdicts %v, want both", verdicts)
	}

	b.give(write(t, filepath.Join(dir, "broken.onnx"), []byte("no model")))
	b.until(`!notice.hidden && notice.innerText.startsWith('broken.onnx: ') && state.innerText === 'model.onnx, 32×32'`)
	spec.Height = 48
	b.give(write(t, filepath.Join(dir, "other.onnx"), modelBytes(t, spec, 1)))
	b.until(`notice.hidden && state.innerText === 'other.onnx, 32×48'`)

	b.do(chromedp.Click(chromedp.CSS("#camera")))
	b.until(`document.querySelector('#live.good, #live.anomalous')?.innerText.includes('frame 2,')`)
	b.give(files[0]) // between frames
	b.until(`results.children.length === 6 && !document.querySelector('.waiting') && results.firstChild.innerText.includes('0.png')`)
	b.do(chromedp.Click(chromedp.CSS("#camera")))
	b.until(`video.hidden && camera.innerText === 'Use the camera'`)

	b.narrow("light")
	b.narrow("dark")
	for _, url := range eval[[]string](b, `performance.getEntriesByType('resource').map(e => e.name)`) {
		if !strings.HasPrefix(url, b.url) && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asks %s", url)
		}
	}

	eval[bool](b, `(worker.postMessage({ file: {} }), true)`) // a bug, which ends the program
	b.until(`notice.innerText.includes('load this page again') && choose.disabled`)

	// The same page without a model beside it.
	if err := os.Remove(filepath.Join(site, "model.onnx")); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(b.url))
	b.until(`state.innerText === 'no model yet'`)
	b.give(files[0])
	b.until(`document.querySelector('.failed')?.innerText.includes('drop one first')`)
}

// narrow looks at the page as a phone shows it.
func (b browser) narrow(theme string) {
	b.Helper()
	b.do(chromedp.EmulateViewport(390, 844))
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}})
	if eval[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
		b.Errorf("%s: the narrow page is wider than the screen", theme)
	}
}

// distance is the largest difference of two pictures in one channel of one pixel, 256 where they differ in size.
func distance(a, b image.Image) int {
	if a.Bounds().Size() != b.Bounds().Size() {
		return 256
	}
	far := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p := color.RGBAModel.Convert(a.At(a.Bounds().Min.X+x, a.Bounds().Min.Y+y)).(color.RGBA)
			q := color.RGBAModel.Convert(b.At(b.Bounds().Min.X+x, b.Bounds().Min.Y+y)).(color.RGBA)
			for _, d := range []int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B)} {
				far = max(far, d, -d)
			}
		}
	}
	return far
}

func TestBuildErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	if err := build(t.Context(), dir, "missing.onnx"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a model that is not there: got %v", err)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a folder is left of a page that was not built")
	}
	if err := serve(t.Context(), "127.0.0.1:no", ""); err == nil {
		t.Error("an address that is none: got no error")
	}
}
