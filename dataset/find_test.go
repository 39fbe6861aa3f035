package dataset

import (
	"bytes"
	"errors"
	"image"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/imageio"
)

func TestFind(t *testing.T) {
	root := tree(t, "x/b.png", "x/a.JPG", "x/sub/c.png", "x/.cache/d.png", "x/.e.png", "y/a.JPG", "y/[1].png", "z/f.bmp")
	write(t, array[uint8](1, 2, 4, 4), root, "x", "rows.npy")
	write(t, gz(idx(1, 4, 4)), root, "y", "t10k-images-idx3-ubyte.gz")
	write(t, []byte("text"), root, "x", "readme.txt")

	tests := []struct {
		name string
		args []string // below root
		want []string
	}{
		{"a folder", []string{"x"}, []string{"a.JPG", "b.png", "sub/c.png"}},
		{"a file", []string{"x/b.png"}, []string{"b.png"}},
		{"in the order given", []string{"x/sub/c.png", "x/a.JPG"}, []string{"sub/c.png", "a.JPG"}},
		{"the same name twice", []string{"y/a.JPG", "x/a.JPG"}, []string{"y/a.JPG", "x/a.JPG"}},
		{"folders", []string{"y", "x/sub"}, []string{"y/[1].png", "y/a.JPG", "x/sub/c.png"}},
		{"the same file twice", []string{"x/b.png", "x", "x/../x/b.png"}, []string{"b.png", "a.JPG", "sub/c.png"}},
		{"a pattern", []string{"x/*.png"}, []string{"b.png"}},
		{"a pattern of folders", []string{"[xz]"}, []string{"x/a.JPG", "x/b.png", "x/sub/c.png", "z/f.bmp"}},
		{"a name like a pattern", []string{"y/[1].png"}, []string{"[1].png"}},
		{"rows", []string{"x/rows.npy"}, []string{"rows.npy#0", "rows.npy#1"}},
		{"rows and images", []string{"y/t10k-images-idx3-ubyte.gz", "z"}, []string{"y/t10k-images-idx3-ubyte.gz#0", "z/f.bmp"}},
		{"any file", []string{"x/readme.txt"}, []string{"readme.txt"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var args []string
			for _, arg := range test.args {
				args = append(args, root+"/"+arg)
			}
			samples, err := Find(args...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range samples {
				got = append(got, s.Name)
				if s.Kind != "" || s.Anomalous || s.HasMask() {
					t.Errorf("%s: got a kind or a mask", s.Name)
				}
				if _, err := os.Stat(s.Path); err != nil {
					t.Error(err)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestFindLinks tests that links to folders are followed, and a circle once.
func TestFindLinks(t *testing.T) {
	root := tree(t, "a/1.png", "b/2.png")
	if err := os.Symlink(filepath.Join(root, "b"), filepath.Join(root, "a", "link")); err != nil {
		t.Skip("no symbolic links: ", err)
	}
	if err := os.Symlink(filepath.Join(root, "a"), filepath.Join(root, "b", "back")); err != nil {
		t.Fatal(err)
	}
	samples, err := Find(filepath.Join(root, "a"))
	if err != nil {
		t.Fatal(err)
	}
	checkList(t, "links", samples, "1.png ", "link/2.png ")
	// A link to itself is an image that cannot be read, not the end of all.
	if err := os.Symlink("self.png", filepath.Join(root, "a", "self.png")); err != nil {
		t.Fatal(err)
	}
	if samples, err = Find(filepath.Join(root, "a")); err != nil {
		t.Fatal(err)
	}
	checkList(t, "links", samples, "1.png ", "link/2.png ", "self.png ")
	if _, err := samples[2].Image(); err == nil {
		t.Error("a link to itself is read")
	}
}

// TestFindPages tests that every page of a TIFF file is an image.
func TestFindPages(t *testing.T) {
	root := t.TempDir()
	data, err := os.ReadFile(filepath.Join("testdata", "pages.tif"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, data, root, "scan.tif")
	write(t, picture(7), root, "a.jfif")
	write(t, picture(7), root, "b.PPM")
	write(t, []byte("text"), root, "notes.txt")
	write(t, []byte("ftyp"), root, "c.heic")
	var notes Notes
	samples, err := (&Options{Decoding: &Decoding{Notes: &notes}}).Find(root)
	if err != nil {
		t.Fatal(err)
	}
	checkList(t, "pages", samples, "a.jfif ", "b.PPM ", "scan.tif#1 ", "scan.tif#2 ")
	want := []string{
		"HEIC is not read (convert it to PNG or TIFF): left out (1: c.heic)",
		"files that are no images by their names: left out (1: notes.txt)",
	}
	if got := notes.Lines(); !slices.Equal(got, want) {
		t.Errorf("notes:\ngot  %q\nwant %q", got, want)
	}
	for i, want := range []uint8{10, 200} { // the pages' grey
		s := &samples[2+i]
		img, err := s.Image()
		if err != nil {
			t.Fatal(err)
		}
		if got := img.(*image.Gray).Pix[0]; got != want || s.Page != i+1 || s.OutputName() != s.Name {
			t.Errorf("%s: got grey %d, page %d, name %q, want %d, %d", s.Name, got, s.Page, s.OutputName(), want, i+1)
		}
	}
}

// TestDecode tests the decoder for programs.
func TestDecode(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	copy(img.Pix, []uint8{9, 9, 9, 0, 9, 9, 9, 0})
	tests := []struct {
		background Background
		want       uint8
		note       string
	}{
		{"", 0, "transparent pixels are laid over black, which leaves nothing to see: all pixels are the same"},
		{White, 255, "transparent pixels are laid over white, which leaves nothing to see: all pixels are the same"},
		{Ignore, 9, "transparency is ignored, which leaves nothing to see: all pixels are the same"},
	}
	for _, test := range tests {
		got, notes, err := Decode(bytes.NewReader(encode(img)), "a.png", &Decoding{Background: test.background})
		if err != nil {
			t.Fatal(err)
		}
		if v := channelsOf(got)[0]; v != test.want || !slices.Equal(notes, []string{test.note}) {
			t.Errorf("%q: got %d, notes %q, want %d, %q", test.background, v, notes, test.want, test.note)
		}
	}
	for _, bad := range []Decoding{{Background: "grey"}, {Levels: 1}, {Levels: -1}, {MaxPixels: -1}} {
		if _, _, err := Decode(bytes.NewReader(encode(img)), "a.png", &bad); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
}

// DecodePixels is Decode and Resize, of files that are resized as they are read and of others.
func TestDecodePixels(t *testing.T) {
	rgb, grey := image.NewNRGBA(image.Rect(0, 0, 9, 6)), image.NewGray16(image.Rect(0, 0, 7, 5))
	for i := range rgb.Pix {
		rgb.Pix[i] = uint8(i*37) | 255*uint8(i%4/3)
	}
	for i := range grey.Pix {
		grey.Pix[i] = uint8(i * 91)
	}
	for _, img := range []image.Image{rgb, grey} {
		whole, _, err := Decode(bytes.NewReader(encode(img)), "a.png", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range []image.Point{{}, {4, 3}} { // the image's own size, and a smaller one
			got, size, _, err := DecodePixels(bytes.NewReader(encode(img)), "a.png", nil, to.Y, to.X, 3)
			if err != nil {
				t.Fatal(err)
			}
			if size != whole.Bounds().Size() {
				t.Errorf("got size %v, want %v", size, whole.Bounds().Size())
			}
			if to.X == 0 {
				to = size
			}
			want := make([]uint8, 3*to.X*to.Y)
			if err := imageio.Resize(want, whole, to.Y, to.X, 3); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%T at %v: got %v, want %v", img, to, got, want)
			}
		}
	}
	if _, _, _, err := DecodePixels(strings.NewReader("x"), "a.png", nil, 1, 1, 3); !errors.Is(err, image.ErrFormat) || !strings.Contains(err.Error(), "a.png") {
		t.Errorf("got %v, want image.ErrFormat of a.png", err)
	}
}

func TestFindErrors(t *testing.T) {
	root := tree(t, "a/1.png")
	write(t, []byte("text"), root, "text", "readme.txt")
	tests := []struct {
		arg  string
		is   error
		says string
	}{
		{"absent", fs.ErrNotExist, "absent"},
		{"*.tiff", fs.ErrNotExist, "*.tiff"},
		{"text", ErrEmpty, "name .npy and idx files themselves"},
		{"[", filepath.ErrBadPattern, "["},
	}
	for _, test := range tests {
		_, err := Find(root+"/a", root+"/"+test.arg)
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %v, want %v with %q", test.arg, err, test.is, test.says)
		}
	}
	if _, err := Find(""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty path: got error %v, want fs.ErrNotExist", err)
	}
	if _, err := Find(); !errors.Is(err, ErrEmpty) {
		t.Errorf("nothing: got error %v, want ErrEmpty", err)
	}
}

// channelsOf returns the image's bytes: grey, or red, green and blue.
func channelsOf(img image.Image) []uint8 {
	if gray, ok := img.(*image.Gray); ok {
		return gray.Pix
	}
	var out []uint8
	for i, v := range img.(*image.RGBA).Pix {
		if i%4 != 3 {
			out = append(out, v)
		}
	}
	return out
}

func ramp(from, n int) []uint8 {
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(from + i)
	}
	return out
}

// TestRows compares the last row of arrays of 0, 1, 2, ….
func TestRows(t *testing.T) {
	tests := []struct {
		name, file    string
		data          []byte
		height, width int
		want          []uint8 // row 1
	}{
		{"NHW", "a.npy", array[uint8](1, 2, 4, 5), 4, 5, ramp(20, 20)},
		{"NHWC grey", "a.npy", array[uint8](1, 2, 4, 5, 1), 4, 5, ramp(20, 20)},
		{"NCHW grey", "a.npy", array[uint8](1, 2, 1, 4, 5), 4, 5, ramp(20, 20)},
		{"NHWC", "a.NPY", array[uint8](1, 2, 2, 2, 3), 2, 2, ramp(12, 12)},
		{"NCHW", "a.npy", array[uint8](1, 2, 3, 2, 2), 2, 2, []uint8{12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23}},
		{"both could be channels", "a.npy", array[uint8](1, 2, 3, 2, 3), 3, 2, ramp(18, 18)},
		{"float32", "a.npy", array[float32](1./255, 2, 4, 5), 4, 5, ramp(20, 20)},
		{"float64", "a.npy", array(1./255, 2, 4, 5), 4, 5, ramp(20, 20)},
		{"float32 rounded", "a.npy", save([]int{2, 1, 4}, []float32{0, 0, 0, 0, .4 / 255, .6 / 255, 254.4 / 255, 1}), 1, 4, []uint8{0, 1, 254, 255}},
		{"idx", "a-idx3-ubyte", idx(2, 4, 5), 4, 5, ramp(20, 20)},
		{"idx in colour", "a.idx", idx(2, 2, 2, 3), 2, 2, ramp(12, 12)},
		{"idx.gz", "a-idx3-ubyte.gz", gz(idx(2, 4, 5)), 4, 5, ramp(20, 20)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			samples, err := Find(write(t, test.data, t.TempDir(), test.file))
			if err != nil {
				t.Fatal(err)
			}
			s := &samples[1]
			if len(samples) != 2 || s.Row != 1 || s.Name != test.file+"#1" || s.OutputName() != test.file+"#000001" {
				t.Errorf("got %d samples, the second %q (%q), row %d", len(samples), s.Name, s.OutputName(), s.Row)
			}
			img, err := s.Image()
			if err != nil {
				t.Fatal(err)
			}
			if got := channelsOf(img); img.Bounds() != image.Rect(0, 0, test.width, test.height) || !bytes.Equal(got, test.want) {
				t.Errorf("got %v of %v, want %v of %dx%d", got, img.Bounds(), test.want, test.width, test.height)
			}
		})
	}
}

func TestRowsErrors(t *testing.T) {
	whole := idx(2, 4, 5)
	tests := []struct {
		name, file string
		data       []byte
		says       string
	}{
		{"one image or many", "a.npy", array[uint8](1, 4, 5, 3), "reshape it to four axes"},
		{"two axes", "a.npy", array[uint8](1, 4, 5), "got shape [4 5], want [N,H,W,C]"},
		{"no channels", "a.npy", array[uint8](1, 2, 4, 5, 6), "got shape [2 4 5 6]"},
		{"int32", "a.npy", save([]int{1, 4, 5}, make([]int32, 20)), "got elements of type <i4"},
		{"no rows", "a.npy", array[uint8](1, 0, 4, 5), "no images"},
		{"no pixels", "a.npy", array[uint8](1, 4, 0, 5), "no images"},
		{"no npy", "a.npy", []byte("text, and more of it"), "does not begin as an .npy file"},
		{"labels", "a-idx1-ubyte", idx(20), "idx header begins 00 00 08 01"},
		{"floats", "a-idx3-ubyte", append([]byte{0, 0, 13, 3}, whole[4:]...), "idx header begins 00 00 0d 03"},
		{"header cut", "a-idx3-ubyte", whole[:9], "idx header"},
		{"cut", "a-idx3-ubyte", whole[:len(whole)-1], "got 55 bytes, want 56"},
		{"two channels", "a-idx4-ubyte", idx(1, 4, 5, 2), "idx shape [1 4 5 2]"},
		{"absurd", "a-idx3-ubyte", []byte("\x00\x00\x08\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "idx shape"},
		{"absurd rows", "a-idx3-ubyte", []byte("\x00\x00\x08\x03\xff\xff\xff\xff\x00\x00\x00\x01\x00\x00\x00\x01"), "got 16 bytes"},
		{"absurd rows, packed", "a.idx.gz", gz([]byte("\x00\x00\x08\x03\xff\xff\xff\xff\x00\x00\x00\x01\x00\x00\x00\x01")), "or unpack it"},
		{"no gzip", "a.idx.gz", whole, "gzip"},
	}
	for _, test := range tests {
		_, err := Find(write(t, test.data, t.TempDir(), test.file))
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.says)
		}
	}
}

// TestRowErrors covers what shows only when a row is read.
func TestRowErrors(t *testing.T) {
	tests := []struct {
		name, file string
		data       []byte
		says       string
	}{
		{"above 1", "a.npy", save([]int{1, 1, 2}, []float32{0, 1.001}), "element 1 is 1.001, want [0,1]"},
		{"below 0", "a.npy", save([]int{1, 1, 2}, []float64{-1e-9, 1}), "element 0 is -1e-09"},
		{"NaN", "a.npy", save([]int{1, 1, 2}, []float32{0, float32(math.NaN())}), "element 1 is NaN"},
		{"cut", "a.idx.gz", gz(idx(2, 4, 5)[:30]), "got 30 bytes, want 56"},
	}
	for _, test := range tests {
		samples, err := Find(write(t, test.data, t.TempDir(), test.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := samples[0].Image(); err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %v, want %q", test.name, err, test.says)
		}
	}
}

func TestNotesFresh(t *testing.T) {
	n := &Notes{}
	n.Add("a", "x")
	for i, want := range [][]string{{"x (1: a)"}, nil, {"y (1: c)"}} {
		if got := n.Fresh(); !slices.Equal(got, want) {
			t.Errorf("look %d: got %q, want %q", i, got, want)
		}
		n.Add("b", "x") // said before
		if i == 1 {
			n.Add("c", "y")
		}
	}
	if got := (*Notes)(nil).Fresh(); got != nil {
		t.Errorf("nil: got %q", got)
	}
}
