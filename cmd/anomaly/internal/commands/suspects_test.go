package commands

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/onnxexport"
)

func TestSuspects(t *testing.T) {
	dir := t.TempDir()
	bad := []string{"07.png", "33.png"}
	for i := range 60 {
		name := fmt.Sprintf("%02d.png", i)
		img := goodImage(i)
		if slices.Contains(bad, name) {
			img, _ = badImage(i)
		}
		if err := writePNG(filepath.Join(dir, "data", name), img); err != nil {
			t.Fatal(err)
		}
	}
	out, results := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "suspects")
	args := append([]string{"train", "--data", filepath.Join(dir, "data"), "--out", out, "--suspects", results}, tiny...)
	args = append(args, "--drop-suspects", "--epochs", "1")
	named := func(stdout string) []string {
		var names []string
		for line := range strings.Lines(stdout) {
			if f := strings.Fields(line); f[0] == "suspect" {
				names = append(names, f[1])
			}
		}
		slices.Sort(names)
		return names
	}
	images := func() string {
		t.Helper()
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		model, err := onnxexport.Reopen(b)
		if err != nil {
			t.Fatal(err)
		}
		return model.Metadata["anomaly.data.images"]
	}
	stdout, stderr := mustRun(t, 0, args...)
	if got := named(stdout); !slices.Equal(got, bad) || images() != "58" {
		t.Errorf("got suspects %v, want %v, and %s images to train on, want 58\n%s", got, bad, images(), stderr)
	}
	var ranked []page.Suspect
	b, err := os.ReadFile(filepath.Join(results, "suspects.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &ranked); err != nil {
		t.Fatal(err)
	}
	if len(ranked) != 60 || !ranked[1].Suspect || ranked[2].Suspect || !slices.IsSortedFunc(ranked, func(a, b page.Suspect) int { return cmp.Compare(b.Z, a.Z) }) {
		t.Errorf("got %+v, want 60, the two suspects first", ranked)
	}
	page, err := os.ReadFile(filepath.Join(results, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(page), `src="data:image/jpeg;base64,`); n != 2+besides || strings.Count(string(page), `class="suspect"`) != 2 {
		t.Errorf("got %d pictures, want 2 of suspects and %d besides", n, besides)
	}

	if files := list(t, dir); slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, checkpointSuffix) }) {
		t.Errorf("got files %v, want no checkpoint", files)
	}
}
