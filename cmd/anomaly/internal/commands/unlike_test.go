package commands

import (
	"encoding/json"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
	"github.com/chromedp/chromedp"
)

// TestRunSaysUnlike holds that an image which is unlike the training images is told, to
// people, in JSON and in the report, and that good and bad images are not.
func TestRunSaysUnlike(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), t.TempDir()
	args := []string{"run", "--provider", "go", "--json", "--out", out, model, data}
	if stdout, stderr := mustRun(t, 0, args...); strings.Contains(stdout+stderr, "unlike") {
		t.Errorf("usual images: got %s%s", stdout, stderr)
	}
	dark := image.NewGray(image.Rect(0, 0, 40, 30))
	must(t, writePNG(filepath.Join(data, "dark.png"), dark))
	stdout, stderr := mustRun(t, 0, args...)
	n := 0
	for line := range strings.Lines(stdout) {
		var f judge.Finding
		must(t, json.Unmarshal([]byte(line), &f))
		if len(f.Unlike) == 0 {
			continue
		}
		if n++; filepath.Base(f.Path) != "dark.png" || !strings.HasPrefix(f.Unlike[0], "darker than the training images (0, expected ") {
			t.Errorf("got %s", line)
		}
	}
	if n != 1 || !strings.Contains(stderr, "dark.png: darker than the training images") || !strings.Contains(stderr, "11 images, ") || !strings.Contains(stderr, ", 1 unlike the training images") {
		t.Errorf("got %d lines and %s", n, stderr)
	}
	if html := string(mustRead(t, filepath.Join(out, "index.html"))); strings.Count(html, `"unlike":["darker than`) != 1 {
		t.Error("the report's data do not have it once")
	}

	b := openPage(t, filepath.Join(out, "index.html"))
	b.do(chromedp.EmulateViewport(1280, 1400)) // all images are in sight
	b.settled()
	marked := `[...document.querySelectorAll('article:has(.unlike:not([hidden])) .name')].map(e => e.textContent.replaceAll('\u200e', ''))`
	if got := eval[[]string](b, marked); len(got) != 1 || got[0] != "dark.png" {
		t.Errorf("marked on their cards are %q", got)
	}
	b.click(`[data-show=unlike]`)
	if got := b.inSight(); b.text(`[data-show=unlike] b`) != "1" || len(got) != 1 || got[0] != "dark.png" {
		t.Errorf("the filter has %s and shows %q", b.text(`[data-show=unlike] b`), got)
	}
	b.click("article .pictures")
	if got := b.text("dialog .unlike"); !strings.HasPrefix(got, "darker than the training images") {
		t.Errorf("enlarged it says %q", got)
	}
}
