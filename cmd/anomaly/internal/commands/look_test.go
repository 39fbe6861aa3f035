package commands

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

var (
	lookDir   = flag.String("look", "", "write pictures of the pages that TestLook looks at to this folder")
	lookPages = flag.String("look-at", "", "further pages for TestLook, separated by commas")
)

// media emulates print or the screen, "", with a colour scheme.
func (b browser) media(medium, scheme string) {
	b.Helper()
	b.do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Media: medium, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
	b.settled()
}

// lookScript returns what is wrong with a page as one sees it: text of too little
// contrast, which WCAG 2.2, 1.4.3, wants to be 4.5, or 3 if it is large; curves of
// less than 3; controls and pictures without a name; what sticks out at the side;
// equal ids.
const lookScript = `(() => {
  const wrong = new Set();
  const numbers = colour => { const [r, g, b, a = 1] = colour.match(/[\d.]+/g).map(Number); return {r, g, b, a}; };
  const over = (top, under) => ({r: top.r * top.a + under.r * (1 - top.a), g: top.g * top.a + under.g * (1 - top.a), b: top.b * top.a + under.b * (1 - top.a), a: 1});
  const ground = e => e ? over(numbers(getComputedStyle(e).backgroundColor), ground(e.parentElement)) : {r: 255, g: 255, b: 255, a: 1};
  const luminance = c => [c.r, c.g, c.b].map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const seen = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true}) && !e.closest('.hidden, button:disabled') && e.getBoundingClientRect().width > 0;
  const root = document.querySelector('dialog[open]') ?? document.body;
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let n = 0;
  while (texts.nextNode()) {
    const e = texts.currentNode.parentElement, text = texts.currentNode.textContent.trim();
    if (!text || !seen(e) || e.closest('script, style, template, title, option')) continue;
    n++;
    const style = getComputedStyle(e), under = ground(e);
    const ink = over(numbers(e.closest('svg') ? style.fill : style.color), under);
    const [light, dark] = [luminance(ink), luminance(under)].sort((a, b) => b - a);
    const contrast = (light + .05) / (dark + .05), size = parseFloat(style.fontSize);
    const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
    if (contrast < (large ? 3 : 4.5)) wrong.add('contrast ' + contrast.toFixed(2) + ' of ' + e.tagName + '.' + e.className + ' "' + text.slice(0, 30) + '"');
  }
  if (!n) wrong.add('no text');
  for (const e of root.querySelectorAll('path.curve')) { // 1.4.11
    const under = ground(e.closest('section, figure, .panel'));
    const [light, dark] = [luminance(over(numbers(getComputedStyle(e).stroke), under)), luminance(under)].sort((a, b) => b - a);
    if ((light + .05) / (dark + .05) < 3) wrong.add('contrast of ' + e.outerHTML.slice(0, 40));
  }
  const named = e => e.getAttribute('aria-label') || e.title || e.textContent.trim() || [...e.labels ?? []].some(l => l.textContent.trim());
  for (const e of root.querySelectorAll('button, input, select, a, svg[role], [role=img]')) if (seen(e) && !named(e)) wrong.add('no name: ' + e.outerHTML.slice(0, 90));
  for (const e of root.querySelectorAll('img')) if (!e.hasAttribute('alt')) wrong.add('no alt: ' + e.outerHTML.slice(0, 90));
  for (const e of root.querySelectorAll('button, input, select, a, img')) if (seen(e) && e.getBoundingClientRect().right > innerWidth && !e.closest('.scroll')) wrong.add('sticks out: ' + e.outerHTML.slice(0, 90));
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.add('twice: id ' + id);
  if (document.documentElement.scrollWidth > innerWidth) wrong.add('as wide as ' + document.documentElement.scrollWidth + ' in ' + innerWidth);
  if (!document.documentElement.lang || !document.title) wrong.add('no language or title');
  return [...wrong];
})()`

// TestLook opens all pages that the command writes, light and dark, wide and narrow.
func TestLook(t *testing.T) {
	model, data, dir := tinyModel(t), testSet(t, true), t.TempDir()
	path := func(elem ...string) string { return filepath.Join(append([]string{dir}, elem...)...) }
	must(t, os.WriteFile(filepath.Join(data, "test", "b", "1.png"), []byte("broken"), 0o644))
	band := []string{"--threshold", "0.05", "--review-band", "0.04:0.06"}
	mustRun(t, 1, append([]string{"run", model, filepath.Join(data, "test"), "--provider", "go", "--out", path("run")}, band...)...)
	mustRun(t, 1, "eval", model, "--data", data, "--provider", "go", "--out", path("eval"))
	mustRun(t, 1, "run", reconstructionModel(t), filepath.Join(data, "test"), "--provider", "go", "--out", path("none"))
	mustRun(t, 0, append(append([]string{"train", "--data", filepath.Join(scratch, "train"), "--out", path("m.onnx"), "--report", path("train.html"), "--suspects", path("suspects")}, tiny...), "--epochs", "3")...)
	mustRun(t, 1, "eval", foreignModel(t, "pred_score", "pred_label"), "--data", data, "--provider", "go", "--out", path("mapless"))
	logs := []string{"train-report", "--out", path("runs.html")}
	for range 8 { // a run in each colour
		logs = append(logs, path("m.onnx"+page.LogSuffix))
	}
	mustRun(t, 0, logs...)
	pages := []string{path("runs.html"), path("run", "index.html"), path("mapless", "index.html"), path("eval", "index.html"), path("none", "index.html"), path("train.html"), path("suspects", "index.html")}
	if *lookPages != "" {
		pages = append(pages, strings.Split(*lookPages, ",")...)
	}
	b := openPage(t, pages[0])
	for _, page := range pages {
		b.open(page)
		for width, schemes := range map[int64][]string{1280: {"light"}, 390: {"dark"}} {
			if *lookDir != "" {
				schemes = []string{"light", "dark"}
			}
			for _, scheme := range schemes {
				b.do(chromedp.EmulateViewport(width, 900))
				b.media("", scheme)
				views := []string{""}
				if eval[bool](b, `Boolean(document.querySelector('dialog'))`) {
					views = []string{"", "band", "strips", "dialog"}
				}
				for _, view := range views {
					name := fmt.Sprintf("%s-%d-%s%s", filepath.Base(filepath.Dir(page)), width, scheme, view)
					b.show(view)
					for _, wrong := range eval[[]string](b, lookScript) {
						t.Errorf("%s: %s", name, wrong)
					}
					b.picture(name)
				}
			}
		}
	}
}

// show brings a report to one of its views.
func (b browser) show(view string) {
	b.Helper()
	switch view {
	case "band", "strips":
		selector := map[string]string{"band": "#band", "strips": "[data-view=strips]"}[view]
		eval[bool](b, fmt.Sprintf(`(document.querySelector(%q)?.click(), true)`, selector))
	case "dialog":
		eval[bool](b, `(document.querySelector('#list').scrollIntoView(), true)`)
		b.until(`document.querySelector('article .pictures') !== null`)
		b.click(`article .pictures`)
		b.until(`document.querySelector('dialog').open`)
	default:
		eval[bool](b, `(document.querySelector('dialog[open]')?.close(), document.querySelector('[data-view=tiles]')?.click(), document.querySelector('#reset')?.click(), scrollTo(0, 0), true)`)
	}
	b.settled()
	b.settled()
}

// picture writes what the browser shows where -look is given.
func (b browser) picture(name string) {
	b.Helper()
	if *lookDir == "" {
		return
	}
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.Fatal(err)
	}
	must(b.T, os.WriteFile(filepath.Join(*lookDir, name+".png"), png, 0o644))
}
