package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/google/go-cmp/cmp"
)

// jsonLine is what the help text promises of run --json, apart from finding.
type jsonLine struct {
	Path      *string
	Score     *float32
	Threshold *float32
	Anomalous *bool
	Regions   *[]struct {
		X, Y, W, H, Area *int
		Score            *float32
	}
}

// keys of an object in a line of run --json.
var keys = []string{"anomalous", "path", "regions", "score", "threshold"}

// parseLines returns the lines of images that did not fail.
func parseLines(t *testing.T, stdout string) []jsonLine {
	t.Helper()
	failures(t, stdout)
	var lines []jsonLine
	for line := range strings.Lines(stdout) {
		if strings.Contains(line, `"error":`) {
			continue
		}
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		var l jsonLine
		if err := d.Decode(&l); err != nil || d.More() {
			t.Fatalf("line %q: %v", line, err)
		}
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if _, ok := object[key]; !ok {
				t.Errorf("line %q: no key %q", line, key)
			}
		}
		if l.Path == nil || l.Score == nil || l.Regions == nil {
			t.Fatalf("line %q: path, score or regions is null", line)
		}
		for _, r := range *l.Regions {
			if r.X == nil || r.Y == nil || r.W == nil || r.H == nil || r.Area == nil || r.Score == nil {
				t.Fatalf("line %q: incomplete region", line)
			}
		}
		lines = append(lines, l)
	}
	return lines
}

func TestRunJSON(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	t.Chdir(data)
	bad := filepath.Join("test", "a", "0.png")

	t.Run("anomalous", func(t *testing.T) {
		stdout, stderr := mustRun(t, 0, "run", model, bad, "--json", "--provider", "go", "--threshold", "0.05")
		lines := parseLines(t, stdout)
		if len(lines) != 1 {
			t.Fatalf("got %d lines, want 1", len(lines))
		}
		l := lines[0]
		if *l.Path != bad || l.Threshold == nil || *l.Threshold != 0.05 || l.Anomalous == nil || !*l.Anomalous || len(*l.Regions) == 0 {
			t.Fatalf("got %s", stdout)
		}
		r := (*l.Regions)[0]
		// The black square of badImage; the map's pixels are 2.5x1.9 of the image's.
		const slack = 3
		if got, want := image.Rect(*r.X, *r.Y, *r.X+*r.W, *r.Y+*r.H), image.Rect(20, 10, 30, 18); !got.In(want.Inset(-slack)) || !want.Inset(slack).In(got) {
			t.Errorf("got a region at %v, want about %v", got, want)
		}
		if *r.Score != *l.Score {
			t.Errorf("got a first region of score %v, want the image's %v", *r.Score, *l.Score)
		}
		if !strings.Contains(stderr, "using provider go") || !strings.Contains(stderr, "1 image, 1 anomalous, 0 failed") {
			t.Errorf("got standard error %q", stderr)
		}
	})
	t.Run("good", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "run", model, bad, "--json", "--provider", "go", "--threshold", ".99")
		if l := parseLines(t, stdout)[0]; *l.Anomalous || len(*l.Regions) != 0 {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("no threshold", func(t *testing.T) {
		stdout, _ := mustRun(t, 0, "run", reconstructionModel(t), bad, "--json", "--provider", "go")
		if l := parseLines(t, stdout)[0]; l.Threshold != nil || l.Anomalous != nil || len(*l.Regions) != 0 {
			t.Errorf("got %s", stdout)
		}
	})
	t.Run("rows and folders in order", func(t *testing.T) {
		rows := testRows(t, 12)
		stdout, _ := mustRun(t, 0, "run", model, rows, filepath.Join(data, "test"), "--json", "--provider", "go", "--batch", "5")
		var want, got []string
		for i := range 12 {
			want = append(want, fmt.Sprintf("%s#%d", rows, i))
		}
		for _, name := range []string{"a/0", "a/1", "a/2", "b/0", "b/1", "b/2", "good/0", "good/1", "good/2", "good/3"} {
			want = append(want, filepath.Join(data, "test", filepath.FromSlash(name)+".png"))
		}
		for _, l := range parseLines(t, stdout) {
			got = append(got, *l.Path)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("paths (-want +got):\n%s", d)
		}
	})
}

func TestRunTable(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	t.Chdir(data)
	if err := os.Rename("test/a/0.png", "test/a/new\nline.png"); err != nil {
		t.Fatal(err)
	}
	stdout, _ := mustRun(t, 0, "run", model, "test/a", "--provider", "go", "--threshold", "0.05")
	lines := strings.Split(stdout, "\n")
	if len(lines) != 5 || lines[0] != tableHead || lines[4] != "" {
		t.Fatalf("got\n%s", stdout)
	}
	for i, path := range []string{"test/a/1.png", "test/a/2.png", `"test/a/new\nline.png"`} {
		fields := strings.Fields(lines[i+1])
		if len(fields) != 5 || fields[0] != "anomalous" || fields[2] != "0.05" || fields[4] != path {
			t.Errorf("got line %q", lines[i+1])
		}
		if strings.Index(lines[i+1], path) != strings.Index(tableHead, "path") {
			t.Errorf("line %q is not aligned with %q", lines[i+1], tableHead)
		}
	}
}

func TestFailOnAnomaly(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	mustRun(t, 3, "run", model, data, "--provider", "go", "--threshold", "0.05", "--fail-on-anomaly")
	mustRun(t, 0, "run", model, data, "--provider", "go", "--threshold", ".99", "--fail-on-anomaly")
}

// list returns the files below dir, sorted.
func list(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			files = append(files, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

func TestRunSaves(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), filepath.Join(t.TempDir(), "new", "out")
	mustRun(t, 0, "run", model, filepath.Join(data, "test", "a"), filepath.Join(data, "test", "good", "0.png"), "--provider", "go",
		"--threshold", "0.05", "--out", out, "--save", "picture,map, mask,reconstruction")
	var want []string
	for _, name := range []string{"a/0.png", "a/1.png", "a/2.png", "good/0.png"} {
		want = append(want, name+".map.npy", name+".mask.png", name+".picture.jpg", name+".reconstruction.png")
	}
	if d := cmp.Diff(append(want, "index.html"), list(t, out)); d != "" {
		t.Fatalf("files (-want +got):\n%s", d)
	}
	shape, residuals, err := npy.Load[float32](filepath.Join(out, "a", "0.png.map.npy"))
	if err != nil || !slices.Equal(shape, []int{16, 16}) {
		t.Fatalf("map: got shape %v, error %v", shape, err)
	}
	stdout, _ := mustRun(t, 0, "run", model, filepath.Join(data, "test", "a", "0.png"), "--provider", "go", "--json")
	if score := *parseLines(t, stdout)[0].Score; slices.Max(residuals) != score {
		t.Errorf("map: got maximum %v, want the score %v", slices.Max(residuals), score)
	}
	mask := readPNG(t, filepath.Join(out, "a", "0.png.mask.png"))
	wantMask := (&heatmap.Map{Data: residuals, Height: 16, Width: 16}).Mask(.05, 30, 40).Image()
	if d := cmp.Diff(wantMask, mask); d != "" {
		t.Errorf("mask (-want +got):\n%s", d)
	}
	if got := readPNG(t, filepath.Join(out, "a", "0.png.reconstruction.png")).Bounds().Size(); got != image.Pt(16, 16) {
		t.Errorf("reconstruction: got size %v, want 16x16", got)
	}
	f, err := os.Open(filepath.Join(out, "a", "0.png.picture.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := jpeg.Decode(f); err != nil {
		t.Error(err)
	}
}

// Pictures of an earlier run are not taken for images.
func TestRunSavesAmongImages(t *testing.T) {
	model, data := tinyModel(t), testSet(t, false)
	t.Chdir(data)
	args := []string{"run", model, ".", "--provider", "go", "--json", "--out", "results", "--save", "picture,reconstruction"}
	want, _ := mustRun(t, 0, args...)
	got, stderr := mustRun(t, 0, args...)
	if got != want || !strings.Contains(stderr, "leaving out 20 images in results") {
		t.Errorf("the second time: got\n%s%swant\n%s", stderr, got, want)
	}
	mustRun(t, 2, "run", model, ".", "--provider", "go", "--out", "test/..")
}

func TestRunSavesRows(t *testing.T) {
	model, rows, out := tinyModel(t), testRows(t, 11), t.TempDir()
	mustRun(t, 0, "run", model, rows, "--provider", "go", "--out", out, "--save", "map")
	want := []string{"index.html"}
	for i := range 11 {
		want = append(want, fmt.Sprintf("rows.npy#%06d.map.npy", i))
	}
	if d := cmp.Diff(want, list(t, out)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
}

func TestSaveMaskNeedsThreshold(t *testing.T) {
	out := t.TempDir()
	_, stderr := mustRun(t, 0, "run", reconstructionModel(t), testSet(t, false), "--provider", "go", "--out", out, "--save", "mask")
	if strings.Count(stderr, "no masks are saved") != 1 {
		t.Errorf("got %q", stderr)
	}
	if diff := cmp.Diff([]string{"index.html"}, list(t, out)); diff != "" {
		t.Error(diff)
	}
}

func TestOneImageFails(t *testing.T) {
	model, data, out := tinyModel(t), testSet(t, false), t.TempDir()
	broken := filepath.Join(data, "test", "a", "1.png")
	if err := os.WriteFile(broken, []byte("\x89PNG\r\n\x1a\nbroken"), 0o644); err != nil {
		t.Fatal(err)
	}
	// The failure outranks the anomalies.
	stdout, stderr := mustRun(t, 1, "run", model, data, "--provider", "go", "--threshold", "0.05", "--fail-on-anomaly", "--json", "--out", out)
	if n := len(parseLines(t, stdout)); n != 9 {
		t.Errorf("got %d images, want the other 9", n)
	}
	for _, want := range []string{broken, "10 images, ", "1 failed", "1 of 10 images failed"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("got standard error %q, want %q in it", stderr, want)
		}
	}
	rows := parseReport(t, out)
	if len(rows) != 10 || rows[0] != (htmlRow{"failed", "test/a/1.png"}) {
		t.Errorf("got a report of %d rows with %v first, want 10 and the one that failed", len(rows), rows[0])
	}
}

// fragile is a network that gives its input back, and NaN for a white image.
type fragile struct{}

func (fragile) InputSize() (channels, height, width int) { return 1, 16, 16 }

func (fragile) Forward(x *graph.Value) models.Outputs {
	dark := graph.ReduceMean(graph.Sub(x.Graph().Scalar(1), x), true, 1, 2, 3)
	return models.Outputs{Reconstruction: graph.Mul(x, graph.Div(dark, dark))}
}

func TestScoreOfNaNFails(t *testing.T) {
	data := testSet(t, false)
	white := image.NewGray(image.Rect(0, 0, 20, 20))
	for i := range white.Pix {
		white.Pix[i] = 255
	}
	if err := writePNG(filepath.Join(data, "test", "good", "1.png"), white); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := onnxexport.Write(&b, fragile{}, nil, &onnxexport.Options{Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	model := filepath.Join(t.TempDir(), "fragile.onnx")
	if err := os.WriteFile(model, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := mustRun(t, 1, "run", model, filepath.Join(data, "test", "good"), "--provider", "go", "--json")
	if n := len(parseLines(t, stdout)); n != 3 || !strings.Contains(stderr, "1.png") {
		t.Errorf("got %d images and %q, want 3 and 1.png", n, stderr)
	}
}

// cancelAfter cancels a context when so many lines have been written to it.
type cancelAfter struct {
	bytes.Buffer
	lines  int
	cancel context.CancelCauseFunc
}

func (c *cancelAfter) Write(p []byte) (int, error) {
	n, err := c.Buffer.Write(p)
	if bytes.Count(c.Bytes(), []byte("\n")) >= c.lines {
		c.cancel(errors.New("interrupt signal received")) // as signal.NotifyContext does
	}
	return n, err
}

func TestRunInterrupted(t *testing.T) {
	model, rows, out := tinyModel(t), testRows(t, 100), t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	stdout := &cancelAfter{lines: 6, cancel: cancel}
	var stderr bytes.Buffer
	code := Run(ctx, "dev", []string{"anomaly", "run", model, rows, "--provider", "go", "--batch", "5", "--json", "--out", out}, stdout, &stderr)
	if code != 130 {
		t.Errorf("got exit code %d, want 130: %s", code, &stderr)
	}
	// The batch in flight, the second, is finished, and the third is not begun.
	lines := parseLines(t, stdout.String())
	if len(lines) != 10 {
		t.Errorf("got %d lines, want 10", len(lines))
	}
	if report := parseReport(t, out); len(report) != len(lines) {
		t.Errorf("got a report of %d images, want %d", len(report), len(lines))
	}
	if files := list(t, out); len(files) != len(lines)+1 {
		t.Errorf("got files %v, want %d pictures and the report", files, len(lines))
	}
	page, err := os.ReadFile(filepath.Join(out, "index.html"))
	if err != nil || !bytes.Contains(page, []byte("Interrupted after 10 of 100 images")) {
		t.Errorf("the report does not say that it was interrupted (%v)", err)
	}
}

// htmlRow is an image of a report: its verdict and its name.
type htmlRow struct{ class, name string }

// parseReport returns the rows of index.html in dir, in the order of its data.
// The page must need no other file, and their links must lead to files.
func parseReport(t *testing.T, dir string) []htmlRow {
	t.Helper()
	html, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if needs := regexp.MustCompile(`<(?:script|link|img|iframe)[^>]*(?:src|href)=|@import|https?:`).Find(html); needs != nil {
		t.Errorf("the html is not self-contained: %s", needs)
	}
	_, rest, _ := strings.Cut(string(html), `<script type="application/json" id="data">`)
	text, _, ok := strings.Cut(rest, "</script>")
	if !ok {
		t.Fatal("index.html has no data")
	}
	var data page.Data
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	exists := func(address string) {
		t.Helper()
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "" || u.Host != "" || u.Fragment != "" || u.RawQuery != "" {
			t.Errorf("link %q is not that of a file (%v)", address, err)
		} else if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(u.Path))); err != nil {
			t.Errorf("link %q: %v", address, err)
		}
	}
	var rows []htmlRow
	for _, row := range data.Rows {
		verdict := "-"
		switch {
		case row.Err != "":
			verdict = "failed"
		case data.Threshold != nil && *row.Score > *data.Threshold:
			verdict = "anomalous"
		case data.Threshold != nil:
			verdict = "good"
		}
		rows = append(rows, htmlRow{verdict, row.Name})
		if row.Err != "" {
			continue
		}
		for _, f := range data.Files {
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(row.Name)+f.Suffix)); err != nil {
				t.Error(err)
			}
		}
		if row.Source != "" {
			exists(row.Source)
		}
	}
	return rows
}

func TestReport(t *testing.T) {
	model, data, out := tinyModel(t), t.TempDir(), t.TempDir()
	names := []string{`a <b>&"'`, "c:d", "e%20f#g?h", "ü/i j"}
	for i, name := range names {
		img := goodImage(i)
		if i == 2 {
			img, _ = badImage(i)
		}
		if err := writePNG(filepath.Join(data, filepath.FromSlash(name)+".png"), img); err != nil {
			t.Fatal(err)
		}
	}
	stdout, _ := mustRun(t, 0, "run", model, data, "--provider", "go", "--json")
	var scores []float32
	for _, l := range parseLines(t, stdout) {
		scores = append(scores, *l.Score)
	}
	slices.Sort(scores)
	secondHighest := fmt.Sprint(scores[2]) // is not above itself
	mustRun(t, 0, "run", model, data, "--provider", "go", "--threshold", secondHighest, "--out", out, "--save", "picture,map,mask,reconstruction")
	rows := parseReport(t, out)
	if len(rows) != 4 || rows[0] != (htmlRow{"anomalous", names[2] + ".png"}) {
		t.Fatalf("got rows %q, want 4 and the anomalous one first", rows)
	}
	for _, r := range rows[1:] {
		if r.class != "good" || !slices.Contains(names, strings.TrimSuffix(r.name, ".png")) {
			t.Errorf("got row %q", r)
		}
	}
}

// Without a folder for it there is no report: watching would gather rows for months.
func TestSurveyGathersNothing(t *testing.T) {
	model := tinyModel(t)
	images, err := dataset.Find(filepath.Join(testSet(t, false), "test"))
	must(t, err)
	spell, err := spelling(nil)
	must(t, err)
	c := &console{out: io.Discard, log: io.Discard}
	o := &surveyOptions{model: model, minArea: 1}
	o.detector.Provider = "go"
	n := 0
	report, err := c.survey(t.Context(), images, spell, o, func(*judge.Finding) error { n++; return nil })
	if err != nil || n != len(images) || len(report.Rows) != 0 {
		t.Errorf("found %d of %d images, gathered %d rows, %v", n, len(images), len(report.Rows), err)
	}
}
