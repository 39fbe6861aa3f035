package main

import (
	"bytes"
	"context"
	"errors"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

func TestPart(t *testing.T) {
	draw := func(defect string) (*image.RGBA, *image.Gray) {
		return newPart(rand.New(rand.NewPCG(1, 2)), defect).draw()
	}
	good, mask := draw("")
	for _, v := range mask.Pix {
		if v != 0 {
			t.Fatal("a good part has a mask")
		}
	}
	if again, _ := draw(""); !bytes.Equal(good.Pix, again.Pix) {
		t.Error("the same seed gives another picture")
	}
	for _, defect := range defects {
		t.Run(defect, func(t *testing.T) {
			img, mask := draw(defect) // of the same part as good, but for the defect
			set, seen, elsewhere := 0, 0, 0
			for y := range partSize {
				for x := range partSize {
					d := 0 // how far the pixel is from the good one
					for c := range 3 {
						a, b := int(img.Pix[img.PixOffset(x, y)+c]), int(good.Pix[good.PixOffset(x, y)+c])
						d = max(d, a-b, b-a)
					}
					const visible = 10
					switch {
					case mask.GrayAt(x, y).Y != 0:
						set++
						if d > visible {
							seen++
						}
					case d > visible:
						elsewhere++
					}
				}
			}
			// A soft outline lies half outside the mask; a defect may match the mat here and there.
			if set < 100 || set > partSize*partSize/20 || seen < set*8/10 || elsewhere > set/2 {
				t.Errorf("the mask has %d pixels, of which %d differ from the good part, and %d others do", set, seen, elsewhere)
			}
		})
	}
}

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
	if rows := parseReport(t, filepath.Join(o.dir, "results")); len(rows) != 2+len(defects) {
		t.Errorf("got a report of %d images, want %d", len(rows), 2+len(defects))
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
