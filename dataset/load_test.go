package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/anomaly-go/anomaly/internal/imageio"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// solid are the samples of five 3x2 images with values 0 to 4.
func solid(t *testing.T) (samples []Sample, root string) {
	t.Helper()
	root = tree(t, "0.png", "1.png", "2.png", "3.png", "4.png")
	samples, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	return samples, root
}

func TestLoad(t *testing.T) {
	samples, root := solid(t)
	for _, workers := range []int{0, 1, 3, 100} {
		batch, err := Load(t.Context(), samples, 4, 5, 3, workers)
		if err != nil {
			t.Fatal(err)
		}
		const size = 4 * 5 * 3
		if len(batch) != 5*size {
			t.Fatalf("got %d bytes, want %d", len(batch), 5*size)
		}
		for i := range 5 {
			if row := batch[i*size:][:size]; bytes.Count(row, []byte{uint8(i)}) != size {
				t.Errorf("%d workers, row %d: got %v", workers, i, row)
			}
		}
	}

	for _, name := range []string{"1.png", "3.png"} {
		write(t, []byte("no image"), root, name)
	}
	if _, err := Load(t.Context(), samples, 4, 5, 3, 0); !errors.Is(err, image.ErrFormat) || !strings.Contains(err.Error(), `"1.png"`) {
		t.Errorf("damaged: got error %v, want that of 1.png", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, samples, 4, 5, 3, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
	for _, size := range [][3]int{{0, 5, 3}, {4, -5, 3}, {4, 5, 2}, {1 << 20, 1 << 20, 3}} {
		if _, err := Load(t.Context(), samples, size[0], size[1], size[2], 0); err == nil {
			t.Errorf("%v: got no error", size)
		}
	}
}

func TestStream(t *testing.T) {
	samples, root := solid(t)
	write(t, []byte("no image"), root, "1.png")
	if err := os.Remove(filepath.Join(root, "3.png")); err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []int{0, 1, 2, 100} {
		next := 0
		for item := range Stream(t.Context(), samples, &StreamOptions{Height: 2, Width: 2, Channels: 1, Ahead: ahead}) {
			i := item.Index
			if i != next || item.Sample != &samples[i] {
				t.Fatalf("got item %d, want %d", i, next)
			}
			next++
			if i == 1 || i == 3 {
				if item.Err == nil || item.Image != nil || item.Pixels != nil {
					t.Errorf("item %d: got error %v, image %v, pixels %v", i, item.Err, item.Image, item.Pixels)
				}
				continue
			}
			want := bytes.Repeat([]byte{uint8(i)}, 4)
			if item.Err != nil || item.Image.Bounds() != image.Rect(0, 0, 3, 2) || !bytes.Equal(item.Pixels, want) {
				t.Errorf("item %d: got %v %v, error %v", i, item.Image, item.Pixels, item.Err)
			}
		}
		if next != len(samples) {
			t.Errorf("got %d items, want %d", next, len(samples))
		}
	}
	for item := range Stream(t.Context(), samples[:1], &StreamOptions{Channels: 3, Ahead: 1}) {
		if item.Err != nil || item.Height != 2 || item.Width != 3 || len(item.Pixels) != 18 {
			t.Errorf("own size: got %dx%d, %d bytes, error %v", item.Height, item.Width, len(item.Pixels), item.Err)
		}
	}
	for item := range Stream(t.Context(), samples, &StreamOptions{Height: 2, Width: 2, Channels: 2, Ahead: 1}) {
		if item.Err == nil {
			t.Error("2 channels: got no error")
		}
	}
}

// TestStreamResized tests that what is streamed without whole images is what comes of whole ones.
func TestStreamResized(t *testing.T) {
	root := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	for name, img := range map[string]draw.Image{
		"deep.png": image.NewNRGBA64(image.Rect(0, 0, 30, 70)), "grey.png": image.NewGray(image.Rect(0, 0, 64, 50)),
		"rgb.png": image.NewRGBA(image.Rect(0, 0, 61, 47)), "rgba.png": image.NewNRGBA(image.Rect(0, 0, 40, 40)), "small.png": image.NewRGBA(image.Rect(0, 0, 7, 5)),
	} {
		for y := range img.Bounds().Dy() {
			for x := range img.Bounds().Dx() {
				c := color.NRGBA64{uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32()), 0xffff}
				if name == "rgba.png" {
					c.A = uint16(rng.Uint32())
				}
				img.Set(x, y, c)
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		write(t, b.Bytes(), root, name)
	}
	write(t, []byte("no image"), root, "z.png")
	samples, err := Find(root)
	if err != nil {
		t.Fatal(err)
	}
	const longest = 32
	for _, o := range []StreamOptions{{Height: 16, Width: 24, Channels: 3}, {Height: 16, Width: 24, Channels: 1}, {Channels: 3}, {}} {
		want := slices.Collect(Stream(t.Context(), samples, &o))
		for _, no := range []bool{false, true} {
			o := o
			o.NoImages, o.Longest = no, longest
			for i, got := range slices.Collect(Stream(t.Context(), samples, &o)) {
				w := want[i]
				name := fmt.Sprintf("%s as %+v", w.Sample.Name, o)
				if fmt.Sprint(got.Err) != fmt.Sprint(w.Err) || got.Size != w.Size || got.Height != w.Height || got.Width != w.Width || !bytes.Equal(got.Pixels, w.Pixels) {
					t.Errorf("%s: got %v, %dx%d, error %v, want %v, %dx%d, error %v", name, got.Size, got.Width, got.Height, got.Err, w.Size, w.Width, w.Height, w.Err)
				}
				if no || w.Err != nil {
					if got.Image != nil {
						t.Errorf("%s: got an image", name)
					}
					continue
				}
				size := w.Size
				if side := max(size.X, size.Y); side > longest {
					size = image.Pt(size.X*longest/side, size.Y*longest/side)
				}
				pixels := make([]uint8, size.X*size.Y*3)
				if err := imageio.Resize(pixels, w.Image, size.Y, size.X, 3); err != nil {
					t.Fatal(err)
				}
				if shown := imageio.FromPixels(pixels, size.Y, size.X, 3); !reflect.DeepEqual(got.Image, shown) {
					t.Errorf("%s: got an image of %v, want the whole one resized to %v", name, got.Image.Bounds(), size)
				}
			}
		}
	}
}

// counted are rows that count how many were decoded.
type counted struct{ started atomic.Int64 }

func (c *counted) len() int { return 50 }

func (c *counted) image(int) (image.Image, error) {
	c.started.Add(1)
	return image.NewGray(image.Rect(0, 0, 1, 1)), nil
}

func countedSamples() ([]Sample, *counted) {
	rows := &counted{}
	samples := make([]Sample, rows.len())
	for i := range samples {
		samples[i] = Sample{Row: i, rows: rows}
	}
	return samples, rows
}

// TestStreamBound tests that no more than ahead images wait for a slow loop.
func TestStreamBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ahead = 4
		samples, rows := countedSamples()
		yielded := 0
		for range Stream(t.Context(), samples, &StreamOptions{Height: 1, Width: 1, Channels: 1, Ahead: ahead}) {
			yielded++
			synctest.Wait() // until nothing moves but this loop
			if got, want := int(rows.started.Load()), min(yielded+ahead, len(samples)); got != want {
				t.Fatalf("after %d items: got %d decoded, want %d", yielded, got, want)
			}
		}
	})
}

// TestStreamEnds tests that leaving the loop and ctx end every goroutine: the
// bubble fails if one is left.
func TestStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		samples, _ := countedSamples()
		for item := range Stream(t.Context(), samples, &StreamOptions{Height: 1, Width: 1, Channels: 1, Ahead: 3}) {
			if item.Index == 5 {
				break
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		for range Stream(ctx, samples, &StreamOptions{Height: 1, Width: 1, Channels: 1, Ahead: 3}) {
			if n++; n == 7 {
				cancel()
			}
		}
		if n != 7 {
			t.Errorf("got %d items, want none after the cancelled 7th", n)
		}
	})
}

func TestFingerprint(t *testing.T) {
	names := []string{"a/0.png", "a/1.png", "b/2.png"}
	fingerprint := func(change func(root string)) string {
		root := tree(t, names...)
		write(t, array[uint8](1, 2, 4, 4), root, "rows.npy")
		change(root)
		samples, err := Find(root, filepath.Join(root, "rows.npy"))
		if err != nil {
			t.Fatal(err)
		}
		sum, err := Fingerprint(samples)
		if err != nil || len(sum) != 64 {
			t.Fatalf("got %q, error %v", sum, err)
		}
		return sum
	}
	want := fingerprint(func(string) {})
	if got := fingerprint(func(string) {}); got != want {
		t.Errorf("elsewhere: got %s, want %s", got, want)
	}
	changes := map[string]func(root string){
		"other pixels": func(root string) { write(t, picture(77), root, "a", "1.png") },
		"other rows":   func(root string) { write(t, array[uint8](2, 2, 4, 4), root, "rows.npy") },
		"renamed":      func(root string) { os.Rename(filepath.Join(root, "b"), filepath.Join(root, "c")) },
		"one less":     func(root string) { os.Remove(filepath.Join(root, "a", "0.png")) },
		"one more":     func(root string) { write(t, picture(0), root, "z.png") },
	}
	for name, change := range changes {
		if fingerprint(change) == want {
			t.Errorf("%s: got the same fingerprint", name)
		}
	}

	samples, root := solid(t)
	if err := os.Remove(filepath.Join(root, "4.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := Fingerprint(samples); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file gone: got error %v", err)
	}
}

// long is a file of more rows than six digits number.
type long struct{ rows }

func (long) len() int { return 10_000_000 }

func TestOutputName(t *testing.T) {
	tests := []struct {
		sample Sample
		want   string
	}{
		{Sample{Name: "dir/a#7.png", Row: -1}, "dir/a#7.png"},
		{Sample{Name: "dir/a#b.npy#7", Row: 7, rows: &counted{}}, "dir/a#b.npy#000007"},
		{Sample{Name: "a.npy#7", Row: 7, rows: long{}}, "a.npy#0000007"},
	}
	for _, test := range tests {
		if got := test.sample.OutputName(); got != test.want {
			t.Errorf("%s: got %q, want %q", test.sample.Name, got, test.want)
		}
	}
}

// BenchmarkLoad reads MVTec AD's bottle: 900x900 PNG to 256x256 RGB.
func BenchmarkLoad(b *testing.B) {
	set, err := Open(testenv.Shared(b, "data", "mvtec", "bottle"), nil)
	if err != nil {
		b.Fatal(err)
	}
	samples := set.Train[:16]
	for b.Loop() {
		if _, err := Load(b.Context(), samples, 256, 256, 3, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N*len(samples)), "ms/image")
}

// BenchmarkMNIST reads 60,000 rows of an idx.gz file.
func BenchmarkMNIST(b *testing.B) {
	set, err := Open(testenv.Shared(b, "data", "mnist"), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Load(b.Context(), set.Train, 32, 32, 1, 0); err != nil {
			b.Fatal(err)
		}
	}
}
