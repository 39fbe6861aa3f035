package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	gocmp "github.com/google/go-cmp/cmp"
)

// A browser is a page in a headless Chromium.
type browser struct {
	*testing.T
	ctx context.Context
}

// openPage opens a file in Chromium ($ANOMALY_CHROMIUM, or one on the path) and
// skips the test where there is none.
func openPage(t *testing.T, path string) browser {
	t.Helper()
	var program string
	for _, name := range []string{os.Getenv("ANOMALY_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			program = found
			break
		}
	}
	if program == "" {
		t.Skip("no chromium or google-chrome on the path (set ANOMALY_CHROMIUM)")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(program), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.UserDataDir(t.TempDir()))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // root has none
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(func() { chromedp.Cancel(ctx); cancel() })
	if err := chromedp.Do(ctx); err != nil {
		t.Skipf("%s does not start: %v", program, err)
	}
	b := browser{t, ctx}
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address.String()))
	return b
}

// patience is how long anything in the page may take; what works takes milliseconds.
const patience = 30 * time.Second

func (b browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.Fatal(err)
	}
}

// eval returns the value of a JavaScript expression.
func eval[T any](b browser, expression string) T {
	b.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits until an expression is true.
func (b browser) until(expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		b.Fatalf("%s does not come true: %v", expression, err)
	}
}

// settled waits until the page has drawn what was asked for.
func (b browser) settled() {
	b.Helper()
	_, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](
		`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatal(err)
	}
}

func (b browser) click(selector string) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
	b.settled()
}

func (b browser) choose(selector, value string) {
	b.Helper()
	eval[bool](b, fmt.Sprintf(`(s => { s.value = %q; s.dispatchEvent(new Event('change')); return true })(document.querySelector(%q))`, value, selector))
	b.settled()
}

// names are those of the images in sight, in order.
func (b browser) names() []string {
	return eval[[]string](b, `shown.map(row => row.name)`)
}

// inSight are the names on the cards, as they lie on the page.
func (b browser) inSight() []string {
	return eval[[]string](b, `[...document.querySelectorAll('article')].sort((a, b) => a.getAttribute('aria-posinset') - b.getAttribute('aria-posinset')).map(a => a.querySelector('.name').textContent.replaceAll('\u200e', ''))`)
}

func (b browser) text(selector string) string {
	b.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q).textContent`, selector))
}

// truth is what the test knows of an image.
type truth struct {
	name  string
	score float64 // its shortest decimal form, as the page has it
	bad   bool
}

// wanted are the page's counts at a threshold.
func wanted(images []truth, threshold float64) map[string]string {
	n := map[string]int{}
	for _, i := range images {
		judged := "good"
		if i.score > threshold {
			judged = "anomalous"
		}
		n[judged]++
		switch {
		case i.bad && judged == "good":
			n["missed"]++
			n["#fn"]++
		case i.bad:
			n["#tp"]++
		case judged == "good":
			n["#tn"]++
		default:
			n["false alarm"]++
			n["#fp"]++
		}
	}
	m := map[string]string{}
	for _, key := range []string{"anomalous", "good", "missed", "false alarm", "#tn", "#fp", "#fn", "#tp"} {
		m[key] = fmt.Sprint(n[key])
	}
	ratio := func(a, b int) string {
		if b == 0 {
			return "–"
		}
		return fmt.Sprintf("%.3f", float64(a)/float64(b))
	}
	m["#precision"] = ratio(n["#tp"], n["#tp"]+n["#fp"])
	m["#recall"] = ratio(n["#tp"], n["#tp"]+n["#fn"])
	m["#f1"] = ratio(2*n["#tp"], 2*n["#tp"]+n["#fp"]+n["#fn"])
	m["#rejects"] = ratio(n["#fp"], n["#fp"]+n["#tn"])
	return m
}

// counts compares what the page counts with what wanted says for its threshold.
func (b browser) counts(images []truth) {
	b.Helper()
	b.settled()
	want := wanted(images, eval[float64](b, `threshold`))
	got := map[string]string{}
	for key := range want {
		selector := key
		if !strings.HasPrefix(key, "#") {
			selector = fmt.Sprintf(`[data-show="%s"] b`, key)
		}
		got[key] = b.text(selector)
	}
	if d := gocmp.Diff(want, got); d != "" {
		b.Errorf("counts at %v (-want +got):\n%s", eval[float64](b, `threshold`), d)
	}
}

func TestReportInBrowser(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, true), t.TempDir()
	// Kind b has an image that looks good, and one that is none.
	if err := writePNG(filepath.Join(data, "test", "b", "0.png"), goodImage(7)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "test", "b", "1.png"), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, _ := mustRun(t, 1, "run", model, filepath.Join(data, "test"), "--provider", "go", "--json")
	var images []truth
	for _, l := range parseLines(t, stdout) {
		rel, err := filepath.Rel(data, *l.Path) // both are absolute
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(rel)
		score, err := strconv.ParseFloat(fmt.Sprint(*l.Score), 64)
		if err != nil {
			t.Fatal(err)
		}
		images = append(images, truth{name, score, !strings.HasPrefix(name, "test/good/")})
	}
	mustRun(t, 1, "eval", model, "--data", data, "--provider", "go", "--out", out)
	b := openPage(t, filepath.Join(out, "index.html"))
	const failed = "test/b/1.png"

	b.counts(images)
	model1 := eval[float64](b, `threshold`)
	if got := b.text(`[data-show=""] b`); got != "10" || b.text(`[data-show=failed] b`) != "1" {
		t.Errorf("got %s images", got)
	}

	// by returns the names by descending key, the one that failed first.
	by := func(key func(truth) float64) []string {
		sorted := slices.SortedFunc(slices.Values(images), func(a, b truth) int {
			return cmp.Or(cmp.Compare(key(b), key(a)), strings.Compare(a.name, b.name))
		})
		names := []string{failed}
		for _, i := range sorted {
			names = append(names, i.name)
		}
		return names
	}
	margin := func(at float64) func(truth) float64 {
		return func(i truth) float64 {
			if i.bad {
				return at - i.score
			}
			return i.score - at
		}
	}
	check := func(what string, want []string) {
		t.Helper()
		if d := gocmp.Diff(want, b.inSight()); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	check("worst mistakes first", by(margin(model1)))

	t.Run("slider", func(t *testing.T) {
		b.do(chromedp.Focus(chromedp.CSS("#threshold")), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.PageDown))
		b.until(fmt.Sprintf(`threshold < %v`, model1))
		b.counts(images)
		// A click in the middle of it.
		box := eval[map[string]float64](b, `(({left, top, width, height}) => ({x: left + width / 2, y: top + height / 2}))(document.querySelector('#threshold').getBoundingClientRect())`)
		b.do(chromedp.MouseClickXY(box["x"], box["y"]))
		b.settled()
		if got, want := eval[float64](b, `threshold`), eval[float64](b, `(data.lo + data.hi) / 2`); math.Abs(got-want) > .02*want {
			t.Errorf("got a threshold of %v, want about %v", got, want)
		}
		b.counts(images)
		// The histograms can be dragged too.
		box = eval[map[string]float64](b, `(({left, top, width}) => ({x: left + width * .9, y: top + 5}))(document.querySelector('.cut').getBoundingClientRect())`)
		b.do(chromedp.MouseClickXY(box["x"], box["y"]))
		b.settled()
		if got := eval[float64](b, `(threshold - data.lo) / (data.hi - data.lo)`); math.Abs(got-.9) > .01 {
			t.Errorf("got a threshold at %v of the range, want 0.9", got)
		}
		b.counts(images)
	})
	t.Run("exact threshold", func(t *testing.T) {
		for _, i := range images { // a score is not above itself
			eval[bool](b, fmt.Sprintf(`(e => { e.value = '%v'; e.dispatchEvent(new Event('input')); return true })(document.querySelector('#exact'))`, i.score))
			b.counts(images)
		}
		b.click("#reset")
		if got := eval[float64](b, `threshold`); got != model1 {
			t.Errorf("reset: got %v, want %v", got, model1)
		}
		b.counts(images)
	})
	t.Run("order", func(t *testing.T) {
		b.choose("#order", "high")
		check("highest first", by(func(i truth) float64 { return i.score }))
		b.choose("#order", "low")
		check("lowest first", by(func(i truth) float64 { return -i.score }))
		b.choose("#order", "close")
		check("closest first", by(func(i truth) float64 { return -math.Abs(i.score - model1) }))
		b.choose("#order", "name")
		names := by(func(truth) float64 { return 0 })
		slices.Sort(names)
		check("by name", names)
	})
	t.Run("filter", func(t *testing.T) {
		for _, verdict := range []string{"anomalous", "good", "missed", "false alarm", "failed"} {
			b.click(fmt.Sprintf(`[data-show="%s"]`, verdict))
			if got, want := len(b.inSight()), b.text(fmt.Sprintf(`[data-show="%s"] b`, verdict)); fmt.Sprint(got) != want {
				t.Errorf("%s: got %d images, want %s", verdict, got, want)
			}
		}
		b.click(`[data-show=""]`)
		b.choose("#kind", "1")
		check("kind a", []string{"test/a/0.png", "test/a/1.png", "test/a/2.png"})
		b.choose("#kind", "")
		b.do(chromedp.SendKeys(chromedp.CSS("#find"), "2.P"))
		b.settled()
		check("name", []string{"test/a/2.png", "test/b/2.png", "test/good/2.png"})
		b.do(chromedp.SendKeys(chromedp.CSS("#find"), "nothing"))
		b.settled()
		if !eval[bool](b, `document.querySelector('.none').offsetHeight > 0`) {
			t.Error("an empty list does not say so")
		}
		eval[bool](b, `(e => { e.value = ''; e.dispatchEvent(new Event('input')); return true })(document.querySelector('#find'))`)
	})
	t.Run("zoom", func(t *testing.T) {
		b.choose("#order", "high")
		names := b.names()[1:] // the first has no picture
		b.click(`article[aria-posinset="2"] .pictures`)
		title := func(want string) {
			t.Helper()
			if got := b.text("dialog .path"); got != want {
				t.Errorf("got image %q, want %q", got, want)
			}
		}
		b.until(`document.querySelector('dialog').open`)
		title(names[0])
		b.do(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
		title(names[2])
		b.do(chromedp.KeyEvent(kb.ArrowLeft))
		title(names[1])
		b.until(`document.querySelector('#stage img')?.naturalWidth === 40`) // the image itself
		opacity := func() string {
			return eval[string](b, `getComputedStyle(document.querySelector('#stage .over')).opacity`)
		}
		before := opacity()
		b.do(chromedp.Focus(chromedp.CSS("#heat-opacity")), chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowLeft))
		if after := opacity(); before != "0.8" || after != "0.7" {
			t.Errorf("got opacities %s and %s, want 0.8 and 0.7", before, after)
		}
		title(names[1]) // those arrows were the slider's
		b.do(chromedp.KeyEvent(kb.Escape))
		b.until(`!document.querySelector('dialog').open`)
		b.until(fmt.Sprintf(`document.activeElement.closest('article').row.name === %q`, names[1]))
	})
	t.Run("strips", func(t *testing.T) {
		b.click(`[data-view=strips]`)
		if got := eval[int](b, `document.querySelectorAll('article[aria-posinset="2"] .tile').length`); got != 4 {
			t.Errorf("got %d tiles, want 4", got)
		}
	})
}

func TestReportWithoutThreshold(t *testing.T) {
	out := t.TempDir()
	mustRun(t, 0, "run", reconstructionModel(t), testSet(t, false), "--provider", "go", "--out", out)
	b := openPage(t, filepath.Join(out, "index.html"))
	if got := eval[bool](b, `document.querySelector('[data-show=anomalous]').hidden && threshold === null`); !got {
		t.Error("verdicts are offered without a threshold")
	}
	b.do(chromedp.Focus(chromedp.CSS("#threshold")), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.PageDown))
	b.settled()
	above := eval[int](b, `rows.filter(row => row.score > threshold).length`)
	if got := b.text(`[data-show=anomalous] b`); above == 0 || got != fmt.Sprint(above) {
		t.Errorf("got %s anomalous images at the slider's threshold, want %d", got, above)
	}
	b.click("#reset")
	if !eval[bool](b, `threshold === null`) {
		t.Error("reset leaves a threshold")
	}
}

// TestReportOfManyImages holds that only what is in sight is on the page.
func TestReportOfManyImages(t *testing.T) {
	const n = 10000
	threshold := float32(.5)
	r := &report{Model: "m.onnx", Provider: "go", Threshold: &threshold, Of: n, Saves: saves{Picture: true},
		pictures: heatmap.PictureOptions{Threshold: &threshold, Tile: pictureTile}}
	names := map[string]bool{}
	for i := range n {
		name := fmt.Sprintf("line %d/%05d.png", i%7, i)
		names[name] = true
		anomalous := i%10 == 0
		r.Rows = append(r.Rows, reportRow{Name: name, finding: finding{Score: float32(i) / n, Threshold: &threshold, Anomalous: &anomalous}})
		r.Rows[i].size.X, r.Rows[i].size.Y = 64, 64
	}
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	b := openPage(t, filepath.Join(dir, "index.html"))
	if got := b.text(`[data-show=anomalous] b`); got != "4999" {
		t.Errorf("got %s anomalous images, want 4999", got)
	}
	seen := map[string]bool{}
	for _, share := range []float64{0, .5, 1} {
		eval[bool](b, fmt.Sprintf(`(scrollTo(0, %v * document.documentElement.scrollHeight), true)`, share))
		b.settled()
		cards := b.inSight()
		if len(cards) == 0 || len(cards) > 100 {
			t.Errorf("at %v: got %d images on the page, want those in sight", share, len(cards))
		}
		for _, name := range cards {
			seen[name] = true
		}
		if inside := eval[int](b, `[...document.querySelectorAll('article')].filter(a => { const r = a.getBoundingClientRect(); return r.bottom > 0 && r.top < innerHeight }).length`); inside == 0 {
			t.Errorf("at %v: no image is in sight", share)
		}
	}
	for name := range maps.Keys(seen) {
		if !names[name] {
			t.Errorf("got an image %q", name)
		}
	}
	if !seen["line 0/00000.png"] || !seen["line 3/09999.png"] {
		t.Error("the list does not run from the highest score to the lowest")
	}
}
