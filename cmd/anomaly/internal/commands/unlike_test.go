package commands

import (
	"encoding/json"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/judge"
)

// TestRunSaysUnlike holds that an image which is unlike the training images is told, to
// people, in JSON and to the report, and that good and bad images are not.
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
}
