//go:build !edge

package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/testenv/chromium"
)

// withFeedback returns options with a store in a folder of its own.
func withFeedback(t testing.TB, o *feedback.Options) (*Options, *feedback.Store) {
	t.Helper()
	store, err := feedback.Open(t.Context(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	options := testOptions()
	options.Feedback = store
	return options, store
}

func TestFeedback(t *testing.T) {
	o, store := withFeedback(t, nil)
	_, web, _ := newServer(t, o, nil)
	url := web.URL + "/v1/models/part"
	img := testImage(0, 50, 40)
	file := pngBytes(t, img)
	expected := want(t, modelBytes(t, 1), img)
	kept := func() []feedback.Entry {
		t.Helper()
		entries, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}

	form, kind := multipartForm(t, map[string][]byte{"a.png": file, "b.png": []byte("no image")}, "a.png", "b.png")
	code, body, _ := ask(t, "POST", url+"/feedback?mark=miss", form, "Content-Type", kind)
	items := unmarshal[[]map[string]any](t, body)
	if code != 200 || len(items) != 2 || items[0]["mark"] != "miss" || items[0]["path"] != nil || !strings.Contains(fmt.Sprint(items[1]["error"]), "neither PNG") {
		t.Fatalf("form: got %d %s", code, body)
	}
	all := kept()
	if len(all) != 1 {
		t.Fatalf("got %+v, want one entry", all)
	}
	e := all[0]
	if e.Model != "part" || e.Version != "1" || e.Hash != expected.Model || e.Name != "a.png" || *e.Score != expected.Score || *e.Threshold != *expected.Threshold || e.By != "127.0.0.1" {
		t.Errorf("got %+v, want what the model in use says of the image", e)
	}
	if b, err := os.ReadFile(e.Path); err != nil || !bytes.Equal(b, file) {
		t.Errorf("the file is another: %v", err)
	}
	_, body, _ = ask(t, "GET", url+"/recent", nil)
	if !strings.Contains(body, `"scores":[]`) {
		t.Errorf("what is marked counts as an image of the line: %s", body)
	}

	// The contrary, by the hash's beginning taken back.
	code, body, _ = ask(t, "POST", url+"/feedback?mark=false-alarm", bytes.NewReader(file))
	if e := unmarshal[feedback.Entry](t, body); code != 200 || e.Mark != feedback.FalseAlarm {
		t.Errorf("the contrary: got %d %s", code, body)
	}
	code, body, _ = ask(t, "GET", url+"/feedback", nil)
	if list := unmarshal[[]feedback.Entry](t, body); code != 200 || len(list) != 1 || list[0].Mark != feedback.FalseAlarm || list[0].Path != "" {
		t.Errorf("list: got %d %s", code, body)
	}
	code, body, _ = ask(t, "DELETE", url+"/feedback/"+e.Image[:10], nil)
	if code != 200 || len(kept()) != 0 {
		t.Errorf("taken back: got %d %s, and %+v is left", code, body, kept())
	}
}

// TestFeedbackOnRejects marks what the server has rejected, which came as a file and as
// pixels.
func TestFeedbackOnRejects(t *testing.T) {
	o, store := withFeedback(t, nil)
	s, web, _ := newServer(t, o, nil)
	url := web.URL + "/v1/models/part"
	var rejected image.Image
	for i := 0; rejected == nil; i++ {
		if img := testImage(i, side, side); want(t, modelBytes(t, 1), img).Anomalous {
			rejected = img
		}
	}
	file := pngBytes(t, rejected)
	ask(t, "POST", url+"/images", bytes.NewReader(file))
	pixels := make([]uint8, side*side*3)
	if err := imageio.Resize(pixels, rejected, side, side, 3); err != nil {
		t.Fatal(err)
	}
	values, _ := json.Marshal(slices.Collect(func(yield func(int) bool) {
		for _, v := range pixels {
			if !yield(int(v)) {
				return
			}
		}
	}))
	if code, body, _ := ask(t, "POST", web.URL+"/v2/models/part/infer",
		strings.NewReader(fmt.Sprintf(`{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,%d,%d,3],"data":%s}]}`, side, side, values))); code != 200 {
		t.Fatalf("got %d %s", code, body)
	}
	for number := 1; number <= 2; number++ {
		code, body, _ := ask(t, "POST", fmt.Sprintf("%s/feedback?mark=false-alarm&recent=%d", url, number), nil)
		e := unmarshal[feedback.Entry](t, body)
		if code != 200 || *e.Score != want(t, modelBytes(t, 1), rejected).Score || e.Version != "1" {
			t.Fatalf("reject %d: got %d %s", number, code, body)
		}
		_, body, _ = ask(t, "GET", url+"/recent", nil)
		if !strings.Contains(body, `"mark":"false-alarm","image":"`+e.Image) {
			t.Errorf("reject %d is not said to be marked: %s", number, body)
		}
		entries, err := store.List(t.Context())
		if err != nil || len(entries) != 1 {
			t.Fatalf("got %+v, %v, want one entry", entries, err)
		}
		b, err := os.ReadFile(entries[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		if number == 1 && !bytes.Equal(b, file) {
			t.Error("the file is another")
		}
		code, body, _ = ask(t, "POST", url+"/images", bytes.NewReader(b))
		if !strings.Contains(body, fmt.Sprint(*e.Score)) {
			t.Errorf("reject %d is kept as an image that scores otherwise: %d %s, want %v", number, code, body, *e.Score)
		}
		ask(t, "DELETE", url+"/feedback/"+e.Image, nil)
		if _, body, _ = ask(t, "GET", url+"/recent", nil); strings.Contains(body, `"mark"`) {
			t.Errorf("reject %d is still said to be marked: %s", number, body)
		}
	}

	// Files are kept within a budget, the newest.
	m, err := s.repository.model("part")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		p := &picture{file: make([]byte, recentBytes/2)}
		p.result.Anomalous = true
		m.recent.add(p, "1")
	}
	held := 0
	for _, r := range m.recent.rejects {
		held += len(r.file)
	}
	if held != recentBytes {
		t.Errorf("%d bytes of files are held, want %d", held, recentBytes)
	}
	first := m.recent.rejects[len(m.recent.rejects)-3].Number
	if code, body, _ := ask(t, "POST", fmt.Sprintf("%s/feedback?mark=false-alarm&recent=%d", url, first), nil); code != 404 || !strings.Contains(body, "send it") {
		t.Errorf("a file that is not held: got %d %s", code, body)
	}
}

func TestFeedbackRefused(t *testing.T) {
	file := pngBytes(t, testImage(0, 32, 32))
	o, _ := withFeedback(t, &feedback.Options{MaxBytes: int64(len(file))})
	o.OpenAdmin, o.Credentials.Tokens = false, written(t, "line infer 0123456789abcdef\nqa infer,feedback fedcba9876543210\nops admin 00112233445566778\n")
	_, web, _ := newServer(t, o, nil)
	const line, qa, ops = "Bearer 0123456789abcdef", "Bearer fedcba9876543210", "Bearer 00112233445566778"
	other := pngBytes(t, testImage(1, 32, 32))
	for _, tt := range []struct {
		method, path, body, token string
		code                      int
		want                      string
	}{
		{"POST", "?mark=miss", string(file), line, http.StatusForbidden, "does not have feedback"},
		{"GET", "", "", line, http.StatusForbidden, "does not have feedback"},
		{"POST", "?mark=miss", string(file), "", http.StatusUnauthorized, "token"},
		{"POST", "?mark=good", string(file), qa, http.StatusBadRequest, "false-alarm or miss"},
		{"POST", "", string(file), qa, http.StatusBadRequest, "false-alarm or miss"},
		{"POST", "?mark=miss", "no image", qa, http.StatusUnsupportedMediaType, "neither PNG"},
		{"POST", "?mark=miss", "", qa, http.StatusBadRequest, "no image"},
		{"POST", "?mark=miss&recent=1", "", qa, http.StatusNotFound, "no reject 1"},
		{"POST", "?mark=miss&recent=x", "", qa, http.StatusBadRequest, "number"},
		{"POST", "?mark=miss", string(file), qa, http.StatusOK, `"by":"qa"`},
		{"POST", "?mark=miss", string(other), ops, http.StatusInsufficientStorage, "no room"},
		{"DELETE", "/abc", "", qa, http.StatusBadRequest, "hexadecimal"},
		{"DELETE", "/0123456789", "", qa, http.StatusNotFound, "no such image"},
	} {
		code, body, _ := ask(t, tt.method, web.URL+"/v1/models/part/feedback"+tt.path, strings.NewReader(tt.body), "Authorization", tt.token)
		if code != tt.code || !strings.Contains(body, tt.want) {
			t.Errorf("%s %s: got %d %s, want %d and %q", tt.method, tt.path, code, body, tt.code, tt.want)
		}
	}

	_, web, _ = newServer(t, testOptions(), nil)
	if code, body, _ := ask(t, "POST", web.URL+"/v1/models/part/feedback?mark=miss", bytes.NewReader(file)); code != http.StatusConflict || !strings.Contains(body, "--feedback DIR") {
		t.Errorf("without a store: got %d %s", code, body)
	}
	o = testOptions()
	o.OpenAdmin = false
	_, web, _ = newServer(t, o, nil)
	if code, body, _ := ask(t, "GET", web.URL+"/v1/models/part/feedback", nil); code != http.StatusForbidden {
		t.Errorf("for everybody: got %d %s", code, body)
	}
}

// TestPageFeedback marks by the page's buttons.
func TestPageFeedback(t *testing.T) {
	o, store := withFeedback(t, nil)
	s, _, dir := newServer(t, o, nil)
	web, _ := serving(t, s)
	var files []string
	flat := image.NewGray(image.Rect(0, 0, 60, 40))
	for i := range flat.Pix {
		flat.Pix[i] = 64
	}
	wanted := map[string]feedback.Mark{}
	for i, img := range []image.Image{testImage(0, 60, 40), testImage(1, 60, 40), testImage(2, 60, 40), flat} {
		name := fmt.Sprintf("picture %d.png", i)
		files = append(files, filepath.Join(dir, name))
		put(t, pngBytes(t, img), files[i])
		if wanted[name] = feedback.Miss; want(t, modelBytes(t, 1), img).Anomalous {
			wanted[name] = feedback.FalseAlarm
		}
	}
	if wanted["picture 0.png"] == wanted["picture 3.png"] {
		t.Fatalf("got %v, want images of both kinds", wanted)
	}
	ctx := openChromium(t, "http://"+web+"/")
	until(t, ctx, "the model", `$('state').textContent.startsWith('version 1')`)
	browse(t, ctx, chromedp.SetUploadFiles(chromedp.CSS("#files"), files))
	until(t, ctx, "the results", `document.querySelectorAll('#results .mark').length === 4`)
	until(t, ctx, "the rejects", `document.querySelectorAll('#rejects .mark').length > 0`)
	marks := func() map[string]feedback.Mark {
		t.Helper()
		entries, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]feedback.Mark{}
		for _, e := range entries {
			m[e.Name] = e.Mark
		}
		return m
	}
	chromium.Eval[bool](t, ctx, `document.querySelectorAll('#results .mark').forEach(b => b.click()), true`)
	until(t, ctx, "four marks", `document.querySelectorAll('#results .mark[aria-pressed=true]').length === 4`)
	if got := marks(); !maps.Equal(got, wanted) {
		t.Errorf("got %v, want %v", got, wanted)
	}
	screenshot(t, ctx, "page-feedback")
	chromium.Eval[bool](t, ctx, `document.querySelectorAll('#results .mark').forEach(b => b.click()), true`)
	until(t, ctx, "no marks", `document.querySelectorAll('#results .mark[aria-pressed=true]').length === 0`)
	if got := marks(); len(got) != 0 {
		t.Errorf("taken back, got %v", got)
	}

	click(t, ctx, "#rejects .mark")
	until(t, ctx, "a reject's mark", `document.querySelectorAll('#rejects .mark[aria-pressed=true]').length === 1`)
	if got := marks(); len(got) != 1 {
		t.Errorf("got %v, want a mark", got)
	}
	browse(t, ctx, chromedp.Reload())
	until(t, ctx, "it after a new start of the page", `document.querySelectorAll('#rejects .mark[aria-pressed=true]').length === 1`)
	click(t, ctx, "#rejects .mark[aria-pressed=true]")
	until(t, ctx, "its end", `document.querySelectorAll('#rejects .mark[aria-pressed=true]').length === 0`)
	if got := marks(); len(got) != 0 {
		t.Errorf("taken back, got %v", got)
	}
	if chromium.Eval[bool](t, ctx, `!$('notice').hidden`) {
		t.Errorf("the page says %s", chromium.Eval[string](t, ctx, `$('notice').textContent`))
	}
}
