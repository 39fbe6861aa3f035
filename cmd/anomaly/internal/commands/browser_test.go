package commands

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"maps"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/testenv/chromium"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
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
	ctx := chromium.Open(t, chromedp.Flag("disable-quic", true))
	b := browser{t, ctx}
	console := chromedp.Console(ctx)
	t.Cleanup(func() { // an exception, or an access that the page's policy forbids
		const end = "end of the test"
		eval[bool](b, fmt.Sprintf(`(console.log(%q), true)`, end))
		for m, err := range console {
			if err != nil || m.Text == end {
				break
			}
			if m.Source != "network" { // a picture that is not there
				t.Errorf("the console says %s", m)
			}
		}
	})
	b.do(chromedp.EmulateViewport(1280, 900))
	b.open(path)
	return b
}

func (b browser) open(path string) {
	b.Helper()
	address := url.URL{Scheme: "file", Path: filepath.ToSlash(path)}
	b.do(chromedp.Navigate(address.String()))
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
	return chromium.Eval[T](b, b.ctx, expression)
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

// limits are what the page judges by: a review band from low to high, or a
// threshold, which both are.
type limits struct {
	Band      bool
	Low, High float64
}

func (l limits) verdict(score float64) string {
	switch {
	case l.Band && score > l.High:
		return "reject"
	case l.Band && score > l.Low:
		return "review"
	case l.Band:
		return "accept"
	case score > l.High:
		return "anomalous"
	}
	return "good"
}

// wanted are the page's counts at limits.
func wanted(images []truth, l limits) map[string]string {
	n := map[string]int{}
	cells := map[string][2]string{ // of good and of bad images
		"good": {"#tn", "#fn"}, "accept": {"#tn", "#fn"}, "review": {"#rn", "#rp"}, "anomalous": {"#fp", "#tp"}, "reject": {"#fp", "#tp"},
	}
	for _, i := range images {
		judged := l.verdict(i.score)
		n[judged]++
		bad := 0
		if i.bad {
			bad = 1
		}
		n[cells[judged][bad]]++
	}
	n["missed"], n["false alarm"] = n["#fn"], n["#fp"]
	m := map[string]string{}
	for _, key := range []string{"anomalous", "good", "reject", "review", "accept", "missed", "false alarm", "#tn", "#rn", "#fp", "#fn", "#rp", "#tp"} {
		m[key] = fmt.Sprint(n[key])
	}
	ratio := func(a, b int) string {
		if b == 0 {
			return "–"
		}
		return fmt.Sprintf("%.3f", float64(a)/float64(b))
	}
	good, bad := n["#tn"]+n["#rn"]+n["#fp"], n["#fn"]+n["#rp"]+n["#tp"]
	m["#precision"] = ratio(n["#tp"], n["#tp"]+n["#fp"])
	m["#recall"] = ratio(n["#tp"], bad)
	m["#f1"] = ratio(2*n["#tp"], n["#tp"]+n["#fp"]+bad)
	m["#rejects"] = ratio(n["#fp"], good)
	m["#escapes"] = ratio(n["#fn"], bad)
	m["#again"] = ratio(n["#rn"]+n["#rp"], good+bad)
	return m
}

// limits are those that the page has now.
func (b browser) limits() limits {
	b.Helper()
	return eval[limits](b, `({Band: band, Low: low, High: high})`)
}

// counts compares what the page counts with what wanted says for its limits.
func (b browser) counts(images []truth) {
	b.Helper()
	b.settled()
	l := b.limits()
	want := wanted(images, l)
	got := map[string]string{}
	for key := range want {
		selector := key
		if !strings.HasPrefix(key, "#") {
			selector = fmt.Sprintf(`[data-show="%s"] b`, key)
		}
		got[key] = b.text(selector)
	}
	if d := gocmp.Diff(want, got); d != "" {
		b.Errorf("counts at %+v (-want +got):\n%s", l, d)
	}
	offered := eval[[]string](b, `$$('[data-show]').filter(e => e.checkVisibility()).map(e => e.dataset.show)`)
	if l.Band != slices.Contains(offered, "review") || l.Band == slices.Contains(offered, "good") {
		b.Errorf("at %+v: got verdicts %q to choose from", l, offered)
	}
}

// exactly types a number into one of the page's fields.
func (b browser) exactly(selector string, number any) {
	b.Helper()
	eval[bool](b, fmt.Sprintf(`(e => { e.value = '%v'; e.dispatchEvent(new Event('input')); return true })(document.querySelector(%q))`, number, selector))
	b.settled()
}

// press presses the histograms at a share of their width.
func (b browser) press(share float64) {
	b.Helper()
	eval[bool](b, `(document.querySelector('.cut').scrollIntoView({block: 'center', behavior: 'instant'}), true)`)
	b.settled()
	at := eval[map[string]float64](b, fmt.Sprintf(`(({left, top, width}) => ({x: left + width * %v, y: top + 5}))(document.querySelector('.cut').getBoundingClientRect())`, share))
	b.do(chromedp.MouseClickXY(at["x"], at["y"]))
	b.settled()
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
	b.do(chromedp.EmulateViewport(1280, 1400)) // all images are in sight
	b.settled()
	const failed = "test/b/1.png"

	b.counts(images)
	model1 := eval[float64](b, `high`)
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
	// Mistakes before what is right, defects before good parts.
	worst := func(at float64) func(truth) float64 {
		return func(i truth) float64 {
			const far = 1e6 // beyond all margins
			group := map[bool]map[bool]float64{true: {true: far, false: 3 * far}, false: {true: 2 * far, false: 0}}
			return group[i.bad][i.score > at] + margin(at)(i)
		}
	}
	check("worst mistakes first", by(worst(model1)))

	t.Run("slider", func(t *testing.T) {
		b.do(chromedp.Focus(chromedp.CSS("#high")), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.PageDown))
		b.until(fmt.Sprintf(`high < %v`, model1))
		b.counts(images)
		// What is missed is green nowhere: not on its card, not in its histogram, nor where it is counted.
		b.exactly("#high-exact", 1e6)
		b.counts(images)
		check("all are missed", by(worst(1e6)))
		green := eval[string](b, `getComputedStyle(document.querySelector('#tn')).color`)
		if green != "rgb(13, 122, 81)" {
			t.Errorf("good parts that are judged good have the colour %s, want green", green)
		}
		for _, what := range []string{"article.missed .verdict", "#fn", "#tp", "[data-show=missed] b", "[data-show=good] b"} {
			if got := eval[string](b, fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).color`, what)); got == green {
				t.Errorf("%s is as green as what is right", what)
			}
		}
		if got := eval[int](b, `document.querySelectorAll('article.missed .mistake:not([hidden])').length`); got != 5 {
			t.Errorf("got %d cards of missed images, want 5", got)
		}
		if got := eval[[]string](b, `$$('.ridges path').map(p => getComputedStyle(p).fill.includes('misses') ? 'misses' : 'verdicts')`); !slices.Equal(got, []string{"verdicts", "misses", "misses"}) {
			t.Errorf("histograms of good, a, b: got the colours %q", got)
		}
		// A click in the middle of it.
		box := eval[map[string]float64](b, `(({left, top, width, height}) => ({x: left + width / 2, y: top + height / 2}))(document.querySelector('#high').getBoundingClientRect())`)
		b.do(chromedp.MouseClickXY(box["x"], box["y"]))
		b.settled()
		if got, want := eval[float64](b, `high`), eval[float64](b, `(data.lo + data.hi) / 2`); math.Abs(got-want) > .02*want {
			t.Errorf("got a threshold of %v, want about %v", got, want)
		}
		b.counts(images)
		// The histograms can be dragged too.
		b.press(.9)
		if got := eval[float64](b, `(high - data.lo) / (data.hi - data.lo)`); math.Abs(got-.9) > .01 {
			t.Errorf("got a threshold at %v of the range, want 0.9", got)
		}
		b.counts(images)
	})
	t.Run("exact threshold", func(t *testing.T) {
		for _, i := range images { // a score is not above itself
			b.exactly("#high-exact", i.score)
			b.counts(images)
		}
		b.click("#reset")
		if got := eval[float64](b, `high`); got != model1 {
			t.Errorf("reset: got %v, want %v", got, model1)
		}
		b.counts(images)
	})
	t.Run("review band", func(t *testing.T) {
		b.click(`[data-show=anomalous]`)
		b.click("#band")
		b.counts(images)
		if l := b.limits(); !(l.Low < model1 && model1 < l.High) {
			t.Errorf("got %+v, want a band round %v", l, model1)
		}
		if got := eval[string](b, `show`); got != "reject" {
			t.Errorf("anomalous images were shown, now %q, want reject", got)
		}
		b.do(chromedp.Focus(chromedp.CSS("#low")), chromedp.KeyEvent(kb.PageDown))
		b.settled()
		b.counts(images)
		sorted := slices.SortedFunc(slices.Values(images), func(a, b truth) int { return cmp.Compare(a.score, b.score) })
		lowest, middle, highest := sorted[0].score, sorted[len(sorted)/2].score, sorted[len(sorted)-1].score
		b.exactly("#low-exact", lowest)
		b.exactly("#high-exact", middle)
		b.counts(images)
		if l := (limits{true, lowest, middle}); b.limits() != l {
			t.Errorf("got %+v, want %+v", b.limits(), l)
		}
		for _, verdict := range []string{"reject", "review", "accept"} {
			b.click(fmt.Sprintf(`[data-show=%s]`, verdict))
			var want []string
			for _, i := range images {
				if b.limits().verdict(i.score) == verdict {
					want = append(want, i.name)
				}
			}
			got := b.inSight()
			slices.Sort(got)
			slices.Sort(want)
			if len(want) == 0 || !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", verdict, got, want)
			}
		}
		b.exactly("#low-exact", highest) // an end pushes the other one
		b.exactly("#high-exact", middle)
		if l := (limits{true, middle, middle}); b.limits() != l {
			t.Errorf("got %+v, want %+v", b.limits(), l)
		}
		b.press(.1) // moves the nearer end
		b.press(.95)
		b.press(.2)
		if l := eval[[]float64](b, `[low, high].map(x => (x - data.lo) / (data.hi - data.lo))`); math.Abs(l[0]-.2) > .01 || math.Abs(l[1]-.95) > .01 {
			t.Errorf("got a band at %v of the range, want 0.2 to 0.95", l)
		}
		b.counts(images)
		was := b.limits()
		b.click("#band")
		if l := (limits{false, was.High, was.High}); b.limits() != l { // the model's threshold was outside
			t.Errorf("without the band %+v: got %+v, want %+v", was, b.limits(), l)
		}
		b.click("#band")
		b.exactly("#low-exact", lowest)
		b.exactly("#high-exact", highest)
		b.click("#band")
		if l := (limits{false, model1, model1}); b.limits() != l {
			t.Errorf("without a band that held it: got %+v, want %+v", b.limits(), l)
		}
		b.click("#band")
		b.click("#reset")
		b.click(`[data-show=""]`)
		b.counts(images)
		if l := (limits{false, model1, model1}); b.limits() != l {
			t.Errorf("reset: got %+v, want %+v", b.limits(), l)
		}
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
	t.Run("names", func(t *testing.T) {
		const name = "test/a/0.png"
		b.choose("#order", "name")
		card := fmt.Sprintf(`$$('article').find(card => card.row.name === %q)`, name)
		if got := eval[string](b, card+`.title`); got != name {
			t.Errorf("got %q on hover, want the whole name", got)
		}
		copied := func(button string, blocked bool) {
			t.Helper()
			eval[bool](b, fmt.Sprintf(`(Object.defineProperty(navigator, 'clipboard', {configurable: true, value: {writeText: async s => { if (%v) throw new Error('not here'); window.pasted = s }}}),
				document.execCommand = () => { window.pasted = getSelection().toString() || document.activeElement.value; return true }, window.pasted = '', %s.click(), true)`, blocked, button))
			b.until(fmt.Sprintf(`window.pasted === %q && %s.textContent === 'copied'`, name, button))
		}
		copied(`$('.copy', `+card+`)`, false)
		copied(`$('.copy', `+card+`)`, true)
		if !eval[bool](b, `document.querySelector('textarea') === null`) {
			t.Error("copying leaves a text area")
		}
	})
	t.Run("brighten", func(t *testing.T) {
		filter := func(of string) string {
			return eval[string](b, fmt.Sprintf(`getComputedStyle(document.querySelector('article .tile %s')).filter`, of))
		}
		before, heat := filter(".under"), filter(".over")
		b.click(`nav [data-bright]`)
		if after := filter(".under"); before != "none" || !strings.Contains(after, "brighter") || filter(".over") != heat {
			t.Errorf("got the filter %s, then %s; of the heat map %s, then %s", before, after, heat, filter(".over"))
		}
		b.click(`nav [data-bright]`)
		if after := filter(".under"); after != before {
			t.Errorf("got the filter %s again", after)
		}
	})
	t.Run("folding", func(t *testing.T) {
		open := func() bool { return eval[bool](b, `document.querySelector('#figures').open`) }
		if !open() {
			t.Error("the curves are folded on a wide screen")
		}
		b.do(chromedp.EmulateViewport(360, 800))
		b.until(`!document.querySelector('#figures').open`)
		eval[bool](b, `(dispatchEvent(new Event('beforeprint')), true)`)
		if !open() {
			t.Error("the curves are folded on paper")
		}
		eval[bool](b, `(dispatchEvent(new Event('afterprint')), true)`)
		b.until(`!document.querySelector('#figures').open`)
		b.click("#figures summary")
		b.until(`document.querySelector('#figures').open`)
		if !eval[bool](b, `document.documentElement.scrollWidth <= innerWidth && $$('.tables .scroll').some(e => e.scrollWidth > e.clientWidth)`) {
			t.Error("the page is wider than the screen, or no table scrolls in itself")
		}
		b.do(chromedp.EmulateViewport(1280, 1400))
		b.until(`document.querySelector('#figures').open`)
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

// TestReportOfBand holds that the page's verdicts are the runner's.
func TestReportOfBand(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), t.TempDir()
	s := ranked(t, model, data)
	n := len(s)
	band := anrt.Band{Low: s[n-4], High: s[n-2]}
	want := map[string]string{}
	for _, d := range decide(t, 0, model, data, "--threshold", fmt.Sprint(s[n-3]), "--review-band", band.String(), "--out", out) {
		rel, err := filepath.Rel(filepath.Join(data, "test"), d.Path)
		if err != nil {
			t.Fatal(err)
		}
		want[filepath.ToSlash(rel)] = d.Verdict
	}
	b := openPage(t, filepath.Join(out, "index.html"))
	check := func() {
		t.Helper()
		got := eval[map[string]string](b, `Object.fromEntries($$('article').map(card => [card.row.name, $('.verdict', card).textContent]))`)
		if d := gocmp.Diff(want, got); d != "" {
			t.Errorf("verdicts (-run +page):\n%s", d)
		}
	}
	check()
	count := map[string]int{}
	for _, v := range want {
		count[v]++
	}
	if got, want := b.text("title"), fmt.Sprintf("%d rejected, %d to review of 10", count["reject"], count["review"]); !strings.HasPrefix(got, want) {
		t.Errorf("got the title %q, want %q", got, want)
	}
	b.click("#band") // off, on: the model's again
	b.click("#band")
	check()
	b.exactly("#low-exact", 0)
	b.click("#reset")
	check()
	if !eval[bool](b, `$('#reset').disabled`) {
		t.Error("there is something to reset")
	}
}

func TestReportWithoutThreshold(t *testing.T) {
	out := t.TempDir()
	mustRun(t, 0, "run", reconstructionModel(t), testSet(t, false), "--provider", "go", "--out", out)
	b := openPage(t, filepath.Join(out, "index.html"))
	if got := eval[bool](b, `document.querySelector('[data-show=anomalous]').hidden && high === null`); !got {
		t.Error("verdicts are offered without a threshold")
	}
	b.do(chromedp.Focus(chromedp.CSS("#high")), chromedp.KeyEvent(kb.PageDown), chromedp.KeyEvent(kb.PageDown))
	b.settled()
	above := eval[int](b, `rows.filter(row => row.score > high).length`)
	if got := b.text(`[data-show=anomalous] b`); above == 0 || got != fmt.Sprint(above) {
		t.Errorf("got %s anomalous images at the slider's threshold, want %d", got, above)
	}
	b.click("#reset")
	if !eval[bool](b, `high === null`) {
		t.Error("reset leaves a threshold")
	}
}

// A model that judges by a threshold it does not tell is believed until the slider
// gives another; one without maps has nothing to lay over its images.
func TestReportOfLabels(t *testing.T) {
	g := graph.New("foreign")
	dark := graph.Sub(g.Scalar(1), g.Input("input", graph.Float32, graph.Dynamic, 1, 16, 16))
	score := graph.ReduceMax(dark, false, 2, 3)
	g.Output("pred_score", score)
	g.Output("pred_label", graph.Greater(graph.Mul(score, score), g.Scalar(.81)))
	model, data, out := writeForeign(t, g, nil), testSet(t, true), t.TempDir()
	mustRun(t, 0, "eval", model, "--data", data, "--provider", "go", "--out", out)
	b := openPage(t, filepath.Join(out, "index.html"))
	var images []truth
	for _, name := range []string{"test/a/0.png", "test/a/1.png", "test/a/2.png", "test/b/0.png", "test/b/1.png", "test/b/2.png", "test/good/0.png", "test/good/1.png", "test/good/2.png", "test/good/3.png"} {
		images = append(images, truth{name, 0, !strings.Contains(name, "good")})
		if images[len(images)-1].bad {
			images[len(images)-1].score = 1
		}
	}
	if !eval[bool](b, `high === null`) {
		t.Fatal("the page has a threshold, want the model's labels")
	}
	check := func() {
		t.Helper()
		for key, want := range wanted(images, limits{High: .5}) {
			selector := key
			if !strings.HasPrefix(key, "#") {
				selector = fmt.Sprintf(`[data-show="%s"] b`, key)
			}
			if got := b.text(selector); got != want {
				t.Errorf("%s: got %s, want %s", key, got, want)
			}
		}
	}
	check()
	b.click(`[data-show=anomalous]`)
	if got := len(b.inSight()); got != 6 {
		t.Errorf("got %d anomalous images, want 6", got)
	}
	b.exactly("#high-exact", 5)
	if got := b.text(`[data-show=anomalous] b`); got != "0" {
		t.Errorf("at a threshold of 5: got %s anomalous images", got)
	}
	b.click("#reset")
	check()
	b.click(`article .pictures`)
	b.until(`document.querySelector('dialog').open && document.querySelector('#stage img')?.naturalWidth === 40`)
	if eval[bool](b, `document.querySelector('#heat-opacity').checkVisibility() || document.querySelector('.over') !== null`) {
		t.Error("a heat map is offered where there is none")
	}
}

// TestReportOfManyImages holds that only what is in sight is on the page.
func TestReportOfManyImages(t *testing.T) {
	const n = 10000
	threshold := float32(.5)
	r := page.NewReport(anrt.ModelInfo{Provider: anrt.Go, Threshold: &threshold, PixelThreshold: &threshold, Maps: true}, page.Saves{Picture: true}, false)
	r.Model, r.Of = "m.onnx", n
	names := map[string]bool{}
	for i := range n {
		name := fmt.Sprintf("line %d/%05d.png", i%7, i)
		names[name] = true
		anomalous := float32(i)/n > threshold
		r.Add(&judge.Finding{Score: float32(i) / n, Threshold: &threshold, Anomalous: &anomalous, Size: image.Pt(64, 64), Sample: &dataset.Sample{Name: name}})
	}
	dir := t.TempDir()
	if err := r.Write(dir); err != nil {
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
	// On paper are the first images, in sight or not.
	if got := eval[int](b, `(dispatchEvent(new Event('beforeprint')), $$('article').length)`); got != 500 || !strings.Contains(b.text(".rest"), "500 of 10000") {
		t.Errorf("got %d images on paper, want 500; %q", got, b.text(".rest"))
	}
	if got := eval[int](b, `(dispatchEvent(new Event('afterprint')), $$('article').length)`); got > 100 {
		t.Errorf("got %d images on the page after printing", got)
	}
	if !seen["line 0/00000.png"] || !seen["line 3/09999.png"] {
		t.Error("the list does not run from the highest score to the lowest")
	}
}
