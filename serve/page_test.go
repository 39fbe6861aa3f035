package serve

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/anomaly-go/anomaly/internal/testenv/chromium"
)

// openChromium opens an address in Chromium ($ANOMALY_CHROMIUM, or one on the path)
// and skips the test where there is none.
func openChromium(t *testing.T, address string) context.Context {
	t.Helper()
	ctx := chromium.Open(t, chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.WindowSize(1280, 900))
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	browse(t, ctx, chromedp.Navigate(address))
	return ctx
}

func browse(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

// click clicks on an element, which the page may draw anew between being found and clicked.
func click(t *testing.T, ctx context.Context, selector string) {
	t.Helper()
	for {
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err == nil {
			return
		}
		if gone := new(cdproto.Error); !errors.As(err, &gone) || ctx.Err() != nil {
			t.Fatalf("%s: %v", selector, err)
		}
	}
}

// until waits for a condition in JavaScript.
func until(t *testing.T, ctx context.Context, what, condition string) {
	t.Helper()
	eventually(t, what, func() bool { return chromium.Eval[bool](t, ctx, condition) })
}

// screenshot writes a picture of the page to the folder $ANOMALY_SCREENSHOTS names.
func screenshot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("ANOMALY_SCREENSHOTS")
	if dir == "" {
		return
	}
	b, err := chromedp.Run(ctx, chromedp.FullScreenshot(90))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".jpg"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPage(t *testing.T) {
	s, _, dir := newServer(t, testOptions(), func(dir string) {
		put(t, modelBytes(t, 1), dir, "part", "1", modelFile)
		put(t, modelBytes(t, 2), dir, "part", "2", modelFile)
	})
	web, _ := serving(t, s)
	var files []string
	for i := range 4 {
		file := filepath.Join(dir, "picture "+string(rune('a'+i))+".png")
		put(t, pngBytes(t, testImage(i, 60, 40)), file)
		files = append(files, file)
	}
	put(t, []byte("no image"), dir, "broken.png")
	ctx := openChromium(t, "http://"+web+"/")
	until(t, ctx, "the model", `$('state').textContent.startsWith('version 2')`)

	browse(t, ctx, chromedp.SetUploadFiles(chromedp.CSS("#files"), append(files, filepath.Join(dir, "broken.png"))))
	until(t, ctx, "five results", `$('results').children.length === 5 && ![...$('results').children].some(l => l.textContent.startsWith('judging'))`)
	failed, anomalous := chromium.Eval[int](t, ctx, `document.querySelectorAll('#results .failed').length`), chromium.Eval[int](t, ctx, `document.querySelectorAll('#results .anomalous').length`)
	expected := 0
	for i := range 4 {
		if want(t, modelBytes(t, 2), testImage(i, 60, 40)).Anomalous {
			expected++
		}
	}
	if failed != 1 || anomalous != expected {
		t.Errorf("got %d failed and %d anomalous, want 1 and %d", failed, anomalous, expected)
	}
	until(t, ctx, "the recent images", `$('count').textContent.includes('of the last')`)
	until(t, ctx, "their pictures", `[...document.querySelectorAll('#rejects img')].every(i => i.naturalWidth > 0)`)

	chromium.Eval[bool](t, ctx, `$('threshold').value = 0, $('threshold').dispatchEvent(new Event('input'))`)
	until(t, ctx, "the count at 0", `$('count').textContent.includes('(100.0 %)')`)
	click(t, ctx, "#reset")
	screenshot(t, ctx, "page")

	click(t, ctx, `[data-key="use1"]`)
	until(t, ctx, "version 1", `$('state').textContent.startsWith('version 1')`)
	click(t, ctx, `[data-key="shadow2"]`)
	until(t, ctx, "the shadow", `!$('shadow').hidden && $('promote').disabled`)
	click(t, ctx, "#unshadow")
	until(t, ctx, "its end", `$('shadow').hidden`)
	click(t, ctx, "#rollback")
	until(t, ctx, "version 2", `$('state').textContent.startsWith('version 2')`)

	click(t, ctx, "#camera")
	until(t, ctx, "the camera", `!$('live').hidden && $('video').videoWidth > 0`)
	click(t, ctx, "#shoot")
	until(t, ctx, "a result of the camera", `$('results').children.length === 6 && !$('results').firstChild.textContent.startsWith('judging')`)
	click(t, ctx, "#stop")
	until(t, ctx, "its end", `$('live').hidden`)

	for _, theme := range []string{"light", "dark"} {
		browse(t, ctx, chromedp.EmulateViewport(390, 844), chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
			_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}},
			})
			return err
		}))
		if chromium.Eval[bool](t, ctx, `document.documentElement.scrollWidth > innerWidth`) {
			t.Errorf("%s: the narrow page is wider than the screen", theme)
		}
		screenshot(t, ctx, "page-narrow-"+theme)
	}
	for _, url := range chromium.Eval[[]string](t, ctx, `performance.getEntriesByType('resource').map(e => e.name)`) {
		if !strings.HasPrefix(url, "http://"+web+"/") && !strings.HasPrefix(url, "blob:") && !strings.HasPrefix(url, "data:") {
			t.Errorf("the page asks %s", url)
		}
	}
}

// TestPageToken opens the page of a server that wants a token.
func TestPageToken(t *testing.T) {
	o := testOptions()
	o.OpenAdmin, o.Credentials.Tokens = false, written(t, "line infer 0123456789abcdef\n")
	s, _, _ := newServer(t, o, nil)
	web, _ := serving(t, s)
	ctx := openChromium(t, "http://"+web+"/")
	until(t, ctx, "the question for a token", `!$('login').hidden`)
	browse(t, ctx, chromedp.SendKeys(chromedp.CSS("#token"), "0123456789abcdef\r"))
	until(t, ctx, "the model", `$('login').hidden && $('state').textContent.startsWith('version 1')`)
	click(t, ctx, "#rollback")
	until(t, ctx, "the refusal", `$('notice').textContent.includes('does not have admin')`)
}

func TestRecent(t *testing.T) {
	s, web, _ := newServer(t, testOptions(), nil)
	for i := range 30 {
		ask(t, "POST", web.URL+"/v1/models/part/images", bytes.NewReader(pngBytes(t, testImage(i%5, 32, 32))))
	}
	_, body, _ := ask(t, "GET", web.URL+"/v1/models/part/recent", nil)
	got := unmarshal[struct {
		Scores  []recentScore
		Rejects []struct {
			recentScore
			Picture bool
			Finding map[string]any
		}
	}](t, body)
	if len(got.Scores) != 30 || got.Scores[29].Number != 30 {
		t.Fatalf("got %d scores, want 30", len(got.Scores))
	}
	if len(got.Rejects) == 0 || len(got.Rejects) > recentRejects {
		t.Fatalf("got %d rejects", len(got.Rejects))
	}
	r := got.Rejects[0]
	if code, body, header := ask(t, "GET", web.URL+"/v1/models/part/recent/"+strconv.Itoa(r.Number), nil); code != 200 || header.Get("Content-Type") != "image/png" {
		t.Errorf("picture: got %d %.100s", code, body)
	}
	if code, _, _ := ask(t, "GET", web.URL+"/v1/models/part/recent/999", nil); code != http.StatusNotFound {
		t.Errorf("no picture: got %d, want 404", code)
	}
	m, _ := s.repository.model("part")
	for range 3 * recentScores {
		m.recent.add(&picture{}, "")
	}
	if n := len(m.recent.scores); n < recentScores || n >= 2*recentScores {
		t.Errorf("%d scores are remembered, want %d and fewer than twice as many", n, recentScores)
	}
}
