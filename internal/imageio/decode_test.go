package imageio

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// Tolerances in 1/255 for files stored at the best quality.
const (
	jpegTolerance = 4  // quantisation, and rounding from YCbCr to RGB
	webpTolerance = 32 // lossy WebP halves the resolution of colour
)

const rampWidth, rampHeight = 24, 16

// ramp is the image in testdata/decode.
func ramp(x, y int) color.RGBA {
	return color.RGBA{uint8(10 * x), uint8(15 * y), uint8(200 - 5*x), 255}
}

// checkRamp tests that img is the ramp, or its red channel as grey.
func checkRamp(t *testing.T, img image.Image, gray bool, tolerance int) {
	t.Helper()
	if want := image.Rect(0, 0, rampWidth, rampHeight); img.Bounds() != want {
		t.Fatalf("got bounds %v, want %v", img.Bounds(), want)
	}
	var got, want []uint8
	switch img := img.(type) {
	case *image.Gray:
		if !gray {
			t.Fatal("got a grey image")
		}
	case *image.RGBA:
		if gray || !img.Opaque() {
			t.Fatalf("got RGBA, opaque %t, want grey %t", img.Opaque(), gray)
		}
	default:
		t.Fatalf("got %T", img)
	}
	got = bytesOf(img, 3)
	for y := range rampHeight {
		for x := range rampWidth {
			c := ramp(x, y)
			if gray {
				c.G, c.B = c.R, c.R
			}
			want = append(want, c.R, c.G, c.B)
		}
	}
	if d := maxDiff(got, want); d > tolerance {
		t.Errorf("got a difference of %d/255, want at most %d", d, tolerance)
	}
}

func TestDecodeFiles(t *testing.T) {
	testenv.Regenerate(t, "gen_decode.py")
	files, err := filepath.Glob("testdata/decode/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			img, _, err := Decode(bytes.NewReader(data), nil)
			if err != nil {
				t.Fatal(err)
			}
			tolerance := 0
			if strings.HasSuffix(name, ".jpg") {
				tolerance = jpegTolerance
			} else if name == "lossy.webp" {
				tolerance = webpTolerance
			}
			checkRamp(t, img, strings.HasPrefix(name, "gray"), tolerance)
			if size, err := Size(bytes.NewReader(data), nil); err != nil || size != img.Bounds().Size() {
				t.Errorf("Size: got %v %v", size, err)
			}
			// A pixel less than needed is too few.
			opts := &Options{MaxPixels: rampWidth*rampHeight - 1}
			if _, _, err := Decode(bytes.NewReader(data), opts); !errors.Is(err, ErrTooLarge) {
				t.Errorf("with MaxPixels %d: got error %v, want ErrTooLarge", opts.MaxPixels, err)
			}
			opts.MaxPixels++
			if _, _, err := Decode(bytes.NewReader(data), opts); err != nil {
				t.Errorf("with MaxPixels %d: %v", opts.MaxPixels, err)
			}
		})
	}
}

// rampAs returns the ramp as an image of another type.
func rampAs[T interface {
	image.Image
	Set(x, y int, c color.Color)
}](img T) T {
	for y := range rampHeight {
		for x := range rampWidth {
			img.Set(x, y, ramp(x, y))
		}
	}
	return img
}

func TestDecodePNGTypes(t *testing.T) {
	bounds := image.Rect(0, 0, rampWidth, rampHeight)
	gray, gray16 := image.NewGray(bounds), image.NewGray16(bounds)
	for y := range rampHeight {
		for x := range rampWidth {
			gray.Pix[y*gray.Stride+x] = ramp(x, y).R
			// The lower byte is dropped, not rounded.
			gray16.SetGray16(x, y, color.Gray16{uint16(ramp(x, y).R)<<8 | 0xf0})
		}
	}
	deep := image.NewNRGBA64(bounds)
	var palette color.Palette
	paletted := image.NewPaletted(image.Rect(0, 0, rampWidth, 1), nil)
	for x := range rampWidth {
		palette = append(palette, ramp(x, 0))
		paletted.Pix[x] = uint8(x)
		for y := range rampHeight {
			c := ramp(x, y)
			deep.SetNRGBA64(x, y, color.NRGBA64{uint16(c.R)<<8 | 7, uint16(c.G)<<8 | 9, uint16(c.B)<<8 | 0xff, 0xffff})
		}
	}
	paletted.Palette = palette

	tests := []struct {
		name string
		img  image.Image
		gray bool
	}{
		{"Gray", gray, true},
		{"Gray16", gray16, true},
		{"RGBA", rampAs(image.NewRGBA(bounds)), false},
		{"NRGBA64", deep, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			checkRamp(t, decodePNG(t, test.img), test.gray, 0)
		})
	}

	got := bytesOf(decodePNG(t, paletted), 3)
	for x := range rampWidth {
		if c := ramp(x, 0); !bytes.Equal(got[3*x:3*x+3], []uint8{c.R, c.G, c.B}) {
			t.Errorf("palette, pixel %d: got %v, want %v", x, got[3*x:3*x+3], c)
		}
	}
}

func decodePNG(t *testing.T, img image.Image) image.Image {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	got, _, err := Decode(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestDecodeOverBlack tests that transparent pixels are darkened by alpha.
func TestDecodeOverBlack(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 1))
	copy(img.Pix, []uint8{
		255, 128, 0, 255,
		255, 128, 0, 0,
		255, 128, 0, 128,
		0, 0, 255, 51,
	})
	want := []uint8{255, 128, 0, 255, 0, 0, 0, 255, 128, 64, 0, 255, 0, 0, 51, 255}
	got := decodePNG(t, img).(*image.RGBA).Pix
	if !bytes.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestDecodeGIF tests that of an animation the first frame is taken, on the
// whole canvas.
func TestDecodeGIF(t *testing.T) {
	palette := color.Palette{color.RGBA{}, color.RGBA{255, 0, 0, 255}, color.RGBA{0, 0, 255, 255}}
	first := image.NewPaletted(image.Rect(2, 1, 4, 3), palette)
	copy(first.Pix, []uint8{1, 2, 2, 0})
	second := image.NewPaletted(image.Rect(0, 0, 5, 4), palette)
	var b bytes.Buffer
	err := gif.EncodeAll(&b, &gif.GIF{
		Image: []*image.Paletted{first, second}, Delay: []int{0, 0},
		Config: image.Config{Width: 5, Height: 4, ColorModel: palette},
	})
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := Decode(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := image.NewRGBA(image.Rect(0, 0, 5, 4))
	for i := 3; i < len(want.Pix); i += 4 {
		want.Pix[i] = 255
	}
	want.Set(2, 1, palette[1])
	want.Set(3, 1, palette[2])
	want.Set(2, 2, palette[2])
	got, ok := img.(*image.RGBA)
	if !ok || got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
		t.Errorf("got %v, want %v", img, want)
	}
}

func TestDecodeMask(t *testing.T) {
	gray := image.NewGray(image.Rect(0, 0, 4, 1))
	copy(gray.Pix, []uint8{0, 1, 128, 255})
	deep := image.NewGray16(gray.Rect)
	rgb := image.NewRGBA(gray.Rect)
	indices := image.NewPaletted(gray.Rect, color.Palette{color.Black, color.RGBA{0, 0, 1, 255}})
	copy(indices.Pix, []uint8{0, 1, 1, 1})
	for x := range 4 {
		deep.SetGray16(x, 0, color.Gray16{uint16(x)})
		rgb.SetRGBA(x, 0, color.RGBA{0, uint8(x), 0, 255})
	}
	for _, img := range []image.Image{gray, deep, rgb, indices} {
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		mask, err := DecodeMask(&b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := []uint8{0, 255, 255, 255}; !bytes.Equal(mask.Pixels.Pix, want) {
			t.Errorf("%T: got %v, want %v", img, mask.Pixels.Pix, want)
		}
	}

	f, err := os.Open("testdata/decode/gray_exif8.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mask, err := DecodeMask(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	for y := range rampHeight {
		for x := range rampWidth {
			if got, want := mask.Pixels.GrayAt(x, y).Y, ramp(x, y).R; got != min(want, 1)*255 {
				t.Fatalf("oriented: at (%d,%d) got %d of pixel %d", x, y, got, want)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	whole, err := os.ReadFile("testdata/decode/rgb.jpg")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"empty": nil, "text": []byte("this is no image at all")} {
		if _, _, err := Decode(bytes.NewReader(data), nil); !errors.Is(err, image.ErrFormat) {
			t.Errorf("%s: got error %v, want image.ErrFormat", name, err)
		}
	}
	if _, _, err := Decode(bytes.NewReader(whole[:len(whole)/2]), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got error %v, want io.ErrUnexpectedEOF", err)
	}
	endless := io.MultiReader(bytes.NewReader(whole), zeros{})
	if _, _, err := Decode(endless, &Options{MaxPixels: 1 << 10}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("endless: got error %v, want ErrTooLarge", err)
	}
	var line bytes.Buffer
	if err := png.Encode(&line, image.NewGray(image.Rect(0, 0, maxSide+1, 1))); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Decode(&line, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("line: got error %v, want ErrTooLarge", err)
	}
	// A header alone that announces 2³¹-1 squared pixels.
	huge := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00")
	if _, _, err := Decode(bytes.NewReader(huge), nil); err == nil {
		t.Error("huge: got no error")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// FuzzDecode looks for panics; what Decode accepts has the promised form.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/[dp]*/*") // decode and pillow
	if err != nil || len(files) == 0 {
		f.Fatal("no files: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := &Options{MaxPixels: 1 << 16}
		img, _, err := Decode(bytes.NewReader(data), opts)
		if err != nil {
			return
		}
		if rgba, ok := img.(*image.RGBA); ok && !rgba.Opaque() {
			t.Error("got a transparent image")
		}
		size, err := Size(bytes.NewReader(data), opts)
		if err != nil || img.Bounds() != (image.Rectangle{Max: size}) {
			t.Errorf("got bounds %v, Size %v %v", img.Bounds(), size, err)
		}
		if err := Resize(make([]uint8, 8*8*3), img, 8, 8, 3); err != nil {
			t.Error(err)
		}
	})
}
