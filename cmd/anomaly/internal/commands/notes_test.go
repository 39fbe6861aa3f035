package commands

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// animation is a GIF of two frames.
func animation(t *testing.T) []byte {
	t.Helper()
	frame := image.NewPaletted(image.Rect(0, 0, 16, 16), color.Palette{color.Black, color.White})
	frame.SetColorIndex(3, 3, 1)
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What is chosen or passed over is said by all that read images: by --watch as it
// comes.
func TestNotes(t *testing.T) {
	model, dir := tinyModel(t), t.TempDir()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writePNG(filepath.Join(dir, "a.png"), goodImage(0)); err != nil {
		t.Fatal(err)
	}
	write("b.heic", []byte("x"))
	w := startWatching(t, model, dir)
	w.awaitLines(2)
	w.awaitLog("HEIC is not read (convert it to PNG or TIFF): left out (1: b.heic)")
	write("c.gif", animation(t))
	w.awaitLines(3)
	const animated = "animated: the first frame is taken (1: c.gif)"
	w.awaitLog(animated)
	if code := w.end(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
	if _, stderr := mustRun(t, 0, "bench", "--provider", "go", "--duration", "20ms", "--batch", "1", model, dir); !strings.Contains(stderr, animated) {
		t.Errorf("bench: got %q, want %q in it", stderr, animated)
	}
	if _, stderr := mustRun(t, 0, "deploy", "--provider", "go", "--gate", dir, model, filepath.Join(t.TempDir(), "live.onnx")); !strings.Contains(stderr, animated) {
		t.Errorf("deploy --gate: got %q, want %q in it", stderr, animated)
	}
}

// Images that are read otherwise than in training are said.
func TestReadAsTrained(t *testing.T) {
	model, images := tinyModel(t), testSet(t, false)
	for _, tt := range []struct{ flags, want string }{
		{"", ""},
		{"--background black", ""},
		{"--levels 12", "--levels: images are read with 4096, the model was trained with what files say"},
		{"--background white", "--background: images are read with white, the model was trained with black"},
	} {
		_, stderr := mustRun(t, 0, append([]string{"run", "--provider", "go", model, images}, strings.Fields(tt.flags)...)...)
		if tt.want != "" && !strings.Contains(stderr, tt.want) || tt.want == "" && strings.Contains(stderr, "was trained with") {
			t.Errorf("%q: got %q, want %q", tt.flags, stderr, tt.want)
		}
	}
}
