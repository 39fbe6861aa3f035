package heatmap

import (
	"image"
	"image/color"
	"image/draw"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/internal/testenv"
	xdraw "golang.org/x/image/draw"
)

// colourTol is how far 33 interpolated colours stray from Inferno's 256, as
// Inferno's doc says.
const colourTol = 2

func TestInferno(t *testing.T) {
	var table [][3]uint8
	testenv.Golden(t, "inferno.py", "inferno.json", &table)
	if len(table) != 256 {
		t.Fatalf("got %d colours, want 256", len(table))
	}
	for i, want := range table {
		got := inferno.At(float32(i) / 255)
		for k, v := range []uint8{got.R, got.G, got.B} {
			if d := int(v) - int(want[k]); d < -colourTol || d > colourTol {
				t.Errorf("colour %d: got %v, want %v", i, got, want)
			}
		}
	}
}

func TestColormap(t *testing.T) {
	black, grey, white := color.RGBA{0, 0, 0, 255}, color.RGBA{128, 128, 128, 255}, color.RGBA{255, 255, 255, 255}
	scale := Colormap{black, white}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, tc := range []struct {
		colors Colormap
		at     float32
		want   color.RGBA
	}{
		{scale, 0, black}, {scale, -1, black}, {scale, -inf, black},
		{scale, .5, grey},
		{scale, 1, white}, {scale, 2, white}, {scale, inf, white}, {scale, nan, white},
		{Colormap{grey}, 0, grey}, {Colormap{grey}, 1, grey},
		{nil, 0, inferno[0]}, {nil, 1, inferno[len(inferno)-1]},
	} {
		if got := tc.colors.At(tc.at); got != tc.want {
			t.Errorf("%v of %d colours: got %v, want %v", tc.at, len(tc.colors), got, tc.want)
		}
	}
	m := &Map{Data: []float32{1, 2, 3, 4}, Height: 2, Width: 2}
	for _, tc := range []struct {
		lo, hi float32
		want   []color.RGBA
	}{
		{1, 3, []color.RGBA{black, grey, white, white}},
		{4, 5, []color.RGBA{black, black, black, black}},
		{4, 4, []color.RGBA{black, black, black, black}},
		{3, 3, []color.RGBA{black, black, black, white}},
	} {
		img := Colorize(m, Scale{Lo: tc.lo, Hi: tc.hi}, scale)
		for i, want := range tc.want {
			if got := img.RGBAAt(i%2, i/2); got != want {
				t.Errorf("%v to %v, pixel %d: got %v, want %v", tc.lo, tc.hi, i, got, want)
			}
		}
	}
}

func filled(r image.Rectangle, c color.RGBA) *image.RGBA {
	img := image.NewRGBA(r)
	draw.Draw(img, r, image.NewUniform(c), image.Point{}, draw.Src)
	return img
}

func TestOverlay(t *testing.T) {
	grey := color.RGBA{100, 100, 100, 255}
	img := filled(image.Rect(3, 5, 11, 13), grey) // does not start at the origin
	m := NewMap(8, 8)
	m.Data[4*8+4] = 1
	red := color.RGBA{200, 0, 0, 255}
	out := Overlay(img, m, .5, &OverlayOptions{Color: red, Opacity: .5})
	if want := image.Rect(0, 0, 8, 8); out.Rect != want {
		t.Fatalf("got bounds %v, want %v", out.Rect, want)
	}
	for y := range 8 {
		for x := range 8 {
			want := grey
			switch far := max(abs(x-4), abs(y-4)); far {
			case 0:
				want = color.RGBA{150, 50, 50, 255}
			case 1:
				want = red
			}
			if got := out.RGBAAt(x, y); got != want {
				t.Errorf("(%d,%d): got %v, want %v", x, y, got, want)
			}
		}
	}
	if got := Overlay(img, m, .5, &OverlayOptions{Contour: -1}).RGBAAt(4, 3); got != grey {
		t.Errorf("no contour: got %v, want %v", got, grey)
	}
	if got := Overlay(img, m, 1, nil); !slices.Equal(got.Pix, img.Pix) {
		t.Error("nothing above the threshold: the image changed")
	}
	if got := Overlay(img, m, .5, nil).RGBAAt(4, 4); !(got.G > got.R && got.G > got.B) {
		t.Errorf("default tint: got %v, want it green", got)
	}
	if img.RGBAAt(7, 9) != grey {
		t.Error("the input changed")
	}
}

func abs(i int) int { return max(i, -i) }

func TestTileSize(t *testing.T) {
	for _, tc := range []struct {
		input, want image.Point
		enlarged    bool
	}{
		{image.Pt(32, 32), image.Pt(256, 256), true},
		{image.Pt(28, 28), image.Pt(252, 252), true},
		{image.Pt(128, 64), image.Pt(256, 128), true},
		{image.Pt(129, 64), image.Pt(129, 64), false},
		{image.Pt(512, 300), image.Pt(512, 300), false},
		{image.Pt(900, 900), image.Pt(512, 512), false},
		{image.Pt(600, 1200), image.Pt(256, 512), false},
		{image.Pt(10000, 1), image.Pt(512, 1), false},
	} {
		if got, enlarged := tileSize(tc.input, 512); got != tc.want || enlarged != tc.enlarged {
			t.Errorf("%v: got %v, %v, want %v, %v", tc.input, got, enlarged, tc.want, tc.enlarged)
		}
	}
}

func TestPicture(t *testing.T) {
	blue, olive := color.RGBA{0, 0, 200, 255}, color.RGBA{90, 90, 0, 255}
	input := filled(image.Rect(0, 0, 32, 16), blue)
	m := NewMap(16, 32)
	m.Data[8*32+16] = .8
	p := Picture(input, m, &PictureOptions{
		Reconstruction: filled(image.Rect(0, 0, 64, 64), olive),
		Threshold:      new(float32(.4)),
		Caption:        "caption",
	})
	const factor = 8
	tileW, tileH := 32*factor, 16*factor
	if want := image.Rect(0, 0, gap+4*(tileW+gap), lineHeight+tileH+gap+lineHeight); p.Rect != want {
		t.Fatalf("got bounds %v, want %v", p.Rect, want)
	}
	at := func(tile, x, y int) color.RGBA { return p.RGBAAt(gap+tile*(tileW+gap)+x, lineHeight+y) }
	hotX, hotY := 16*factor, 8*factor // the hot pixel is a square of factor from here on
	last := factor - 1
	for _, tc := range []struct {
		what       string
		got, wants color.RGBA
	}{
		{"input", at(0, 0, 0), blue},
		{"reconstruction", at(1, tileW-1, tileH-1), olive},
		{"cold map", at(2, 0, 0), inferno[0]},
		{"hot pixel, twice the threshold", at(2, hotX, hotY), inferno.At(1)},
		{"its far corner", at(2, hotX+last, hotY+last), inferno.At(1)},
		{"beside it", at(2, hotX-1, hotY), inferno[0]},
		{"overlay elsewhere", at(3, 0, 0), blue},
		{"contour", at(3, hotX-1, hotY), green},
		{"gap", p.RGBAAt(0, lineHeight), paper},
	} {
		if tc.got != tc.wants {
			t.Errorf("%s: got %v, want %v", tc.what, tc.got, tc.wants)
		}
	}
	if tint := at(3, hotX+3, hotY+3); !(tint.G > 50 && tint.B > 50 && tint.B < 200) {
		t.Errorf("tint: got %v, want blue and green", tint)
	}
	inked := func(r image.Rectangle) bool {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if p.RGBAAt(x, y) == ink {
					return true
				}
			}
		}
		return false
	}
	for tile := range 4 {
		x := gap + tile*(tileW+gap)
		if !inked(image.Rect(x, 0, x+tileW, lineHeight)) {
			t.Errorf("tile %d has no title", tile)
		}
	}
	if !inked(image.Rect(0, p.Rect.Max.Y-lineHeight, p.Rect.Max.X, p.Rect.Max.Y)) {
		t.Error("no caption")
	}
}

// TestPictureSizes: maps, inputs and reconstructions of any size make a picture.
func TestPictureSizes(t *testing.T) {
	for _, input := range []image.Point{{0, 0}, {1, 1}, {28, 28}, {300, 200}, {1000, 3}} {
		for _, m := range []*Map{NewMap(0, 0), NewMap(1, 1), NewMap(32, 32), NewMap(200, 300)} {
			size, _ := tileSize(input, 512)
			p := Picture(image.NewGray(image.Rectangle{Max: input}), m, nil)
			if want := gap + 2*(size.X+gap); p.Rect.Dx() != want {
				t.Errorf("input %v, map %dx%d: got width %d, want %d", input, m.Height, m.Width, p.Rect.Dx(), want)
			}
		}
	}
}

func TestCaption(t *testing.T) {
	for _, tc := range []struct {
		score     float32
		threshold *float32
		want      string
	}{
		{.41237, new(float32(.3)), "score 0.4124 > threshold 0.3: anomalous"},
		{.3, new(float32(.3)), "score 0.3, threshold 0.3: good"},
		{.3, nil, "score 0.3"},
	} {
		if got := Caption(tc.score, tc.threshold); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}

func BenchmarkPicture(b *testing.B) {
	input := filled(image.Rect(0, 0, 900, 900), green)
	o := &PictureOptions{Reconstruction: filled(image.Rect(0, 0, 256, 256), green), Threshold: new(float32(.5))}
	m := NewMap(256, 256)
	for b.Loop() {
		Picture(input, m, o)
	}
}

// random fills an image; of one that can be transparent, some pixels.
func random[T draw.Image](img T, rng *rand.Rand) T {
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			img.Set(x, y, color.NRGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(255 - rng.Uint32()%2*100)})
		}
	}
	return img
}

// fitTol is what rounding between two passes, and transparency before or after, make in 1/255.
const fitTol = 2

// TestFit tests that images of any kind come out as package draw interpolates them, over paper.
func TestFit(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	opaque := random(image.NewRGBA(image.Rect(0, 0, 61, 40)), rng)
	for i := 3; i < len(opaque.Pix); i += 4 {
		opaque.Pix[i] = 255
	}
	last := image.NewRGBA(opaque.Rect) // transparent in the last pixel alone
	copy(last.Pix, opaque.Pix)
	copy(last.Pix[len(last.Pix)-4:], []uint8{0, 0, 0, 0})
	for _, img := range []image.Image{
		opaque, last, opaque.SubImage(image.Rect(7, 5, 40, 39)),
		random(image.NewRGBA(image.Rect(2, 3, 41, 32)), rng), random(image.NewNRGBA(image.Rect(0, 0, 39, 29)), rng), random(image.NewGray(image.Rect(0, 0, 39, 29)), rng),
	} {
		from := img.Bounds()
		for _, size := range []image.Point{from.Size(), {X: 80, Y: 80}, {X: 17, Y: 23}, {X: 1, Y: 50}} {
			r := image.Rectangle{Max: size}.Add(image.Pt(5, 4))
			got := filled(image.Rectangle{Max: r.Max.Add(image.Pt(3, 3))}, green)
			fit(got, r, img, false)
			whole := image.NewRGBA(image.Rectangle{Max: size})
			xdraw.BiLinear.Scale(whole, whole.Rect, img, from, xdraw.Src, nil)
			want := filled(got.Rect, green)
			draw.Draw(want, r, image.NewUniform(paper), image.Point{}, draw.Src)
			draw.Draw(want, r, whole, image.Point{}, draw.Over)
			for i, v := range got.Pix {
				if d := abs(int(v) - int(want.Pix[i])); d > fitTol {
					t.Fatalf("%T %v to %v: byte %d: got %d, want %d", img, from, size, i, v, want.Pix[i])
				}
			}
		}
	}
}

// TestPictureTiles tests that the tiles are what the package makes of the same by itself, on
// whatever canvas.
func TestPictureTiles(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := NewMap(31, 43)
	for i := range m.Data {
		m.Data[i] = rng.Float32()
	}
	threshold := float32(.8)
	for _, input := range []image.Image{
		random(image.NewRGBA(image.Rect(0, 0, 290, 200)), rng), random(image.NewGray(image.Rect(0, 0, 700, 300)), rng),
		image.NewRGBA(image.Rect(0, 0, 0, 0)), image.NewNRGBA(image.Rect(0, 0, 40, 1)),
	} {
		for _, reconstruction := range []image.Image{nil, random(image.NewRGBA(image.Rect(0, 0, 31, 43)), rng), image.NewRGBA(image.Rect(0, 0, 0, 0))} {
			o := &PictureOptions{Reconstruction: reconstruction, Threshold: &threshold, Tile: 300, Caption: "caption"}
			p := Picture(input, m, o)
			o.Canvas = random(image.NewRGBA(image.Rect(0, 0, 2000, 500)), rng)
			again := Picture(input, m, o)
			if again.Rect != p.Rect || !slices.Equal(again.Pix, p.Pix) {
				t.Errorf("%v: another picture on a canvas that was in use", input.Bounds())
			}
			if &again.Pix[0] != &o.Canvas.Pix[0] {
				t.Errorf("%v: a canvas that is large enough is not drawn on", input.Bounds())
			}
			o.Canvas = image.NewRGBA(image.Rect(0, 0, 3, 3))
			if again := Picture(input, m, o); !slices.Equal(again.Pix, p.Pix) {
				t.Errorf("%v: another picture beside a canvas that is too small", input.Bounds())
			}
			tiles := Layout(input.Bounds().Size(), o)
			tile := func(i int) *image.RGBA { return p.SubImage(tiles[len(tiles)+i]).(*image.RGBA) }
			size := tiles[0].Size()
			for i, want := range map[int]*image.RGBA{
				-2: Colorize(m.Resize(size.Y, size.X), NewScale(&threshold, nil), nil),
				-1: Overlay(p.SubImage(tiles[0]), m, threshold, nil),
			} {
				got := image.NewRGBA(image.Rectangle{Max: size})
				draw.Draw(got, got.Rect, tile(i), tile(i).Rect.Min, draw.Src)
				if _, enlarged := tileSize(input.Bounds().Size(), 300); !enlarged && !slices.Equal(got.Pix, want.Pix) {
					t.Errorf("%v: tile %d from the end is another image", input.Bounds(), -i)
				}
			}
		}
	}
}

// paletteTol is what a table of colours is off by, in 1/255.
const paletteTol = 1

func TestPalette(t *testing.T) {
	m := NewMap(1, 5000)
	for i := range m.Data {
		m.Data[i] = float32(i)/4500 - .05
	}
	s := Scale{0, .3, 1}
	img := Colorize(m, s, nil)
	for i, v := range m.Data {
		at := .5 + (v-.3)/.7/2
		if v < .3 {
			at = v / .3 / 2
		}
		want := inferno.At(at)
		for k, w := range []uint8{want.R, want.G, want.B, want.A} {
			if d := abs(int(img.Pix[4*i+k]) - int(w)); d > paletteTol {
				t.Fatalf("residual %v, channel %d: got %d, want %d", v, k, img.Pix[4*i+k], w)
			}
		}
	}
}
