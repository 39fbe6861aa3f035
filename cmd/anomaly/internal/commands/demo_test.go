package commands

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/parts"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// quickDemo takes seconds.
var quickDemo = demoOptions{
	seed: 1, engine: anrt.SessionOptions{Provider: anrt.Go}, train: 20, good: 2, defective: 1, epochs: 1,
	spec: models.Spec{Channels: 1, Height: 16, Width: 16, Filters: 4, Depth: 1},
}

func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	c := &console{out: &stdout, log: &stderr}
	o := quickDemo
	o.dir = filepath.Join(t.TempDir(), "demo")
	if err := c.demo(t.Context(), &o); err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	for _, want := range []string{"threshold", "AU-PRO", "scratch", "against 2 good images", filepath.Join(o.dir, "results", "index.html"), "anomaly run"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("got standard output %q, want %q in it", &stdout, want)
		}
	}
	if rows := parseReport(t, filepath.Join(o.dir, "results")); len(rows) != 2+len(parts.Defects) {
		t.Errorf("got a report of %d images, want %d", len(rows), 2+len(parts.Defects))
	}
	before := list(t, o.dir)
	t.Run("again", func(t *testing.T) {
		model, err := os.ReadFile(filepath.Join(o.dir, "model.onnx"))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.demo(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
		again, err := os.ReadFile(filepath.Join(o.dir, "model.onnx"))
		if err != nil || !bytes.Equal(model, again) || len(list(t, o.dir)) != len(before) {
			t.Errorf("the same seed gives another model or other files (%v)", err)
		}
	})
	t.Run("interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := c.demo(ctx, &o); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

func TestDemoKeepsOthersFiles(t *testing.T) {
	o := quickDemo
	o.dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.dir, "model.onnx"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := &console{out: new(bytes.Buffer), log: new(bytes.Buffer)}
	if err := c.demo(t.Context(), &o); err == nil {
		t.Fatal("a folder with other files is taken")
	}
	if files := list(t, o.dir); len(files) != 1 {
		t.Errorf("got files %v, want what was there", files)
	}
}
