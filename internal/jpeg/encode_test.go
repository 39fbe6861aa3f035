package jpeg

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// pictures are images of a size: of noise, of nothing but 0 and 255, and one as a camera's.
func pictures(width, height int) map[string]*image.RGBA {
	rng := rand.New(rand.NewPCG(uint64(width), uint64(height)))
	of := func(at func(x, y int) [3]float64) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, width, height))
		for y := range height {
			for x := range width {
				var c [3]uint8
				for i, v := range at(x, y) {
					c[i] = uint8(min(max(v+.5, 0), 255))
				}
				img.SetRGBA(x, y, color.RGBA{c[0], c[1], c[2], 255})
			}
		}
		return img
	}
	random := func() float64 { return 255 * rng.Float64() }
	return map[string]*image.RGBA{
		"noise": of(func(int, int) [3]float64 { return [3]float64{random(), random(), random()} }),
		"extremes": of(func(int, int) [3]float64 {
			return [3]float64{255 * math.Round(rng.Float64()), 255 * math.Round(rng.Float64()), 255 * math.Round(rng.Float64())}
		}),
		"scene": of(func(x, y int) [3]float64 {
			v := 120 + 70*math.Sin(float64(x)/17)*math.Cos(float64(y)/23) + 6*rng.NormFloat64()
			if (x/50+y/40)%3 == 0 {
				v = 230 - float64(x%50)
			}
			return [3]float64{v, v*.8 + 20*math.Sin(float64(x+y)/60), 255 - v}
		}),
	}
}

// encoded is an image's file, which must be the same by SIMD as in Go.
func encoded(t testing.TB, img image.Image, quality int) []byte {
	t.Helper()
	encode := func(img image.Image) []byte {
		var file bytes.Buffer
		if err := Encode(&file, img, quality); err != nil {
			t.Fatal(err)
		}
		return file.Bytes()
	}
	file := encode(img)
	split, transform := splitBlocks, transformBlocks
	splitBlocks, transformBlocks = nil, nil
	defer func() { splitBlocks, transformBlocks = split, transform }()
	if !bytes.Equal(encode(img), file) {
		t.Errorf("%v of quality %d: Go gives another file than SIMD", img.Bounds(), quality)
	}
	return file
}

func decoded(t testing.TB, file []byte) image.Image {
	t.Helper()
	img, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// psnr is that of an image beside what it should be, in dB.
func psnr(t testing.TB, got, want image.Image) float64 {
	t.Helper()
	size := want.Bounds().Size()
	if got.Bounds().Size() != size {
		t.Fatalf("got %v pixels, want %v", got.Bounds().Size(), size)
	}
	flat := func(img image.Image) []uint8 {
		out := image.NewRGBA(image.Rectangle{Max: size})
		draw.Draw(out, out.Rect, img, img.Bounds().Min, draw.Src)
		return out.Pix
	}
	sum := 0.
	a, b := flat(got), flat(want)
	for i := range a {
		sum += math.Pow(float64(a[i])-float64(b[i]), 2)
	}
	return 10 * math.Log10(255*255*float64(len(a))*3/4/sum)
}

// Beside package image/jpeg, which quantises by the same tables but means colours and
// rounds in between in other ways.
const (
	worsePSNR  = .1  // dB
	largerFile = .02 // of its size
)

func TestEncodeQuality(t *testing.T) {
	for name, img := range pictures(331, 203) {
		gray := image.NewGray(img.Rect)
		draw.Draw(gray, gray.Rect, img, image.Point{}, draw.Src)
		for _, quality := range []int{1, 25, 50, 75, 88, 95, 100} {
			for _, img := range []image.Image{img, gray} {
				file := encoded(t, img, quality)
				var standard bytes.Buffer
				if err := jpeg.Encode(&standard, img, &jpeg.Options{Quality: quality}); err != nil {
					t.Fatal(err)
				}
				got, want := psnr(t, decoded(t, file), img), psnr(t, decoded(t, standard.Bytes()), img)
				t.Logf("%s %T %d: %.2f dB, %.2f; %d bytes, %d", name, img, quality, got, want, len(file), standard.Len())
				if !(got >= want-worsePSNR) {
					t.Errorf("%s of quality %d: got %.2f dB, image/jpeg has %.2f", name, quality, got, want)
				}
				if float64(len(file)) > (1+largerFile)*float64(standard.Len()) {
					t.Errorf("%s of quality %d: got %d bytes, image/jpeg has %d", name, quality, len(file), standard.Len())
				}
			}
		}
	}
}

// TestEncodeSizes tests edges: all sizes up to two squares, and that what lies beside an
// image in memory is not in its file.
func TestEncodeSizes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sum := 0.
	for width := 1; width <= 33; width++ {
		for height := 1; height <= 33; height++ {
			large := pictures(width+5, height+3)["scene"]
			part := large.SubImage(image.Rect(2, 1, 2+width, 1+height))
			whole := image.NewRGBA(image.Rect(0, 0, width, height))
			draw.Draw(whole, whole.Rect, part, part.Bounds().Min, draw.Src)
			file := encoded(t, whole, 90)
			if !bytes.Equal(encoded(t, part, 90), file) {
				t.Errorf("%dx%d: another file from within a larger image", width, height)
			}
			var standard bytes.Buffer
			if err := jpeg.Encode(&standard, whole, &jpeg.Options{Quality: 90}); err != nil {
				t.Fatal(err)
			}
			sum += psnr(t, decoded(t, file), whole) - psnr(t, decoded(t, standard.Bytes()), whole)
			gray := image.NewGray(whole.Rect)
			for i := range gray.Pix {
				gray.Pix[i] = uint8(rng.Uint32())
			}
			if got := psnr(t, decoded(t, encoded(t, gray, 100)), gray); got < nearlyExact {
				t.Errorf("grey %dx%d: got %.2f dB", width, height, got)
			}
		}
	}
	if mean := sum / (33 * 33); !(mean >= 0) {
		t.Errorf("got %.2f dB more than image/jpeg on average, want 0 or more", mean)
	}
}

// nearlyExact is what rounding costs a grey image whose coefficients are whole numbers, in dB.
const nearlyExact = 50

// TestEncodePillow has libjpeg-turbo read files: the image is what it is to our decoder.
func TestEncodePillow(t *testing.T) {
	python, dir := testenv.Python(t), t.TempDir()
	images := map[string]image.Image{}
	for name, img := range pictures(211, 147) {
		gray := image.NewGray(img.Rect)
		draw.Draw(gray, gray.Rect, img, image.Point{}, draw.Src)
		images[name], images[name+"-grey"], images[name+"-small"] = img, gray, img.SubImage(image.Rect(0, 0, 1, 1))
	}
	for name, img := range images {
		if err := os.WriteFile(filepath.Join(dir, name+".jpg"), encoded(t, img, 88), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const script = `import glob, sys
from PIL import Image
for f in glob.glob(sys.argv[1] + "/*.jpg"):
    open(f + ".rgb", "wb").write(Image.open(f).convert("RGB").tobytes())`
	if out, err := exec.Command(python, "-c", script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, img := range images {
		rgb, err := os.ReadFile(filepath.Join(dir, name+".jpg.rgb"))
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(filepath.Join(dir, name+".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		ours, err := Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		size, worst := img.Bounds().Size(), 0
		for i, v := range rgb {
			r, g, b, _ := ours.At(i/3%size.X, i/3/size.X).RGBA()
			d := int(v) - int([]uint32{r, g, b}[i%3]>>8)
			worst = max(worst, d, -d)
		}
		if len(rgb) != 3*size.X*size.Y || worst > decoderTolerance {
			t.Errorf("%s: got %d bytes, %d/255 from ours, want %v pixels and at most %d", name, len(rgb), worst, size, decoderTolerance)
		}
	}
}

// decoderTolerance is how far package jpeg reads files from libjpeg, in 1/255.
const decoderTolerance = 3

// TestEncodeAny encodes images of any size, kind and quality, which must be read again.
func TestEncodeAny(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		r := image.Rect(0, 0, 1+rng.IntN(70), 1+rng.IntN(70)).Add(image.Pt(rng.IntN(9)-4, rng.IntN(9)-4))
		img := []draw.Image{image.NewRGBA(r), image.NewGray(r), image.NewNRGBA(r), image.NewGray16(r), image.NewCMYK(r)}[rng.IntN(5)]
		levels := []uint32{2, 3, 256, 1 << 16}[rng.IntN(4)]
		value := func() uint16 { return uint16(rng.Uint32N(levels) * (0xffff / (levels - 1))) }
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				img.Set(x, y, color.NRGBA64{value(), value(), value(), max(value(), 1)})
			}
		}
		quality := 1 + rng.IntN(100)
		if got := decoded(t, encoded(t, img, quality)).Bounds().Size(); got != r.Size() {
			t.Errorf("%T %v of quality %d: got %v pixels", img, r, quality, got)
		}
	}
	over := image.NewNRGBA(image.Rect(0, 0, 16, 16)) // over black
	for i := range over.Pix {
		over.Pix[i] = 128
	}
	if r, _, _, _ := decoded(t, encoded(t, over, 95)).At(8, 8).RGBA(); r>>8 != 64 {
		t.Errorf("half of grey over black: got %d, want 64", r>>8)
	}
}

func TestEncodeRefuses(t *testing.T) {
	square := image.Rect(0, 0, 8, 8)
	for want, encode := range map[string]func(w io.Writer) error{
		"got 0x8 pixels":         func(w io.Writer) error { return Encode(w, image.NewGray(image.Rect(0, 0, 0, 8)), 88) },
		"got 65536x1 pixels":     func(w io.Writer) error { return Encode(w, image.NewGray(image.Rect(0, 0, 1<<16, 1)), 88) },
		"got quality 0":          func(w io.Writer) error { return Encode(w, image.NewGray(square), 0) },
		"got quality 101":        func(w io.Writer) error { return Encode(w, image.NewRGBA(square), 101) },
		io.ErrShortWrite.Error(): func(io.Writer) error { return Encode(fails{}, image.NewRGBA(square), 88) },
	} {
		var file bytes.Buffer
		if err := encode(&file); err == nil || !strings.Contains(err.Error(), want) || file.Len() > 0 {
			t.Errorf("got error %v and %d bytes, want %q and none", err, file.Len(), want)
		}
	}
}

// fails is a writer that cannot write.
type fails struct{}

func (fails) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// BenchmarkEncode encodes a picture as a report has them.
func BenchmarkEncode(b *testing.B) {
	img := pictures(1566, 434)["scene"]
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			Encode(io.Discard, img, 88)
		}
	})
	b.Run("image/jpeg", func(b *testing.B) {
		for b.Loop() {
			jpeg.Encode(io.Discard, img, &jpeg.Options{Quality: 88})
		}
	})
}
