package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A watching is an `anomaly run --watch` that goes on.
type watching struct {
	t           *testing.T
	out, log    testenv.Buffer
	interrupted context.CancelFunc
	code        chan int
}

func startWatching(t *testing.T, args ...string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{t: t, interrupted: cancel, code: make(chan int, 1)}
	args = append([]string{"anomaly", "run", "--watch", "--interval", "10ms", "--provider", "go"}, args...)
	go func() { w.code <- Run(ctx, "dev", args, &w.out, &w.log) }()
	return w
}

// await waits until ok of what has been printed.
func (w *watching) await(what string, ok func(out, log string) bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(w.out.String(), w.log.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited for %s in vain:\n%s%s", what, &w.out, &w.log)
		}
	}
}

func (w *watching) awaitLines(n int) {
	w.t.Helper()
	w.await(fmt.Sprintf("%d results", n), func(out, _ string) bool { return strings.Count(out, "\n") == n })
}

func (w *watching) awaitLog(text string) {
	w.t.Helper()
	w.await(text, func(_, log string) bool { return strings.Contains(log, text) })
}

// end interrupts it and returns the exit code.
func (w *watching) end() int {
	w.interrupted()
	return <-w.code
}

func place(t *testing.T, path, from string) {
	t.Helper()
	if err := os.WriteFile(path+".new", mustRead(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestRunWatch(t *testing.T) {
	dir := t.TempDir()
	live, images, results := filepath.Join(dir, "live.onnx"), filepath.Join(dir, "images"), filepath.Join(dir, "images", "results")
	good, strict := withThreshold(t, ".99"), withThreshold(t, "1e-9")
	place(t, live, good)
	save := func(name string, i int) {
		t.Helper()
		if err := writePNG(filepath.Join(images, name), goodImage(i)); err != nil {
			t.Fatal(err)
		}
	}
	save("a.png", 0)
	save("b.png", 1)
	w := startWatching(t, "--json", "--out", results, live, images)
	w.awaitLines(2)
	save("sub/c.png", 2)
	w.awaitLines(3)
	place(t, live, strict)
	w.awaitLog("now using " + live)
	save("d.png", 3)
	w.awaitLines(4)
	save("a.png", 4) // once more, another one
	w.awaitLines(5)
	if err := os.WriteFile(live, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.awaitLog("the model in use stays: " + live)
	if err := os.WriteFile(filepath.Join(images, "e.png"), nil, 0o600); err != nil { // on its way
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	save("e.png", 5)
	w.awaitLines(6)
	if code := w.end(); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, &w.log)
	}
	var got []string
	for line := range strings.Lines(w.out.String()) {
		var f judge.Finding
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(filepath.Base(f.Path), " ", f.Model, " ", *f.Anomalous))
	}
	one, two := anrt.Hash(mustRead(t, good))[:anrt.HashDigits], anrt.Hash(mustRead(t, strict))[:anrt.HashDigits]
	want := []string{"a.png " + one + " false", "b.png " + one + " false", "c.png " + one + " false", "d.png " + two + " true", "a.png " + two + " true", "e.png " + two + " true"}
	if slices.Sort(got[:2]); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := folderOf(t, results), "a.png.picture.jpg b.png.picture.jpg d.png.picture.jpg e.png.picture.jpg index-"+one+".html index.html sub"; got != want {
		t.Errorf("got results %s, want %s", got, want)
	}
	for name, parts := range map[string][]string{
		"index-" + one + ".html": {"live.onnx (" + one + ")", "sub/c.png"},
		"index.html":             {"live.onnx (" + two + ")", "d.png"},
	} {
		page := string(mustRead(t, filepath.Join(results, name)))
		for _, part := range parts {
			if !strings.Contains(page, part) {
				t.Errorf("%s does not have %q", name, part)
			}
		}
		if strings.Contains(page, "Interrupted") {
			t.Errorf("%s says that it was interrupted", name)
		}
	}
}

// What ends a watch as it ends a run: images that fail, and anomalous ones.
func TestRunWatchExitCodes(t *testing.T) {
	images, broken := t.TempDir(), t.TempDir()
	if err := writePNG(filepath.Join(images, "a.png"), goodImage(0)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, "b.png"), []byte("no image"), 0o600); err != nil {
		t.Fatal(err)
	}
	strict := withThreshold(t, "1e-9")
	w := startWatching(t, "--fail-on-anomaly", strict, images)
	w.awaitLines(2) // with the table's head
	if code := w.end(); code != 3 {
		t.Errorf("an anomalous image: got exit code %d, want 3: %s", code, &w.log)
	}
	w = startWatching(t, strict, broken)
	w.awaitLog("b.png: ")
	time.Sleep(50 * time.Millisecond)
	if code := w.end(); code != 1 || strings.Count(w.log.String(), "b.png: ") != 1 {
		t.Errorf("a broken image: got exit code %d, want 1 and to hear of it once: %s", code, &w.log)
	}
	w = startWatching(t, strict, t.TempDir())
	w.awaitLog("looking for images")
	if code := w.end(); code != 0 {
		t.Errorf("an empty folder: got exit code %d, want 0: %s", code, &w.log)
	}
	mustRun(t, 1, "run", "--watch", strict, filepath.Join(images, "absent"))
	mustRun(t, 2, "run", "--watch", strict, images, "--out", images)
	for _, flags := range [][]string{{"--interval", "1s"}, {"--gate", images}, {"--shadow-images", "3"}, {"--watch", "--interval", "0s"}, {"--watch", "--shadow-images", "3"}, {"--shadow-changed", "0.1"}, {"--shadow-time", "1s"}, {"--watch", "--shadow", strict, "--shadow-time", "-1s"}, {"--shadow", strict, "--shadow-changed", "2"}} {
		mustRun(t, 2, append([]string{"run", strict, images}, flags...)...)
	}
}

func TestRunWatchGateAndShadow(t *testing.T) {
	data, dir := testSet(t, false), t.TempDir()
	live, images := filepath.Join(dir, "live.onnx"), filepath.Join(dir, "images")
	good, strict := withThreshold(t, bestThreshold(t, data)), withThreshold(t, "1e-9")
	near := filepath.Join(dir, "near.onnx")
	mustRun(t, 0, "calibrate", good, "--threshold", bestThreshold(t, data)+"1", "--out", near)
	place(t, live, good)
	for i := range 4 {
		if err := writePNG(filepath.Join(images, fmt.Sprintf("%d.png", i)), goodImage(i)); err != nil {
			t.Fatal(err)
		}
	}
	// The file of a worse model does not come into use; the candidate does.
	w := startWatching(t, "--gate", data, "--shadow", near, "--shadow-images", "4", live, images)
	w.awaitLines(5)
	place(t, live, strict)
	w.awaitLog("the model in use stays: " + live + ": refused on the golden set")
	for i := 4; !strings.Contains(w.log.String(), "promoted: "); i++ {
		if err := writePNG(filepath.Join(images, "next.png"), goodImage(i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(40 * time.Millisecond)
		if i > 400 {
			t.Fatalf("nothing is promoted:\n%s", &w.log)
		}
	}
	if code := w.end(); code != 0 || !strings.Contains(w.log.String(), "0 of the verdicts differ") {
		t.Errorf("got exit code %d, want 0: %s", code, &w.log)
	}
	if !bytes.Equal(mustRead(t, live), mustRead(t, strict)) {
		t.Error("the file has changed: it is the user's")
	}

	// Without --watch all images are compared, and nothing is promoted.
	place(t, live, good)
	stdout, stderr := mustRun(t, 0, "run", "--provider", "go", "--shadow", strict, live, images)
	n := strings.Count(stdout, "\n") - 1
	if want := fmt.Sprintf("%d images, 0 skipped, 0 failed", n); !strings.Contains(stderr, want) ||
		!strings.Contains(stderr, fmt.Sprintf("it would not be promoted: %[1]d of %[1]d verdicts differ, want at most 0", n)) || strings.Contains(stdout, "anomalous ") {
		t.Errorf("got %q and %q, want %q", stdout, stderr, want)
	}
	_, stderr = mustRun(t, 1, "run", "--provider", "go", "--shadow", strict, "--gate", data, live, images)
	if !strings.Contains(stderr, "refused on the golden set") {
		t.Errorf("refused: got %q", stderr)
	}
}

// A file that was read while it was written is no failure once it is whole, and an
// image whose files cannot have names fails alone.
func TestWatchFailures(t *testing.T) {
	dir := t.TempDir()
	images, results := filepath.Join(dir, "images"), filepath.Join(dir, "results")
	must(t, os.MkdirAll(images, 0o755))
	w := startWatching(t, tinyModel(t), images, "--out", results, "--threshold", ".99")
	must(t, os.WriteFile(filepath.Join(images, "half.png"), []byte("half"), 0o644))
	w.awaitLog("half.png: ")
	must(t, writePNG(filepath.Join(images, "half.png"), goodImage(1)))
	w.awaitLines(2)
	if code := w.end(); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, &w.log)
	}
	must(t, os.RemoveAll(images))
	must(t, writePNG(filepath.Join(images, "short.png"), goodImage(1)))
	must(t, writePNG(filepath.Join(dir, "x.png"), goodImage(2)))
	if err := os.Rename(filepath.Join(dir, "x.png"), filepath.Join(images, strings.Repeat("long", 60)+".png")); err != nil {
		t.Skip("no names as long as that: ", err)
	}
	stdout, stderr := mustRun(t, exitFailure, "run", "--provider", "go", tinyModel(t), images, "--out", results)
	if strings.Count(stdout, "\n") != 2 || !strings.Contains(stderr, "the name is too long") || !strings.Contains(stderr, "1 of 2 images failed") {
		t.Errorf("got %s%s", stdout, stderr)
	}
}

// What killed runs left goes, two runs do not write into one folder, and a link to the
// images is their folder.
func TestOutFolder(t *testing.T) {
	dir := t.TempDir()
	images, results := filepath.Join(dir, "images"), filepath.Join(dir, "results")
	must(t, writePNG(filepath.Join(images, "a", "1.png"), goodImage(1)))
	must(t, os.MkdirAll(filepath.Join(results, "a"), 0o755))
	left := []string{".index.html.123", "a/.0.png.picture.jpg.99"}
	for _, name := range left {
		must(t, os.WriteFile(filepath.Join(results, name), nil, 0o644))
	}
	mustRun(t, 0, "run", "--provider", "go", tinyModel(t), images, "--out", results, "--threshold", ".99")
	for _, name := range left {
		if _, err := os.Stat(filepath.Join(results, name)); err == nil {
			t.Errorf("%s is there still", name)
		}
	}
	release, err := atomicfile.Lock(filepath.Join(results, "index.html"))
	must(t, err)
	if _, stderr := mustRun(t, exitFailure, "run", "--provider", "go", tinyModel(t), images, "--out", results); !strings.Contains(stderr, "another process") {
		t.Errorf("two at once: got %s", stderr)
	}
	release()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(images, link); err != nil {
		t.Skip("no links: ", err)
	}
	for _, flags := range [][]string{nil, {"--watch"}} {
		if _, stderr := mustRun(t, exitUsage, append([]string{"run", "--provider", "go", tinyModel(t), images, "--out", link}, flags...)...); !strings.Contains(stderr, "is searched for images") {
			t.Errorf("%v: got %s", flags, stderr)
		}
	}
}
