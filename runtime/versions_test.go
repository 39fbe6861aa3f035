package runtime

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// Each step that refuses a model leaves the file, and what is kept, as it was.
func TestDeploy(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.onnx")
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	spec := models.Spec{Height: 16, Filters: 2, Depth: 1}
	b := [][]byte{detectorModel(t, spec, &onnxexport.Options{Threshold: .1}), detectorModel(t, spec, &onnxexport.Options{Threshold: .2})}
	first, second := write("first", b[0]), write("second", b[1])
	o := &DeployOptions{Detector: &Options{SessionOptions: SessionOptions{Provider: Go}}}

	d, err := Deploy(t.Context(), first, live, o)
	if err != nil || d.Hash != Hash(b[0]) || d.Replaced != "" || d.Kept != "" || d.Already || d.Tested {
		t.Fatalf("got %+v, %v", d, err)
	}
	if d, err = Deploy(t.Context(), first, live, o); err != nil || !d.Already {
		t.Errorf("again: got %+v, %v", d, err)
	}

	refused := errors.New("refused")
	tried := 0
	try := *o
	try.Try = func(_ context.Context, model []byte) error { tried++; return refused }
	gate := *o
	gate.Gate = func(_ context.Context, current, candidate *Detector) error {
		if current.Info().Hash != Hash(b[0]) || candidate.Info().Hash != Hash(b[1]) {
			t.Error("the gate got other models")
		}
		return refused
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"try":      func() error { _, err := Deploy(t.Context(), second, live, &try); return err }(),
		"gate":     func() error { _, err := Deploy(t.Context(), second, live, &gate); return err }(),
		"context":  func() error { _, err := Deploy(ended, second, live, o); return err }(),
		"no model": func() error { _, err := Deploy(t.Context(), write("text", []byte("text")), live, o); return err }(),
		"keep":     func() error { _, err := Deploy(t.Context(), second, live, &DeployOptions{Keep: -1}); return err }(),
	} {
		want := map[string]error{"try": refused, "gate": refused, "context": context.Canceled, "no model": ErrModel, "keep": ErrInput}[name]
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if now, _ := os.ReadFile(live); !bytes.Equal(now, b[0]) {
			t.Errorf("%s: the model in place has changed", name)
		}
		if v, err := Versions(live); len(v) > 0 || err != nil {
			t.Errorf("%s: got versions %v, %v", name, v, err)
		}
	}
	if tried != 1 {
		t.Errorf("tried %d times, want once", tried)
	}

	if d, err = Deploy(t.Context(), second, live, o); err != nil || d.Replaced != Hash(b[0]) {
		t.Fatalf("got %+v, %v", d, err)
	}
	if v, err := Versions(live); err != nil || len(v) != 1 || v[0].Path != d.Kept || v[0].Number != 1 || !strings.HasPrefix(d.Replaced, v[0].Hash) {
		t.Errorf("got versions %v, %v", v, err)
	}
	if d, err = Rollback(live); err != nil || d.Hash != Hash(b[0]) || d.Replaced != Hash(b[1]) {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err = Rollback(live); !errors.Is(err, ErrModel) {
		t.Errorf("got %v, want ErrModel", err)
	}
}

// Back and forth, each of the models is somewhere at any time, also on file systems
// without links and after steps that were cut short.
func TestRollForward(t *testing.T) {
	dir := t.TempDir()
	live := filepath.Join(dir, "live.onnx")
	spec := models.Spec{Height: 16, Filters: 2, Depth: 1}
	var b [][]byte
	for _, threshold := range []float32{.1, .2, .3} {
		b = append(b, detectorModel(t, spec, &onnxexport.Options{Threshold: threshold}))
		if d, err := Replace(b[len(b)-1], live); err != nil || d.Hash != Hash(b[len(b)-1]) {
			t.Fatalf("got %+v, %v", d, err)
		}
	}
	in := func(want int) {
		t.Helper()
		if now, err := os.ReadFile(live); !bytes.Equal(now, b[want]) {
			t.Errorf("got another model in place than %d, %v", want, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != len(b) {
			t.Errorf("got files %v, %v, want %d", entries, err, len(b))
		}
	}
	in(2)
	for _, s := range []struct {
		step func(string) (*Deployment, error)
		to   int
	}{{Rollback, 1}, {RollForward, 2}, {Rollback, 1}, {Rollback, 0}, {RollForward, 1}, {Rollback, 0}, {RollForward, 1}, {RollForward, 2}, {Rollback, 1}} {
		d, err := s.step(live)
		if err != nil || d.Hash != Hash(b[s.to]) {
			t.Fatalf("got %+v, %v", d, err)
		}
		if kept, err := os.ReadFile(d.Kept); err != nil || Hash(kept) != d.Replaced {
			t.Errorf("what was in place is not kept: %v", err)
		}
		in(s.to)
	}
	versions, err := Versions(live)
	if err != nil || len(versions) != 2 || versions[0].Undone || !versions[1].Undone || versions[1].Number != 3 || versions[0].Time.IsZero() {
		t.Errorf("got %+v, %v", versions, err)
	}
	// A forward step that ended before its rename.
	if err := os.WriteFile(versionPath(live, 2, Hash(b[1]), false), b[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := Rollback(live); err != nil || d.Hash != Hash(b[0]) {
		t.Errorf("got %+v, %v", d, err)
	}
	in(0)
	if err := os.WriteFile(versionPath(live, 2, Hash(b[1]), true), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RollForward(live); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("damaged: got %v", err)
	}
	in(0)
	// A link is replaced, never what it leads to.
	real := filepath.Join(t.TempDir(), "real")
	if err := os.Rename(live, real); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, live); err != nil {
		t.Skip("no links: ", err)
	}
	if err := os.WriteFile(versionPath(live, 2, Hash(b[1]), true), b[1], 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := RollForward(live)
	if err != nil || d.Hash != Hash(b[1]) {
		t.Fatalf("got %+v, %v", d, err)
	}
	if info, err := os.Lstat(d.Kept); err != nil || !info.Mode().IsRegular() {
		t.Errorf("got %v, %v kept, want a file", info, err)
	}
	in(1)
}

func TestReplace(t *testing.T) {
	live := filepath.Join(t.TempDir(), "live.onnx")
	model := detectorModel(t, models.Spec{Height: 16, Filters: 2, Depth: 1}, &onnxexport.Options{Threshold: .1})
	if err := os.WriteFile(live, []byte("notes"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Replace(model, live); !errors.Is(err, ErrModel) {
		t.Errorf("over text: got %v, want ErrModel", err)
	}
	if b, _ := os.ReadFile(live); string(b) != "notes" {
		t.Error("the text is lost")
	}
	if err := os.WriteFile(live, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := Replace(model, live); err != nil || d.Kept != "" {
		t.Errorf("over an empty file: got %+v, %v", d, err)
	}
	if d, err := Replace(model, live); err != nil || !d.Already || d.Kept != "" {
		t.Errorf("again: got %+v, %v", d, err)
	}
}
