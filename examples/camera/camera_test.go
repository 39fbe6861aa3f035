package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// picture is grey, with a white square where it is anomalous.
func picture(anomalous bool) image.Image {
	img := image.NewGray(image.Rect(0, 0, 80, 60))
	for i := range img.Pix {
		img.Pix[i] = 128
	}
	if anomalous {
		for y := 20; y < 36; y++ {
			for x := 30; x < 46; x++ {
				img.SetGray(x, y, color.Gray{250})
			}
		}
	}
	return img
}

func encoded(t *testing.T, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// grey stands for a trained network: it reconstructs every image as middle grey.
type grey struct{}

func (grey) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Add(graph.Mul(x, g.Scalar(0)), g.Scalar(.5))}
}

func (grey) InputSize() (channels, height, width int) { return 1, 30, 40 }

func model(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.onnx")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := onnxexport.Write(f, grey{}, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: .25}); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNextJPEG(t *testing.T) {
	one, two := encoded(t, picture(false)), encoded(t, picture(true))
	// A file with a thumbnail in an APP1 segment, and restart markers' bytes in it.
	thumbnail := append([]byte{0xff, 0xe1, byte((len(two) + 2) >> 8), byte(len(two) + 2)}, two...)
	nested := slices.Concat(one[:2], thumbnail, one[2:])
	var stream bytes.Buffer
	stream.WriteString("--frame\r\nContent-Type: image/jpeg\r\n\r\n")
	for _, file := range [][]byte{one, two, nested} {
		stream.Write(file)
		stream.WriteString("\r\n--frame\r\nContent-Length: 1\r\n\r\n")
	}
	stream.Write(one[:len(one)/2])
	r := bufio.NewReader(&stream)
	for i, want := range [][]byte{one, two, nested} {
		if got, err := nextJPEG(r); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("file %d: got %d bytes, %v, want %d", i, len(got), err, len(want))
		}
	}
	if got, err := nextJPEG(r); err == nil {
		t.Errorf("half a file: got %d bytes, want an error", len(got))
	}
	if _, err := nextJPEG(bufio.NewReader(io.MultiReader(bytes.NewReader([]byte{0xff, 0xd8, 0xff, 0xda, 0, 2}), endless{}))); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("endless: got %v, want an error of its own", err)
	}
}

// endless is a coded image without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestNewest(t *testing.T) {
	n := newNewest()
	first, last := picture(false), picture(true)
	n.put(first)
	n.put(first)
	n.put(last)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, dropped, err := n.take(ctx); err != nil || got != last || dropped != 2 {
		t.Errorf("got %v, %d dropped, %v, want the last and 2", got == last, dropped, err)
	}
	if _, _, err := n.take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("without a frame: got %v, want context.Canceled", err)
	}
	n.put(first)
	if got, dropped, err := n.take(t.Context()); err != nil || got != first || dropped != 0 {
		t.Errorf("got %v, %d, %v, want the first and 0", got == first, dropped, err)
	}
}

// A camera that breaks off after each frame is opened again, and what is anomalous
// is saved and shown.
func TestRunHTTP(t *testing.T) {
	frames := [][]byte{encoded(t, picture(false)), encoded(t, picture(true))}
	var mu sync.Mutex
	calls := 0
	camera := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		file := frames[min(calls, 1)]
		calls++
		mu.Unlock()
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=b")
		fmt.Fprintf(w, "--b\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(file))
		w.Write(file)
	}))
	defer camera.Close()
	ctx, cancel := context.WithCancel(t.Context())
	dir := filepath.Join(t.TempDir(), "found")
	var log strings.Builder
	o := &options{model: model(t), source: camera.URL, provider: anrt.Go, dir: dir}
	err := run(ctx, o, func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		line := fmt.Sprintf(format, args...)
		log.WriteString(line + "\n")
		if strings.HasPrefix(line, "frame 2:") {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled; said\n%s", err, &log)
	}
	if !strings.Contains(log.String(), "again in a second") {
		t.Errorf("a broken stream: said\n%s", &log)
	}
	file, err := os.Open(filepath.Join(dir, "frame-000002.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if img, err := jpeg.Decode(file); err != nil || img.Bounds().Dx() < 3*80 {
		t.Errorf("got %v, %v, want the frame, its map and what is marked side by side", img.Bounds(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("got %d files, %v, want only the frame with the anomaly", len(entries), err)
	}
}

// Files end; the last of them is looked at all the same.
func TestRunFiles(t *testing.T) {
	dir, found := t.TempDir(), t.TempDir()
	for i := range 3 {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", i)), encoded(t, picture(i == 2)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := &options{model: model(t), source: dir, provider: anrt.Go, rate: 1000, dir: found, all: true}
	if err := run(t.Context(), o, t.Logf); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want io.EOF", err)
	}
	entries, err := os.ReadDir(found)
	if err != nil || len(entries) == 0 {
		t.Fatalf("got %d frames, %v", len(entries), err)
	}
}

// A browser gets the frames that are shown, each whole.
func TestStream(t *testing.T) {
	s := newStream()
	server := httptest.NewServer(s)
	defer server.Close()
	one, two := encoded(t, picture(false)), encoded(t, picture(true))
	s.show(one)
	got := make(chan image.Image)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- readHTTP(ctx, server.URL, func(img image.Image) { got <- img }) }()
	for i, next := range [][]byte{two, nil} {
		img := <-got
		if y := color.GrayModel.Convert(img.At(38, 28)).(color.Gray).Y; y > 200 != (i == 1) {
			t.Errorf("frame %d: got %d where the square is", i, y)
		}
		if next != nil {
			s.show(next)
		}
	}
	cancel()
	<-ended
}
