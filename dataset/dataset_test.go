package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/testenv"
)

// write writes data to the joined path, making its folders.
func write(t testing.TB, data []byte, elem ...string) string {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// picture returns a 3x2 grey PNG whose pixels are value.
func picture(value uint8) []byte {
	img := image.NewGray(image.Rect(0, 0, 3, 2))
	for i := range img.Pix {
		img.Pix[i] = value
	}
	return encode(img)
}

func encode(img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // writes to memory
	}
	return b.Bytes()
}

// tree writes a picture to each '/'-separated path below a new folder.
func tree(t testing.TB, paths ...string) (root string) {
	t.Helper()
	root = t.TempDir()
	for i, path := range paths {
		write(t, picture(uint8(i)), root, filepath.FromSlash(path))
	}
	return root
}

// list returns "name kind", with " mask" behind where there is ground truth.
func list(samples []Sample) []string {
	lines := []string{}
	for _, s := range samples {
		line := s.Name + " " + s.Kind
		if s.HasMask() {
			line += " mask"
		}
		lines = append(lines, line)
	}
	return lines
}

func checkList(t *testing.T, what string, samples []Sample, want ...string) {
	t.Helper()
	if want == nil {
		want = []string{}
	}
	if got := list(samples); !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
	for _, s := range samples {
		if want := s.Kind != Good && s.Kind != ""; s.Anomalous != want {
			t.Errorf("%s: %s: got Anomalous %t, want %t", what, s.Name, s.Anomalous, want)
		}
	}
}

func open(t *testing.T, root, layout string) *Set {
	t.Helper()
	set, err := Open(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	if set.Layout != layout || set.Name != filepath.Base(root) {
		t.Errorf("got layout %q, name %q, want %q, %q", set.Layout, set.Name, layout, filepath.Base(root))
	}
	return set
}

func TestOpenMVTec(t *testing.T) {
	root := tree(t,
		"train/good/001.png", "train/good/000.png", "train/good/.hidden.png", "train/good/b/2.PNG",
		"test/good/000.png",
		"test/crack/000.png", "test/crack/001.png",
		"test/dent/a/000.png",
		"test/unmarked/000.png",
		"ground_truth/crack/000_mask.png", "ground_truth/crack/001_mask.png",
		"ground_truth/dent/a/000.png",
	)
	write(t, []byte("text"), root, "train", "good", "readme.txt")
	write(t, []byte("text"), root, "test", "empty", "readme.txt")
	set := open(t, root, "mvtec")
	checkList(t, "train", set.Train, "train/good/000.png good", "train/good/001.png good", "train/good/b/2.PNG good")
	checkList(t, "test", set.Test,
		"test/crack/000.png crack mask", "test/crack/001.png crack mask",
		"test/dent/a/000.png dent mask",
		"test/good/000.png good",
		"test/unmarked/000.png unmarked",
	)

	if err := os.Remove(filepath.Join(root, "ground_truth", "crack", "001_mask.png")); err != nil {
		t.Fatal(err)
	}
	write(t, picture(1), root, "test", "stray.png")
	write(t, picture(1), root, "train", "stray.jpg")
	write(t, []byte("a,b"), root, "labels.csv")
	write(t, picture(1), root, "ground_truth", "dent", "b", "1_mask.png")
	write(t, picture(1), root, "ground_truth", "dnet", "1_mask.png")
	write(t, picture(1), root, "ground truth", "dent", "1_mask.png")
	write(t, []byte("ftyp"), root, "test", "good", "a.heic")
	var notes Notes
	if _, err := Open(root, &Options{Decoding: &Decoding{Notes: &notes}}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"HEIC is not read (convert it to PNG or TIFF): left out (1: a.heic)",
		"anomalous images without a mask: their pixels are not measured (2: test/crack/001.png, test/unmarked/000.png)",
		"files that are no images by their names: left out (1: readme.txt)",
		"folders of the set without an image (1: test/empty/)",
		"ground truth is looked for in ground_truth, not in (1: ground truth/)",
		"ground truth of a kind that test does not have (1: ground_truth/dnet/)",
		"images beside the folders of the set are not read (2: test/stray.png, train/stray.jpg)",
		"masks that belong to no image (1: ground_truth/dent/b/1_mask.png)",
		"tables that this layout does not use (1: labels.csv)",
	}
	if got := notes.Lines(); !slices.Equal(got, want) {
		t.Errorf("notes:\ngot  %q\nwant %q", got, want)
	}
}

func TestOpenVisA(t *testing.T) {
	var paths []string
	for i := range 11 {
		paths = append(paths, fmt.Sprintf("candle/Data/Images/Normal/%04d.JPG", i))
	}
	paths = append(paths,
		"candle/Data/Images/Anomaly/000.JPG", "candle/Data/Images/Anomaly/001.JPG",
		"candle/Data/Masks/Anomaly/000.png", "candle/Data/Masks/Anomaly/001.png")
	top := tree(t, paths...)
	root := filepath.Join(top, "candle")

	set := open(t, root, "visa")
	if len(set.Train) != 10 || set.Train[9].Name != "Data/Images/Normal/0010.JPG" {
		t.Errorf("no tables: got train %q, want 0 to 8 and 10", list(set.Train))
	}
	checkList(t, "no tables: test", set.Test,
		"Data/Images/Normal/0009.JPG good",
		"Data/Images/Anomaly/000.JPG anomaly mask", "Data/Images/Anomaly/001.JPG anomaly mask")

	write(t, []byte(`image,label,mask
candle/Data/Images/Normal/0000.JPG,normal,
candle/Data/Images/Anomaly/000.JPG,"wax missing,scratch",candle/Data/Masks/Anomaly/000.png
`), root, "image_anno.csv")
	checkList(t, "kinds", open(t, root, "visa").Test,
		"Data/Images/Normal/0009.JPG good",
		"Data/Images/Anomaly/000.JPG wax missing,scratch mask", "Data/Images/Anomaly/001.JPG anomaly mask")

	split := `object,split,label,image,mask
candle,train,normal,candle/Data/Images/Normal/0003.JPG,
capsules,train,normal,capsules/Data/Images/Normal/0000.JPG,
candle,test,normal,candle/Data/Images/Normal/0001.JPG,
candle,test,anomaly,candle/Data/Images/Anomaly/000.JPG,candle/Data/Masks/Anomaly/000.png
`
	write(t, []byte(split), top, "split_csv", "1cls.csv")
	set = open(t, root, "visa")
	checkList(t, "split: train", set.Train, "Data/Images/Normal/0003.JPG good")
	checkList(t, "split: test", set.Test,
		"Data/Images/Normal/0001.JPG good", "Data/Images/Anomaly/000.JPG wax missing,scratch mask")

	for _, line := range []string{
		"candle,train,anomaly,candle/Data/Images/Anomaly/000.JPG,\n",
		"candle,test,normal,candle/../../secret.png,\n",
		"candle,test\n",
	} {
		write(t, []byte(split+line), top, "split_csv", "1cls.csv")
		if _, err := Open(root, nil); err == nil {
			t.Errorf("split with %q: got no error", line)
		}
	}
}

// idx returns an idx file of the given axes whose bytes are 0, 1, 2, ….
func idx(shape ...uint32) []byte {
	b := []byte{0, 0, 8, byte(len(shape))}
	n := uint32(1)
	for _, d := range shape {
		b = binary.BigEndian.AppendUint32(b, d)
		n *= d
	}
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

func gz(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data) // to memory
	z.Close()
	return b.Bytes()
}

// array returns an .npy file whose elements are 0, 1, 2, … times scale.
func array[T uint8 | float32 | float64](scale T, shape ...int) []byte {
	n := 1
	for _, d := range shape {
		n *= d
	}
	data := make([]T, n)
	for i := range data {
		data[i] = T(i) * scale
	}
	return save(shape, data)
}

func save[T npy.Element](shape []int, data []T) []byte {
	var b bytes.Buffer
	if err := npy.Write(&b, shape, data); err != nil {
		panic(err) // the test's own shapes
	}
	return b.Bytes()
}

func TestOpenMNIST(t *testing.T) {
	root := t.TempDir()
	write(t, gz(idx(3, 2, 2)), root, "train-images-idx3-ubyte.gz")
	write(t, gz([]byte("labels are not read")), root, "train-labels-idx1-ubyte.gz")
	set := open(t, root, "mnist")
	checkList(t, "train", set.Train,
		"train-images-idx3-ubyte.gz#0 good", "train-images-idx3-ubyte.gz#1 good", "train-images-idx3-ubyte.gz#2 good")
	checkList(t, "test", set.Test)

	write(t, idx(2, 2, 2), root, "t10k-images.idx3-ubyte")
	write(t, array[uint8](1, 1, 2, 2, 1), root, "zigzag", "test_images.npy")
	checkList(t, "with MNIST-C: test", open(t, root, "mnist").Test,
		"t10k-images.idx3-ubyte#0 good", "t10k-images.idx3-ubyte#1 good", "zigzag/test_images.npy#0 zigzag")
}

func TestOpenMNISTC(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"fog/test", "fog/train", "identity/test", "identity/train"} {
		write(t, array[uint8](1, 1, 2, 2, 1), root, filepath.FromSlash(name)+"_images.npy")
		write(t, array[uint8](1, 1), root, filepath.FromSlash(name)+"_labels.npy")
	}
	set := open(t, root, "mnist")
	checkList(t, "train", set.Train, "identity/train_images.npy#0 good")
	checkList(t, "test", set.Test, "identity/test_images.npy#0 good", "fog/test_images.npy#0 fog")
}

func TestOpenFolderAndRows(t *testing.T) {
	root := tree(t, "b.png", "a.png", "sub/c.png", ".d.png")
	checkList(t, "folder", open(t, root, "folder").Train, "a.png good", "b.png good")

	path := write(t, array[uint8](1, 2, 4, 4), root, "digits.npy")
	checkList(t, "rows", open(t, path, "rows").Train, "digits.npy#0 good", "digits.npy#1 good")
}

func TestOpenErrors(t *testing.T) {
	categories := tree(t, "bottle/train/good/0.png", "grid/train/good/0.png", "notes/deep/er/0.png")
	noImages := t.TempDir()
	write(t, []byte("text"), noImages, "train", "good", "readme.txt")
	tests := []struct {
		name, root, layout string
		is                 error
		says               string
	}{
		{"absent", filepath.Join(categories, "absent"), "", fs.ErrNotExist, "absent"},
		{"empty", t.TempDir(), "", ErrEmpty, "folder"},
		{"no images", noImages, "", ErrEmpty, "good"},
		{"categories", categories, "", ErrLayout, "these in it can be opened: bottle, grid"},
		{"an image", filepath.Join(categories, "bottle/train/good/0.png"), "", ErrLayout, "train/good/*"},
		{"other layout", filepath.Join(categories, "bottle"), "visa", ErrLayout, `layout "visa"`},
		{"no layout", filepath.Join(categories, "bottle"), "coco", ErrLayout, `layout "coco"`},
	}
	for _, test := range tests {
		_, err := Open(test.root, &Options{Layout: test.layout})
		if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got error %v, want %v with %q", test.name, err, test.is, test.says)
		}
	}
}

func TestMask(t *testing.T) {
	root := tree(t, "train/good/0.png", "test/good/0.png", "test/bad/0.png")
	mask := image.NewGray(image.Rect(0, 0, 3, 2))
	put := func(width, height int, pix ...uint8) []uint8 {
		mask = image.NewGray(image.Rect(0, 0, width, height))
		copy(mask.Pix, pix)
		write(t, encode(mask), root, "ground_truth", "bad", "0_mask.png")
		return mask.Pix
	}
	tests := []struct {
		name          string
		width, height int
		pix           []uint8
		want          []uint8
		notes         []string
	}{
		{"kinds", 3, 2, []uint8{0, 1, 2, 0, 3, 0}, []uint8{0, 255, 255, 0, 255, 0}, nil},
		{"two levels", 3, 2, []uint8{16, 255, 255, 16, 16, 16}, []uint8{0, 255, 255, 0, 0, 0}, nil},
		{"other size", 6, 4, []uint8{18: 9, 19: 9, 20: 9, 21: 9}, []uint8{0, 0, 0, 255, 255, 0},
			[]string{"the mask has another size than the image and is stretched to it (1: test/bad/0.png)"}},
		{"black", 3, 2, nil, make([]uint8, 6), []string{"the mask is black: no pixel is marked (1: test/bad/0.png)"}},
		{"white", 3, 2, bytes.Repeat([]uint8{255}, 6), bytes.Repeat([]uint8{255}, 6), []string{"the mask has one level only: all pixels are marked (1: test/bad/0.png)"}},
	}
	for _, test := range tests {
		put(test.width, test.height, test.pix...)
		var notes Notes
		set, err := Open(root, &Options{Decoding: &Decoding{Notes: &notes}})
		if err != nil {
			t.Fatal(err)
		}
		got, err := set.Test[0].Mask()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Pix, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, got.Pix, test.want)
		}
		if lines := notes.Lines(); !slices.Equal(lines, test.notes) {
			t.Errorf("%s: got notes %q, want %q", test.name, lines, test.notes)
		}
		if _, err := set.Test[1].Mask(); !errors.Is(err, ErrMask) {
			t.Errorf("good image: got error %v, want ErrMask", err)
		}
	}
}

// TestOpenLOCO reads several masks for one image.
func TestOpenLOCO(t *testing.T) {
	root := tree(t, "train/good/000.png", "validation/good/000.png", "test/good/000.png",
		"test/logical_anomalies/000.png", "test/structural_anomalies/000.png")
	write(t, []byte(`[{"defect_name": "missing", "pixel_value": 255, "saturation_threshold": 2, "relative_saturation": false},
		{"defect_name": "extra", "pixel_value": 200, "saturation_threshold": 0.5, "relative_saturation": true}]`), root, "defects_config.json")
	mask := func(level uint8, at ...int) []byte {
		img := image.NewGray(image.Rect(0, 0, 3, 2))
		for _, i := range at {
			img.Pix[i] = level
		}
		return encode(img)
	}
	folder := filepath.Join(root, "ground_truth", "logical_anomalies", "000")
	write(t, mask(255, 0, 1, 2), folder, "000.png")
	write(t, mask(200, 2, 3), folder, "001.png")
	set := open(t, root, "loco")
	checkList(t, "train", set.Train, "train/good/000.png good")
	checkList(t, "validation", set.Validation, "validation/good/000.png good")
	checkList(t, "test", set.Test, "test/good/000.png good",
		"test/logical_anomalies/000.png logical_anomalies mask", "test/structural_anomalies/000.png structural_anomalies")
	s := &set.Test[1]
	all, err := s.Mask()
	if err != nil || !bytes.Equal(all.Pix, []uint8{255, 255, 255, 255, 0, 0}) {
		t.Errorf("got mask %v, error %v", all, err)
	}
	defects, err := s.Defects()
	if err != nil || len(defects) != 2 {
		t.Fatalf("got %d defects, error %v", len(defects), err)
	}
	for i, want := range []Defect{{"missing", nil, 2}, {"extra", nil, 1}} {
		if d := defects[i]; d.Name != want.Name || d.Saturation != want.Saturation {
			t.Errorf("defect %d: got %s, %d pixels, want %s, %d", i, d.Name, d.Saturation, want.Name, want.Saturation)
		}
	}
	write(t, mask(77, 0), folder, "002.png")
	if s = &open(t, root, "loco").Test[1]; s != nil {
		if _, err := s.Defects(); !errors.Is(err, ErrMask) || !strings.Contains(err.Error(), "level 77") {
			t.Errorf("unknown level: got error %v", err)
		}
	}
	for _, bad := range []string{"{", `[{"pixel_value": 0, "saturation_threshold": 1}]`, `[null]`, `[{"pixel_value": 3, "saturation_threshold": 2, "relative_saturation": true}]`} {
		write(t, []byte(bad), root, "defects_config.json")
		if _, err := Open(root, nil); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}

func TestOpenMVTec2(t *testing.T) {
	root := tree(t, "train/good/000_regular.png", "validation/good/000_regular.png", "test_public/good/000_regular.png",
		"test_public/bad/000_overexposed.png", "test_public/ground_truth/bad/000_overexposed_mask.png", "test_private/000_regular.png")
	set := open(t, root, "mvtec2")
	checkList(t, "train", set.Train, "train/good/000_regular.png good")
	checkList(t, "validation", set.Validation, "validation/good/000_regular.png good")
	checkList(t, "test", set.Test, "test_public/bad/000_overexposed.png bad mask", "test_public/good/000_regular.png good")
}

// TestTables reads VisA's tables as other programs write them.
func TestTables(t *testing.T) {
	plain := "image,label,mask\ncandle/Data/Images/Anomaly/000.JPG,\"bent, scratch\",\n"
	utf16le := func(s string) []byte {
		b := []byte{0xff, 0xfe}
		for _, c := range s {
			b = append(b, byte(c), 0)
		}
		return b
	}
	tests := map[string][]byte{
		"plain":      []byte(plain),
		"mark":       []byte("\xef\xbb\xbf" + plain),
		"UTF-16":     utf16le(plain),
		"semicolons": []byte(strings.NewReplacer(",\"", ";\"", "\",", "\";", "image,label,mask", "image;label;mask").Replace(plain)),
		"tabs, \\r":  []byte(strings.NewReplacer(",\"", "\t\"", "\",", "\"\t", "image,label,mask", "image\tlabel\tmask", "\n", "\r").Replace(plain)),
		"\\r\\n":     []byte(strings.ReplaceAll(plain, "\n", "\r\n")),
	}
	for name, table := range tests {
		top := tree(t, "candle/Data/Images/Normal/0.JPG", "candle/Data/Images/Anomaly/000.JPG")
		root := filepath.Join(top, "candle")
		write(t, table, root, "image_anno.csv")
		checkList(t, name, open(t, root, "visa").Test, "Data/Images/Anomaly/000.JPG bent, scratch")
	}
}

// TestSharedMVTec reads the real sets.
func TestSharedMVTec(t *testing.T) {
	tests := []struct {
		elem               []string
		train, test, masks int
		size               image.Point
		model              color.Model
	}{
		{[]string{"mvtec", "bottle"}, 209, 83, 63, image.Pt(900, 900), color.RGBAModel},
		{[]string{"mvtec_grid_mini", "grid"}, 7, 14, 11, image.Pt(1024, 1024), color.GrayModel},
		{[]string{"hazelnut_toy", "hazelnut"}, 28, 23, 17, image.Pt(512, 512), color.RGBAModel},
	}
	for _, test := range tests {
		t.Run(test.elem[1], func(t *testing.T) {
			set := open(t, testenv.Shared(t, append([]string{"data"}, test.elem...)...), "mvtec")
			masks, shown := 0, map[string]bool{}
			for _, s := range set.Test {
				if s.HasMask() != s.Anomalous {
					t.Errorf("%s: got mask %t, want %t", s.Name, s.HasMask(), s.Anomalous)
				}
				if s.HasMask() {
					masks++
				}
				if shown[s.Kind] {
					continue // one image of each kind is decoded
				}
				shown[s.Kind] = true
				img, err := s.Image()
				if err != nil {
					t.Fatal(err)
				}
				if img.Bounds().Size() != test.size || img.ColorModel() != test.model {
					t.Errorf("%s: got %T of %v, want %v", s.Name, img, img.Bounds(), test.size)
				}
				if !s.HasMask() {
					continue
				}
				mask, err := s.Mask()
				if err != nil {
					t.Fatal(err)
				}
				if n := bytes.Count(mask.Pix, []byte{255}); n == 0 || n+bytes.Count(mask.Pix, []byte{0}) != len(mask.Pix) {
					t.Errorf("%s: mask has %d of %d pixels at 255, the others not 0", s.Name, n, len(mask.Pix))
				}
			}
			if len(set.Train) != test.train || len(set.Test) != test.test || masks != test.masks {
				t.Errorf("got %d, %d and %d masks, want %d, %d, %d",
					len(set.Train), len(set.Test), masks, test.train, test.test, test.masks)
			}
		})
	}
}

func TestSharedMNIST(t *testing.T) {
	set := open(t, testenv.Shared(t, "data", "mnist"), "mnist")
	if len(set.Train) != 60000 || len(set.Test) != 10000 {
		t.Fatalf("got %d and %d, want 60000 and 10000", len(set.Train), len(set.Test))
	}
	// The sums of pixels, as NumPy gives them for rows 0 and 59999.
	for row, want := range map[int]int{0: 27525, 59999: 20920} {
		img, err := set.Train[row].Image()
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, v := range img.(*image.Gray).Pix {
			got += int(v)
		}
		if got != want || img.Bounds() != image.Rect(0, 0, 28, 28) {
			t.Errorf("row %d: got sum %d of %v, want %d", row, got, img.Bounds(), want)
		}
	}
}

func TestSharedMNISTC(t *testing.T) {
	set := open(t, testenv.Shared(t, "data", "mnist-c"), "mnist")
	kinds := map[string]int{}
	for _, s := range set.Test {
		kinds[s.Kind]++
	}
	for _, kind := range []string{"dotted_line", "impulse_noise", "shot_noise", "zigzag"} {
		if kinds[kind] != 10000 {
			t.Errorf("%s: got %d, want 10000", kind, kinds[kind])
		}
	}
	if _, err := set.Test[len(set.Test)-1].Image(); err != nil {
		t.Error(err)
	}
}

// TestFile: a row is a PNG of its pixels, decoded already; an image is its file.
func TestFile(t *testing.T) {
	root := t.TempDir()
	write(t, array[uint8](10, 2, 3, 4), root, "rows.npy")
	d := &Decoding{Levels: 12}
	samples, err := (&Options{Decoding: d}).Find(filepath.Join(root, "rows.npy"))
	if err != nil || len(samples) != 2 {
		t.Fatalf("got %d samples, %v", len(samples), err)
	}
	file, decoding, err := samples[1].File()
	if err != nil || decoding != nil {
		t.Fatalf("got decoding %v, %v, want none", decoding, err)
	}
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := img.Bounds(), image.Rect(0, 0, 4, 3); got != want || img.At(1, 0) != (color.Gray{130}) {
		t.Errorf("got %v, pixel %v, want %v, 130", got, img.At(1, 0), want)
	}
	write(t, file, root, "a.png")
	if samples, err = (&Options{Decoding: d}).Find(filepath.Join(root, "a.png")); err != nil {
		t.Fatal(err)
	}
	whole, decoding, err := samples[0].File()
	if err != nil || !bytes.Equal(whole, file) || decoding != d {
		t.Errorf("got %d bytes, decoding %v, %v, want the file and how it is decoded", len(whole), decoding, err)
	}
}
