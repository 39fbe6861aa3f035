package commands

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// folderOf lists a folder.
func folderOf(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// withThreshold is the tiny model with another threshold.
func withThreshold(t *testing.T, threshold string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "t"+threshold+".onnx")
	mustRun(t, 0, "calibrate", tinyModel(t), "--threshold", threshold, "--out", path)
	return path
}

func TestDeployAndRollback(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.onnx")
	deploy := func(model string, args ...string) string {
		t.Helper()
		stdout, _ := mustRun(t, 0, append([]string{"deploy", "--provider", "go", model, live}, args...)...)
		if !bytes.Equal(mustRead(t, live), mustRead(t, model)) {
			t.Fatalf("live.onnx is not %s", model)
		}
		return stdout
	}
	var models, hashes []string
	for _, threshold := range []string{"0.1", "0.2", "0.3", "0.4"} {
		models = append(models, withThreshold(t, threshold))
		hashes = append(hashes, anrt.Hash(mustRead(t, models[len(models)-1]))[:12])
	}
	if _, stderr := mustRun(t, 1, "rollback", live); !strings.Contains(stderr, "no earlier model is kept") {
		t.Errorf("nothing there: got %q", stderr)
	}
	if got, want := deploy(models[0]), live+"  is "+hashes[0]+" now\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := deploy(models[0]); !strings.Contains(got, "already") || folderOf(t, dir) != "live.onnx" {
		t.Errorf("again: got %q and files %s", got, folderOf(t, dir))
	}
	for i, m := range models[1:] {
		if got, want := deploy(m, "--keep", "2"), hashes[i+1]+" now, what it was is "+live+".000"; !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got, want := folderOf(t, dir), "live.onnx live.onnx.0002-"+hashes[1]+" live.onnx.0003-"+hashes[2]; got != want {
		t.Errorf("got files %s, want %s", got, want)
	}
	// A deploy that was killed before the rename has kept what is there.
	if err := os.WriteFile(live+".0004-"+hashes[3], mustRead(t, models[3]), 0o600); err != nil {
		t.Fatal(err)
	}
	step := func(from, to int, flags ...string) {
		t.Helper()
		stdout, _ := mustRun(t, 0, append([]string{"rollback", live}, flags...)...)
		if !bytes.Equal(mustRead(t, live), mustRead(t, models[to])) || !strings.Contains(stdout, hashes[to]+" again, in place of "+hashes[from]) {
			t.Errorf("%v from %d to %d: got %q", flags, from, to, stdout)
		}
	}
	step(3, 2)
	step(2, 1)
	mustRun(t, 1, "rollback", live)
	if got, want := folderOf(t, dir), "live.onnx live.onnx.0003-"+hashes[2]+".undone live.onnx.0004-"+hashes[3]+".undone"; got != want {
		t.Errorf("got files %s, want %s", got, want)
	}
	step(1, 2, "--forward")
	stdout, _ := mustRun(t, 0, "versions", live)
	var listed []string
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); len(fields) > 5 {
			listed = append(listed, strings.Join(slices.Delete(fields, len(fields)-4, len(fields)-2), " ")) // without the time
		}
	}
	if want := []string{
		"earlier " + hashes[1] + " 0.2 " + live + ".0002-" + hashes[1],
		"in place " + hashes[2] + " 0.3 " + live,
		"rolled back from " + hashes[3] + " 0.4 " + live + ".0004-" + hashes[3] + ".undone",
	}; !slices.Equal(listed[1:], want) {
		t.Errorf("got\n%s, want %q", stdout, want)
	}
	stdout, _ = mustRun(t, 0, "versions", live, "--json")
	if strings.Count(stdout, "\n") != 3 || !strings.Contains(stdout, `{"state":"live","path":"`+live+`","hash":"`+hashes[2]+`","time":"`) || !strings.Contains(stdout, `"threshold":0.3`) {
		t.Errorf("got %s", stdout)
	}
	step(2, 3, "--forward")
	mustRun(t, 1, "rollback", live, "--forward")
	step(3, 2)
	// What was rolled back from goes with the next deploy.
	if _, stderr := mustRun(t, 0, "deploy", "--provider", "go", models[0], live); !strings.Contains(stderr, ".0004-"+hashes[3]+".undone is kept no more") {
		t.Errorf("got %q", stderr)
	}
	step(0, 2)
	step(2, 1)
	for _, undone := range []string{".0003-" + hashes[2], ".0004-" + hashes[0]} {
		must(t, os.Remove(live+undone+".undone"))
	}

	release, err := atomicfile.Lock(live)
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"rollback", live}, {"deploy", models[1], live}} {
		if _, stderr := mustRun(t, 1, args...); !strings.Contains(stderr, "another process") {
			t.Errorf("%v beside another one: got %q", args, stderr)
		}
	}
	release()

	deploy(models[2])
	kept := live + ".0001-" + hashes[1]
	if err := os.WriteFile(kept, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr := mustRun(t, 1, "rollback", live); !strings.Contains(stderr, kept+" is damaged") {
		t.Errorf("damaged: got %q", stderr)
	}
	if !bytes.Equal(mustRead(t, live), mustRead(t, models[2])) {
		t.Error("the model has changed though its predecessor is damaged")
	}
}

func TestDeployGate(t *testing.T) {
	data, dir := testSet(t, false), t.TempDir()
	live := filepath.Join(dir, "live.onnx")
	const strict, blind = "1e-9", "0.99" // below all scores, and above
	good := withThreshold(t, bestThreshold(t, data))
	args := func(model string) []string {
		return []string{"deploy", "--provider", "go", "--gate", data, model, live}
	}
	_, stderr := mustRun(t, 0, args(good)...) // nothing to compare with
	if !strings.Contains(stderr, "4 good and 6 anomalous images") || strings.Contains(stderr, "in use") {
		t.Errorf("first: got %q", stderr)
	}
	before := mustRead(t, live)
	for model, why := range map[string]string{
		withThreshold(t, strict): "4 of 10 verdicts are wrong, of the model in use 0",
		withThreshold(t, blind):  "it misses 6 of 6 anomalous images, the model in use 0",
		reconstructionModel(t):   "it does not say what is anomalous",
	} {
		_, stderr := mustRun(t, 1, args(model)...)
		if !strings.Contains(stderr, "refused on the golden set "+data+": "+why) {
			t.Errorf("got %q, want %q", stderr, why)
		}
		if !bytes.Equal(mustRead(t, live), before) || folderOf(t, dir) != "live.onnx" {
			t.Errorf("%s: the files have changed: %s", why, folderOf(t, dir))
		}
	}
	// What is not worse may pass; and a live file that is no model holds nothing up.
	if err := os.WriteFile(live, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, stderr := mustRun(t, 0, args(withThreshold(t, strict))...); !strings.Contains(stderr, "nothing to compare with") {
		t.Errorf("rubbish: got %q", stderr)
	}
	_, stderr = mustRun(t, 0, args(good)...)
	if !strings.Contains(strings.Join(strings.Fields(stderr), " "), "in use new false rejects 4 0 missed 0 0 ") {
		t.Errorf("better: got %q", stderr)
	}
}

// Limits refuse a model where there is none to compare with; the set is folders of any names.
func TestDeployGateLimits(t *testing.T) {
	data, live := testSet(t, false), filepath.Join(t.TempDir(), "live.onnx")
	golden := filepath.Join(data, "test") // good, a and b
	args := func(threshold string, limits ...string) []string {
		return append([]string{"deploy", "--provider", "go", "--gate", golden, withThreshold(t, threshold), live}, limits...)
	}
	for _, tt := range []struct{ threshold, limit, share, why string }{
		{"1e-9", "--gate-false-reject", "0.9", "it rejects 4 of 4 good images, the limit is 0.9"},
		{"0.99", "--gate-recall", "0.1", "it finds 0 of 6 anomalous images, the limit is 0.1"},
	} {
		if _, stderr := mustRun(t, 1, args(tt.threshold, tt.limit, tt.share)...); !strings.Contains(stderr, "refused on the golden set "+golden+": "+tt.why) {
			t.Errorf("got %q, want %q", stderr, tt.why)
		}
	}
	mustRun(t, 0, args(bestThreshold(t, data), "--gate-false-reject", "0", "--gate-recall", "1")...)
	mustRun(t, exitUsage, args("0.5", "--gate-recall", "2")...)
	mustRun(t, exitUsage, "deploy", tinyModel(t), live, "--gate-recall", "0.5")
}

// bestThreshold is one between the good and the anomalous images of a set.
func bestThreshold(t *testing.T, data string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "best.onnx")
	mustRun(t, 0, "calibrate", tinyModel(t), "--provider", "go", "--data", data, "--f1", "--out", path)
	threshold, _, _ := thresholds(t, path)
	return page.Short(threshold)
}

// A model that ends the process which computes it is refused, and named, by all that
// put models in place.
func TestDeadlyModel(t *testing.T) {
	dir := t.TempDir()
	live, images := filepath.Join(dir, "live.onnx"), filepath.Join(dir, "images")
	good, deadly := withThreshold(t, ".99"), withThreshold(t, ".98")
	place(t, live, good)
	if err := writePNG(filepath.Join(images, "a.png"), goodImage(0)); err != nil {
		t.Fatal(err)
	}
	w := startWatching(t, live, images)
	w.awaitLines(2)
	for how, says := range map[string]string{"crash": "panic: ONNX Runtime crashed", "killed": "killed: out of memory"} {
		t.Setenv(dies, how)
		code, _, stderr := anomaly(t.Context(), "deploy", "--provider", "go", deadly, live)
		if code != 1 || !strings.Contains(stderr, errKilled.Error()) || !strings.Contains(stderr, says) {
			t.Errorf("deploy, %s: got exit code %d and %q, want 1 and %q", how, code, stderr, says)
		}
		if !bytes.Equal(mustRead(t, live), mustRead(t, good)) {
			t.Fatalf("deploy, %s: the model in place is another", how)
		}
	}
	place(t, live, deadly)
	w.awaitLog("the model in use stays: " + live + ": runtime: model: " + errKilled.Error())
	if err := writePNG(filepath.Join(images, "b.png"), goodImage(1)); err != nil {
		t.Fatal(err)
	}
	w.awaitLines(3)
	if code := w.end(); code != 0 {
		t.Errorf("run --watch: got exit code %d, want 0", code)
	}
	if code, stdout, stderr := anomaly(t.Context(), "serve", "--provider", "go", "--listen", "127.0.0.1:0", "--grpc-listen", "none", live); code != 1 || !strings.Contains(stderr+stdout, errKilled.Error()) {
		t.Errorf("serve: got exit code %d and %q, want 1 and %q", code, stderr+stdout, errKilled)
	}
}
