package commands

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
)

// svgs returns the charts of a page and fails unless they are well-formed.
func svgs(t *testing.T, html string) []string {
	t.Helper()
	found := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(html, -1)
	for _, svg := range found {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
	}
	return found
}

func TestTrainReport(t *testing.T) {
	tinyModel(t)
	data, dir := filepath.Join(scratch, "train"), t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	read := func(name string) string {
		t.Helper()
		b, err := os.ReadFile(path(name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	train := func(out string, more ...string) {
		t.Helper()
		mustRun(t, 0, append(append([]string{"train", "--data", data, "--out", path(out)}, tiny...), more...)...)
	}
	train("a.onnx", "--epochs", "20", "--report", path("a.html"))
	train("b.onnx", "--epochs", "3", "--lr", "0.004")
	html := read("a.html")
	if charts := svgs(t, html); len(charts) != 3 || strings.Count(charts[0], "class=\"curve") != 2 {
		t.Errorf("got charts %q, want loss (trained and held back), rate and norm", charts)
	}
	for _, chart := range svgs(t, html) {
		if !strings.Contains(chart, ", logarithmic</text>") || !strings.Contains(chart, ">epoch</text>") {
			t.Errorf("got axes without labels in %q", chart)
		}
	}
	conclusion := regexp.MustCompile(`<p>Threshold [\d.e-]+, after 20 of 20 epochs; [\d.]+ s on .+, provider \w+.</p>\s*<section class="banner \w+"`)
	if !conclusion.MatchString(html) {
		t.Errorf("got no threshold, time, machine and verdict in the page, want %v", conclusion)
	}
	want := []string{}
	for _, epoch := range []string{"1", "2", "4", "6", "8", "10", "12", "14", "16", "18", "20"} {
		want = append(want, "epoch "+epoch)
	}
	var got []string
	for _, m := range regexp.MustCompile(`<span>(epoch \d+)</span><img src="data:image/png;base64,`).FindAllStringSubmatch(html, -1) {
		got = append(got, m[1])
	}
	if !slices.Equal(got, want) {
		t.Errorf("got pictures of %v, want %v", got, want)
	}
	if img := readPNG(t, filepath.Join(path("a.onnx"+page.SamplesSuffix), "epoch-000020.png")).Bounds().Size(); img.X != 6*128 || img.Y != 2*128 {
		t.Errorf("got a picture of %v, want 6 images of 128 above their reconstructions", img)
	}
	if regexp.MustCompile(`(src|href)="(https?:|/|\.)`).MatchString(html) {
		t.Error("the page is not self-contained")
	}

	stdout, _ := mustRun(t, 0, "train-report", path("a.onnx"+page.LogSuffix), path("b.onnx"+page.LogSuffix), "--out", path("both.html"))
	if stdout != path("both.html")+"\n" {
		t.Errorf("got standard output %q", stdout)
	}
	html = read("both.html")
	if charts := svgs(t, html); len(charts) != 3 || strings.Count(charts[0], "class=\"curve") != 4 {
		t.Errorf("got charts %q, want two runs'", charts)
	}
	for _, want := range []string{"a.onnx", "b.onnx", "20 of 20", "3 of 3", `<tr class="differs"><th>lr</th><td>0.002</td><td>0.004</td></tr>`, `<tr><th>seed</th><td>1</td><td>1</td></tr>`} {
		if !strings.Contains(html, want) {
			t.Errorf("got no %q in the page", want)
		}
	}
	// A model that is not there, or of another run, says nothing about this one.
	b, err := os.ReadFile(path("a.onnx"))
	must(t, err)
	for _, c := range []func(){
		func() { must(t, os.Remove(path("b.onnx"))) },
		func() { must(t, os.WriteFile(path("b.onnx"), b, 0o644)) },
	} {
		c()
		mustRun(t, 0, "train-report", path("b.onnx"+page.LogSuffix), "--out", path("b.html"))
		if html := read("b.html"); !strings.Contains(html, "No model yet: epoch 3 of 3") || strings.Contains(html, `<section class="banner`) {
			t.Errorf("got a conclusion from the wrong model, or none in %q", html)
		}
	}
	for args, want := range map[string]string{
		"":                          "needs logs",
		path("no" + page.LogSuffix): "no such file",
		path("a.onnx"):              "line 1",
	} {
		code := 1
		if args == "" {
			code = 2
		}
		if _, stderr := mustRun(t, code, append([]string{"train-report", "--out", path("x.html")}, strings.Fields(args)...)...); !strings.Contains(stderr, want) {
			t.Errorf("%q: got %q, want %q in it", args, stderr, want)
		}
	}
}
