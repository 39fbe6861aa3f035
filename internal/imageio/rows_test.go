package imageio

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func pngChunkOf(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// A pngKind is a kind of PNG file.
type pngKind struct {
	depth, colour byte
	interlaced    bool
	opaque        bool
	orientation   byte // of chunk eXIf; 0 is no chunk
}

var pngSamples = map[byte]int{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

// encode returns a file of random pixels, with filters at random.
func (k pngKind) encode(rng *rand.Rand, width, height int) []byte {
	n, depth := pngSamples[k.colour], int(k.depth)
	data := make([]uint16, width*height*n)
	for i := range data {
		switch data[i] = uint16(rng.Uint32()) >> (16 - depth); {
		case k.opaque && n%2 == 0 && i%n == n-1:
			data[i] = 1<<depth - 1
		case i >= n && rng.IntN(3) > 0:
			data[i] = data[i-n]
		}
	}
	passes := [][4]int{{0, 0, 1, 1}}
	if k.interlaced {
		passes = [][4]int{{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4}, {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}}
	}
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	bytesPerPixel := max(n*depth/8, 1)
	for _, pass := range passes {
		var above []byte
		for y := pass[1]; y < height; y += pass[3] {
			row, at, free := []byte(nil), 0, 0
			for x := pass[0]; x < width; x += pass[2] {
				for _, v := range data[(y*width+x)*n:][:n] {
					if depth == 16 {
						row = binary.BigEndian.AppendUint16(row, v)
						continue
					}
					if free == 0 {
						at, free, row = len(row), 8, append(row, 0)
					}
					free -= depth
					row[at] |= byte(v) << free
				}
			}
			if row != nil {
				z.Write(filterRow(row, above, byte(rng.IntN(5)), bytesPerPixel))
				above = row
			}
		}
	}
	z.Close()
	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, k.depth, k.colour, 0, 0, 0)
	if k.interlaced {
		header[12] = 1
	}
	b := append([]byte("\x89PNG\r\n\x1a\n"), pngChunkOf("IHDR", header)...)
	if k.orientation > 0 {
		b = append(b, pngChunkOf("eXIf", []byte{'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, k.orientation, 0, 0, 0, 0, 0, 0})...)
	}
	if k.colour == 3 {
		palette := make([]byte, 3<<depth)
		for i := range palette {
			palette[i] = byte(rng.Uint32())
		}
		b = append(b, pngChunkOf("PLTE", palette)...)
		if !k.opaque {
			b = append(b, pngChunkOf("tRNS", []byte{0, 100})...)
		}
	}
	for _, part := range slices.Collect(slices.Chunk(packed.Bytes(), 300)) {
		b = append(b, pngChunkOf("IDAT", part)...)
	}
	return append(b, pngChunkOf("IEND", nil)...)
}

// filterRow returns a row behind a filter's number (PNG, 9.2); above is nil of the first.
func filterRow(row, above []byte, filter byte, bytesPerPixel int) []byte {
	out := []byte{filter}
	for i, v := range row {
		a, b, c := 0, 0, 0 // left, above, above left
		if i >= bytesPerPixel {
			a = int(row[i-bytesPerPixel])
		}
		if above != nil {
			if b = int(above[i]); i >= bytesPerPixel {
				c = int(above[i-bytesPerPixel])
			}
		}
		near := func(v int) int { return max(a+b-c-v, v-a-b+c) }
		nearest := c
		if near(a) <= near(b) && near(a) <= near(c) {
			nearest = a
		} else if near(b) <= near(c) {
			nearest = b
		}
		out = append(out, v-byte([]int{0, a, b, (a + b) / 2, nearest}[filter]))
	}
	return out
}

// slowly is Decode by package image/png.
func slowly(data []byte, opts *Options) (img image.Image, notes []string, err error) {
	defer damaged(&err)
	opts = opts.orDefaults()
	f, err := open(bytes.NewReader(data), opts)
	if err != nil {
		return nil, nil, err
	}
	f.usual = nil
	return f.image(opts)
}

// checkResized tests that Decode is what it is by package image/png, and that
// DecodeResized is Decode and Resize: the same pixels, notes and errors.
func checkResized(t *testing.T, name string, data []byte, opts *Options) {
	t.Helper()
	want, wantNotes, wantErr := slowly(data, opts)
	img, notes, err := Decode(bytes.NewReader(data), opts)
	if fmt.Sprint(err, notes) != fmt.Sprint(wantErr, wantNotes) {
		t.Errorf("%s: Decode: got %v %q, want %v %q", name, err, notes, wantErr, wantNotes)
		return
	}
	if !reflect.DeepEqual(img, want) {
		t.Errorf("%s: Decode: got another image", name)
		return
	}
	var targets []Target
	var told image.Point
	notes, err = DecodeResized(bytes.NewReader(data), opts, func(size image.Point) ([]Target, error) {
		told = size
		for _, channels := range []int{1, 3} {
			for _, to := range []image.Point{{5, 4}, {40, 3}, {3, 40}, {size.X, 7}, {6, size.Y}, size} {
				targets = append(targets, Target{make([]uint8, to.X*to.Y*channels), to.Y, to.X, channels})
			}
		}
		return targets, nil
	})
	if fmt.Sprint(err, notes) != fmt.Sprint(wantErr, wantNotes) {
		t.Errorf("%s: got %v %q, want %v %q", name, err, notes, wantErr, wantNotes)
	}
	if err != nil || wantErr != nil {
		return
	}
	if told != want.Bounds().Size() {
		t.Errorf("%s: got size %v, want %v", name, told, want.Bounds().Size())
	}
	for _, got := range targets {
		pixels := make([]uint8, len(got.Pixels))
		if err := Resize(pixels, want, got.Height, got.Width, got.Channels); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Pixels, pixels) {
			t.Errorf("%s: to %dx%d with %d channels: got other pixels", name, got.Width, got.Height, got.Channels)
		}
	}
}

// byRows reports whether a file is resized as its rows come.
func byRows(t *testing.T, data []byte) bool {
	t.Helper()
	f, err := open(bytes.NewReader(data), &Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f.usual != nil && f.orientation <= 1 && shrink(f.usual, nil)
}

func TestDecodeResizedPNG(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for colour, depths := range map[byte][]byte{0: {1, 2, 4, 8, 16}, 2: {8, 16}, 3: {1, 2, 4, 8}, 4: {8, 16}, 6: {8, 16}} {
		for _, depth := range depths {
			for _, interlaced := range []bool{false, true} {
				for _, opaque := range []bool{false, true} {
					for orientation := range byte(9) {
						if orientation > 1 && depth != 8 {
							continue
						}
						k := pngKind{depth, colour, interlaced, opaque, orientation}
						for _, size := range []image.Point{{1, 1}, {2, 3}, {9, 8}, {33, 21}} {
							name := fmt.Sprintf("%+v of %v", k, size)
							data := k.encode(rng, size.X, size.Y)
							if _, _, err := slowly(data, nil); err != nil {
								t.Fatalf("%s: %v", name, err)
							}
							transparent := colour == 6 && !opaque && size.X > 1 // one pixel may happen to be opaque
							usual := depth == 8 && (colour == 0 || colour == 2 || colour == 6 && opaque) && !interlaced && orientation <= 1
							if got := byRows(t, data); got != usual && (usual || transparent) {
								t.Errorf("%s: got by rows %t", name, got)
							}
							checkResized(t, name, data, nil)
							if !opaque {
								checkResized(t, name, data, &Options{Background: White})
							}
						}
					}
				}
			}
		}
	}
}

// TestDecodeResizedDamaged tests what is cut or has a byte changed.
func TestDecodeResizedDamaged(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, colour := range []byte{0, 2, 6} {
		data := pngKind{depth: 8, colour: colour, opaque: true}.encode(rng, 19, 23)
		for at := range data {
			checkResized(t, fmt.Sprintf("colour type %d cut to %d", colour, at), data[:at], nil)
			bad := bytes.Clone(data)
			bad[at] ^= 1 << rng.IntN(8)
			checkResized(t, fmt.Sprintf("colour type %d, byte %d", colour, at), bad, nil)
		}
		checkResized(t, "too large", data, &Options{MaxPixels: 19*23 - 1})
		checkResized(t, "just not too large", data, &Options{MaxPixels: 19 * 23})
	}
}

func TestDecodeResizedFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/[dp]*/*") // decode and pillow
	if err != nil || len(files) == 0 {
		t.Fatal("no files: ", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkResized(t, file, data, nil)
		checkResized(t, file+" cut", data[:len(data)*9/10], nil)
	}
}

func TestDecodeResizedErrors(t *testing.T) {
	data := pngKind{depth: 8, colour: 2}.encode(rand.New(rand.NewPCG(5, 6)), 4, 4)
	for _, bad := range []Target{{make([]uint8, 4), 2, 2, 3}, {make([]uint8, 8), 2, 2, 2}, {nil, 0, 2, 3}} {
		if _, err := DecodeResized(bytes.NewReader(data), nil, func(image.Point) ([]Target, error) { return []Target{bad}, nil }); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
	if _, err := DecodeResized(bytes.NewReader(data), nil, func(image.Point) ([]Target, error) { return nil, ErrLevels }); err != ErrLevels {
		t.Errorf("got error %v, want that of the targets", err)
	}
}
