package imageio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	img, notes, err := Decode(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := image.NewRGBA(image.Rect(0, 0, 5, 4))
	for i := 3; i < len(want.Pix); i += 4 {
		want.Pix[i] = 255
	}
	if !slices.Equal(notes, []string{firstFrame, "transparent pixels are laid over black"}) {
		t.Errorf("got notes %q", notes)
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
	row := image.Rect(0, 0, 6, 1)
	gray := func(v ...uint8) image.Image {
		img := image.NewGray(image.Rect(0, 0, len(v), 1))
		copy(img.Pix, v)
		return img
	}
	deep := image.NewGray16(row)
	for x, v := range []uint16{0, 1, 2, 0, 3, 0} {
		deep.SetGray16(x, 0, color.Gray16{v})
	}
	colours := image.NewPaletted(row, color.Palette{color.Black, color.RGBA{128, 0, 0, 255}, color.RGBA{0, 128, 0, 255}})
	copy(colours.Pix, []uint8{0, 1, 2, 0, 1, 0})
	alpha := image.NewNRGBA(row)
	for x, a := range []uint8{0, 255, 255, 0, 255, 0} {
		alpha.SetNRGBA(x, 0, color.NRGBA{A: a})
	}
	var smooth, wanted []uint8
	for v := range 256 {
		smooth = append(smooth, uint8(v))
		wanted = append(wanted, map[bool]uint8{true: 255}[v > 127])
	}
	marks := []uint8{0, 255, 255, 0, 255, 0}
	tests := []struct {
		name        string
		img         image.Image
		want        []uint8
		empty, full bool
	}{
		{"two levels", gray(0, 255, 255, 0, 255, 0), marks, false, false},
		{"any two levels", gray(16, 255, 255, 16, 255, 16), marks, false, false},
		{"0 and 1", gray(0, 1, 1, 0, 1, 0), marks, false, false},
		{"kinds", gray(0, 1, 2, 0, 3, 0), marks, false, false},
		{"kinds as LOCO has them", gray(0, 255, 254, 0, 253, 0), marks, false, false},
		{"kinds, far apart", gray(0, 85, 170, 0, 255, 0), marks, false, false},
		{"packed", gray(2, 253, 255, 0, 251, 3), marks, false, false},
		{"smoothed", gray(smooth...), wanted, false, false},
		{"16 bit", deep, marks, false, false},
		{"colours", colours, marks, false, false},
		{"alpha", alpha, marks, false, false},
		{"black", gray(0, 0, 0), []uint8{0, 0, 0}, true, false},
		{"white", gray(255, 255, 255), []uint8{255, 255, 255}, false, true},
	}
	for _, test := range tests {
		var b bytes.Buffer
		if err := png.Encode(&b, test.img); err != nil {
			t.Fatal(err)
		}
		mask, err := DecodeMask(&b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mask.Pixels.Pix, test.want) || mask.Empty != test.empty || mask.Full != test.full {
			t.Errorf("%s: got %v, empty %t, full %t, want %v", test.name, mask.Pixels.Pix, mask.Empty, mask.Full, test.want)
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
			if got, want := mask.Pixels.GrayAt(x, y).Y > 0, ramp(x, y).R > 115; got != want {
				t.Fatalf("oriented: at (%d,%d) got %t of pixel %d", x, y, got, ramp(x, y).R)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	whole, err := os.ReadFile("testdata/decode/rgb.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Decode(strings.NewReader("this is no image at all"), nil); !errors.Is(err, image.ErrFormat) {
		t.Errorf("text: got error %v, want image.ErrFormat", err)
	}
	for file, want := range map[string]string{
		"this is no image at all, and ends within a letter \xc3":                "PNM, but text: ",
		"\x08\x08\x12\x07pytorch":                                               "PNM, but an ONNX model: ",
		"version https://git-lfs.example/spec/v1\noid sha256:00\nsize 123456\n": "PNM, but a pointer of Git LFS in an image's place (git lfs pull fetches it): ",
		"\x08\x00\x12 nothing":                                                  "PNM: ",
		"\xff\xfe\xfd\xfc\xfb":                                                  "PNM: ",
	} {
		if _, _, err := Decode(strings.NewReader(file), nil); !errors.Is(err, image.ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q in it", file, err, want)
		}
	}
	if _, _, err := Decode(strings.NewReader(""), nil); err == nil || errors.Is(err, image.ErrFormat) || !strings.Contains(err.Error(), "the file is empty") {
		t.Errorf("empty: got error %v", err)
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
}

// pngHeader is a PNG file of a header alone.
func pngHeader(width, height uint32, depth, colour byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), width)
	b = binary.BigEndian.AppendUint32(b, height)
	b = append(b, depth, colour, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// TestHeadersAlone tests that what a header announces costs nothing.
func TestHeadersAlone(t *testing.T) {
	padding := make([]byte, 4<<20) // enough for the pixels, were they packed as tightly as can be
	tests := []struct {
		name string
		data []byte
		is   error
	}{
		{"PNG of 2³¹x2³¹", pngHeader(1<<31-1, 1<<31-1, 8, 2), ErrTooLarge},
		{"PNG of 16384x16384 and nothing more", pngHeader(16384, 16384, 8, 6), io.ErrUnexpectedEOF},
		{"PNG of 16384x16384 of 16 bits", append(pngHeader(16384, 16384, 16, 6), padding...), ErrTooLarge},
		{"BMP", append([]byte("BM"), make([]byte, 60)...), nil},
		{"PPM", []byte("P6 30000 30000 255\n"), ErrTooLarge},
		{"PGM", []byte("P5 20000 2000 255\n"), io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _, err := Decode(bytes.NewReader(test.data), nil)
		runtime.ReadMemStats(&after)
		if err == nil || test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: got error %v, want %v", test.name, err, test.is)
		}
		const most = 64 << 20 // of 2 GiB: growing buffers for the file itself take several times its size, more so under the race detector
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Errorf("%s: took %d bytes, want at most %d", test.name, took, most)
		}
	}
}

// TestRefused tests that formats that are not read are called by their names.
func TestRefused(t *testing.T) {
	for name, data := range map[string]string{
		"AVIF": "\x00\x00\x00\x20ftypavif", "HEIC": "\x00\x00\x00\x20ftypheic", "JPEG XL": "\xff\x0a\x00\x00", "JPEG 2000": "\x00\x00\x00\x0cjP  \r\n",
		"CR2 (camera raw)": "II*\x00\x10\x00\x00\x00CR\x02\x00", "CR3 (camera raw)": "\x00\x00\x00\x18ftypcrx ", "PSD": "8BPS\x00\x01", "PDF": "%PDF-1.7",
		"SVG": "<?xml version='1.0'?>\n<!-- x --><svg/>", "DICOM": strings.Repeat("\x00", 128) + "DICM", "ICO": "\x00\x00\x01\x00\x01\x00",
	} {
		_, _, err := Decode(strings.NewReader(data), nil)
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "imageio: "+name+":") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// TestNotes tests what is said of what was chosen.
func TestNotes(t *testing.T) {
	twelve := image.NewGray16(image.Rect(0, 0, 4, 1))
	for x, v := range []uint16{0, 1000, 2048, 4095} {
		twelve.SetGray16(x, 0, color.Gray16{v})
	}
	sees := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	copy(sees.Pix, []uint8{200, 100, 0, 255, 200, 100, 0, 51})
	tests := []struct {
		name string
		img  image.Image
		opts *Options
		pix  []uint8 // the first channel
		note string
	}{
		{"16 bits", twelve, nil, []uint8{0, 3, 8, 15}, "16 bits with no value above 4095: dark, or from a camera of 12 bits (say how many levels)"},
		{"levels", twelve, &Options{Levels: 4096}, []uint8{0, 62, 128, 255}, "more than 8 bits: taken as 4096 levels, as asked"},
		{"over black", sees, nil, []uint8{200, 40}, "transparent pixels are laid over black"},
		{"over white", sees, &Options{Background: White}, []uint8{200, 244}, "transparent pixels are laid over white"},
		{"ignored", sees, &Options{Background: Ignore}, []uint8{200, 200}, "transparency is ignored, which leaves nothing to see: all pixels are the same"},
	}
	for _, test := range tests {
		var b bytes.Buffer
		if err := png.Encode(&b, test.img); err != nil {
			t.Fatal(err)
		}
		img, notes, err := Decode(&b, test.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytesOf(img, 1); !bytes.Equal(got, test.pix) || !slices.Equal(notes, []string{test.note}) {
			t.Errorf("%s: got %v, notes %q, want %v, %q", test.name, got, notes, test.pix, test.note)
		}
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
	if dir := os.Getenv("ANOMALY_MATRIX"); dir != "" { // what gen_matrix.py wrote
		more, err := filepath.Glob(filepath.Join(dir, "*.[bdgjptw]*"))
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, colour := range []byte{0, 2, 6} {
		f.Add(pngKind{depth: 8, colour: colour, opaque: true}.encode(rand.New(rand.NewPCG(7, 8)), 19, 7))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		opts := &Options{MaxPixels: 1 << 16}
		checkResized(t, "", data, opts)
		img, _, err := Decode(bytes.NewReader(data), opts)
		if err != nil {
			if strings.Contains(err.Error(), "a damaged file") {
				t.Error(err) // a panic
			}
			return
		}
		if _, err := DecodeMask(bytes.NewReader(data), opts); err != nil {
			t.Error(err)
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
