package imageio

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
)

// pillowTolerance is 0: the arithmetic is Pillow's, in integers.
const pillowTolerance = 0

// noise returns the source image of gen_resize.py.
func noise(mode string, width, height int) image.Image {
	state := uint32(1)
	next := func() uint8 {
		state = state*1664525 + 1013904223
		switch v := uint8(state >> 24); {
		case v < 80:
			return 0
		case v > 175:
			return 255
		default:
			return v
		}
	}
	if mode == "L" {
		img := image.NewGray(image.Rect(0, 0, width, height))
		for i := range img.Pix {
			img.Pix[i] = next()
		}
		return img
	}
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range img.Pix {
		img.Pix[i] = 255
		if i%4 < 3 {
			img.Pix[i] = next()
		}
	}
	return img
}

// bytesOf returns img's pixels as [H,W,channels].
func bytesOf(img image.Image, channels int) []uint8 {
	var out []uint8
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
			out = append(out, []uint8{c.R, c.G, c.B}[:channels]...)
		}
	}
	return out
}

func TestResizeLikePillow(t *testing.T) {
	testenv.Regenerate(t, "gen_resize.py")
	files, err := filepath.Glob("testdata/resize/*.png")
	if err != nil || len(files) == 0 {
		t.Fatal("no goldens: ", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".png")
		t.Run(name, func(t *testing.T) {
			parts := strings.Split(name, "_")
			var w, h, width, height int
			if _, err := fmt.Sscanf(strings.Join(parts[len(parts)-2:], " "), "%dx%d %dx%d", &w, &h, &width, &height); err != nil {
				t.Fatal(err)
			}
			channels := 3
			if parts[len(parts)-3] == "L" {
				channels = 1
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden, _, err := Decode(bytes.NewReader(data), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := bytesOf(golden, channels)
			got := make([]uint8, height*width*channels)
			if err := Resize(got, noise(parts[0], w, h), height, width, channels); err != nil {
				t.Fatal(err)
			}
			if d := maxDiff(got, want); d > pillowTolerance {
				t.Errorf("got a difference of %d/255, want at most %d", d, pillowTolerance)
			}
		})
	}
}

// TestResizeKernels tests that kernels do what plain Go does.
func TestResizeKernels(t *testing.T) {
	across, down := acrossRGB, downColumns
	if down == nil {
		t.Skip("no kernels for this processor")
	}
	defer func() { acrossRGB, downColumns = across, down }()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		size := image.Pt(1+rng.IntN(90), 1+rng.IntN(90))
		target := Target{Height: 1 + rng.IntN(60), Width: 1 + rng.IntN(60), Channels: 1 + 2*rng.IntN(2)}
		from := []int{1, 3, 4}[rng.IntN(3)]
		rows := make([]uint8, size.X*size.Y*from+1) // a byte behind the last pixel may be read
		for i := range rows {
			if rows[i] = 255; rng.IntN(3) > 0 {
				rows[i] = uint8(rng.Uint32())
			}
		}
		var results [2][]uint8
		for i := range results {
			if acrossRGB, downColumns = across, down; i > 0 {
				acrossRGB, downColumns = [5]func(dst0, dst1, src0, src1 *byte, first, count *int, weights *uint64, taps, n int){}, nil
			}
			target.Pixels = make([]uint8, target.Height*target.Width*target.Channels)
			r := newResizer(&target, size, from)
			row := func(y int) []uint8 { return rows[y*size.X*from:][:size.X*from] }
			for y := 0; y < size.Y; y += 2 {
				r.rows(y, row(y), row(min(y+1, size.Y-1)))
			}
			r.end()
			r.release()
			results[i] = target.Pixels
		}
		if !bytes.Equal(results[0], results[1]) {
			t.Fatalf("%v of %d bytes to %dx%d of %d channels: got other pixels", size, from, target.Width, target.Height, target.Channels)
		}
	}
}

func maxDiff(a, b []uint8) int {
	if len(a) != len(b) {
		return 256
	}
	d := 0
	for i := range a {
		d = max(d, int(a[i])-int(b[i]), int(b[i])-int(a[i]))
	}
	return d
}

// TestResizeAnyImage compares images of other types and bounds with the same
// pixels as Decode would give them.
func TestResizeAnyImage(t *testing.T) {
	const height, width = 9, 14
	rgba := noise("RGB", 41, 30).(*image.RGBA)
	gray := noise("L", 41, 30).(*image.Gray)
	want := map[int]map[image.Image][]uint8{}
	for _, channels := range []int{1, 3} {
		want[channels] = map[image.Image][]uint8{}
		for _, img := range []image.Image{rgba, gray} {
			row := make([]uint8, height*width*channels)
			if err := Resize(row, img, height, width, channels); err != nil {
				t.Fatal(err)
			}
			want[channels][img] = row
		}
	}

	nrgba := image.NewNRGBA(rgba.Rect)
	draw.Draw(nrgba, rgba.Rect, rgba, image.Point{}, draw.Src)
	wide := image.NewRGBA(image.Rect(-7, 3, 60, 50)) // rgba is a part of it
	draw.Draw(wide, rgba.Rect.Add(image.Pt(5, 11)), rgba, image.Point{}, draw.Src)
	part := wide.SubImage(rgba.Rect.Add(image.Pt(5, 11)))
	gray16 := image.NewGray16(gray.Rect)
	draw.Draw(gray16, gray.Rect, gray, image.Point{}, draw.Src)
	wideGray := image.NewGray(image.Rect(0, 0, 80, 80))
	draw.Draw(wideGray, gray.Rect.Add(image.Pt(20, 9)), gray, image.Point{}, draw.Src)
	partGray := wideGray.SubImage(gray.Rect.Add(image.Pt(20, 9)))

	tests := []struct {
		name string
		img  image.Image
		same image.Image
	}{
		{"NRGBA", nrgba, rgba},
		{"part of RGBA", part, rgba},
		{"Gray16", gray16, gray},
		{"part of Gray", partGray, gray},
	}
	for _, test := range tests {
		for _, channels := range []int{1, 3} {
			got := make([]uint8, height*width*channels)
			if err := Resize(got, test.img, height, width, channels); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want[channels][test.same]) {
				t.Errorf("%s, %d channels: differs from the plain image", test.name, channels)
			}
		}
	}
}

func TestResizeErrors(t *testing.T) {
	img := noise("L", 4, 4)
	tests := []struct {
		name                    string
		img                     image.Image
		room                    int
		height, width, channels int
	}{
		{"room", img, 11, 2, 2, 3},
		{"channels", img, 8, 2, 2, 2},
		{"height", img, 0, 0, 2, 3},
		{"negative", img, 12, -2, -2, 3},
		{"empty image", image.NewGray(image.Rectangle{}), 12, 2, 2, 3},
	}
	for _, test := range tests {
		if err := Resize(make([]uint8, test.room), test.img, test.height, test.width, test.channels); err == nil {
			t.Errorf("%s: got no error", test.name)
		}
	}
}

func BenchmarkResize(b *testing.B) {
	for _, bench := range []struct {
		mode               string
		from, to, channels int
	}{
		{"RGB", 900, 128, 3}, {"RGB", 900, 256, 3}, {"RGB", 900, 256, 1},
		{"L", 1024, 256, 1}, {"L", 1024, 256, 3}, {"L", 28, 32, 1},
	} {
		b.Run(fmt.Sprintf("%s/%d/%dx%d", bench.mode, bench.from, bench.to, bench.channels), func(b *testing.B) {
			img := noise(bench.mode, bench.from, bench.from)
			dst := make([]uint8, bench.to*bench.to*bench.channels)
			b.ReportAllocs()
			for b.Loop() {
				if err := Resize(dst, img, bench.to, bench.to, bench.channels); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A liar is an image that is not what it says.
type liar struct {
	bounds image.Rectangle
	at     func() color.Color
}

func (l liar) ColorModel() color.Model { return color.RGBAModel }
func (l liar) Bounds() image.Rectangle { return l.bounds }
func (l liar) At(x, y int) color.Color { return l.at() }

// TestResizeLiars tests that no image ends the process.
func TestResizeLiars(t *testing.T) {
	square := image.Rect(0, 0, 8, 8)
	white := func() color.Color { return color.White }
	short := func(img *image.RGBA) *image.RGBA { img.Pix = img.Pix[:len(img.Pix)-1]; return img }
	tests := []struct {
		name string
		img  image.Image
	}{
		{"nil", nil},
		{"nil inside", (*image.Gray)(nil)},
		{"nil inside, another", (*image.NRGBA)(nil)},
		{"fewer pixels", short(image.NewRGBA(square))},
		{"no pixels", &image.Gray{Stride: 8, Rect: square}},
		{"stride 0", &image.Gray{Pix: make([]uint8, 64), Rect: square}},
		{"negative stride", &image.Gray{Pix: make([]uint8, 64), Stride: -8, Rect: square}},
		{"fewer pixels, another", &image.NRGBA{Pix: make([]uint8, 7), Stride: 32, Rect: square}},
		{"no colours", &image.YCbCr{Y: make([]uint8, 64), YStride: 8, Rect: square}},
		{"an unknown sampling", &image.YCbCr{Y: make([]uint8, 64), Cb: make([]uint8, 64), Cr: make([]uint8, 64), YStride: 8, CStride: 8, SubsampleRatio: 77, Rect: square}},
		{"panics", liar{square, func() color.Color { panic("no") }}},
		{"nil colours", liar{square, func() color.Color { return nil }}},
		{"uniform", image.NewUniform(color.White)},
		{"a long line", liar{image.Rect(0, 0, 1<<30, 1), white}},
		{"huge", liar{image.Rect(0, 0, maxSide, maxSide), white}},
		{"empty", liar{image.Rectangle{}, white}},
		{"overflow", liar{image.Rectangle{image.Pt(math.MinInt/2, 0), image.Pt(math.MaxInt/2+1, 1)}, white}},
	}
	for _, test := range tests {
		if err := Resize(make([]uint8, 3*4*4), test.img, 4, 4, 3); err == nil {
			t.Errorf("%s: got no error", test.name)
		}
	}
	if err := Resize(make([]uint8, 3*4*4), liar{square, white}, 4, 4, 3); err != nil {
		t.Errorf("an honest one: %v", err)
	}
}
