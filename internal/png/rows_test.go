package png

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"hash/crc32"
	"image"
	imagepng "image/png"
	"io"
	"math/rand/v2"
	"testing"
)

// chunk appends a chunk of a PNG file.
func chunk(file []byte, kind string, body []byte) []byte {
	file = binary.BigEndian.AppendUint32(file, uint32(len(body)))
	at := len(file)
	file = append(append(file, kind...), body...)
	return binary.BigEndian.AppendUint32(file, crc32.ChecksumIEEE(file[at:]))
}

// file makes a PNG file of 8 bits around packed rows, in IDAT chunks of so many bytes.
func file(width, height, channels int, packed []byte, part int) []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = binary.BigEndian.AppendUint32(header, uint32(height))
	header = append(header, 8, map[int]byte{1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
	b := chunk([]byte(signature), "IHDR", header)
	b = chunk(b, "gAMA", []byte{0, 0, 177, 143})
	for len(packed) > part {
		b, packed = chunk(b, "IDAT", packed[:part]), packed[part:]
	}
	b = chunk(b, "IDAT", packed)
	b = chunk(b, "tEXt", []byte("Comment\x00none"))
	return chunk(b, "IEND", nil)
}

// pack packs with package flate; huffman alone at level -2.
func pack(t testing.TB, data []byte, level int) []byte {
	var b bytes.Buffer
	w, err := zlib.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	w.Close()
	return b.Bytes()
}

// pixels returns what Rows hands on, as [H,W,channels], and what it returns.
func pixels(t testing.TB, f *File) ([]byte, bool) {
	var all []byte
	ok := f.Rows(func(y int, first, second []byte) bool {
		if n := f.Width * f.Channels; len(first) != n || len(second) != n || len(all) != y*n {
			t.Fatalf("got rows of %d and %d bytes at row %d, want %d at %d", len(first), len(second), y, n, len(all)/n)
		}
		all = append(all, first...)
		if y+1 < f.Height {
			all = append(all, second...)
		} else if &first[0] != &second[0] {
			t.Fatal("the last row is not the last one twice")
		}
		return true
	})
	return all, ok
}

// standard returns what package image/png makes of a file, as [H,W,channels].
func standard(data []byte) ([]byte, error) {
	img, err := imagepng.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch img := img.(type) {
	case *image.Gray:
		return img.Pix, nil
	case *image.NRGBA:
		return img.Pix, nil
	case *image.RGBA:
		var pix []byte
		for i := 0; i < len(img.Pix); i += 4 {
			pix = append(pix, img.Pix[i:i+3]...)
		}
		return pix, nil
	}
	return nil, fmt.Errorf("got %T", img)
}

// filtered returns random rows with random filters, of the values that some image
// has: mostly near their neighbours, with long repeats.
func filtered(rng *rand.Rand, width, height, channels int, filter byte) []byte {
	var data []byte
	for range height {
		if filter < 5 {
			data = append(data, filter)
		} else {
			data = append(data, byte(rng.IntN(5)))
		}
		for i, same := 0, 0; i < width*channels; i++ {
			v := byte(rng.IntN(256))
			switch {
			case same > 0:
				v = data[len(data)-channels]
				same--
			case rng.IntN(40) == 0:
				same = min(rng.IntN(400), len(data)-channels)
			case rng.IntN(3) > 0:
				v = byte(rng.IntN(5) - 2)
			}
			data = append(data, v)
		}
	}
	return data
}

// TestRows tests all filters, ways of packing and sizes against package image/png.
func TestRows(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	sizes := []image.Point{{1, 1}, {1, 2}, {2, 1}, {3, 3}, {5, 4}, {17, 9}, {64, 31}, {333, 40}, {40000, 3}, {700, 300}}
	for _, channels := range []int{1, 3, 4} {
		for _, size := range sizes {
			for filter := range byte(6) {
				data := filtered(rng, size.X, size.Y, channels, filter)
				for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
					b := file(size.X, size.Y, channels, pack(t, data, level), 1+rng.IntN(20000))
					want, err := standard(b)
					if err != nil {
						t.Fatal(err)
					}
					for _, fast := range []codesFunc{inflateCodes, nil} {
						kept := inflateCodes
						inflateCodes = fast
						got, ok := pixels(t, Usual(b))
						inflateCodes = kept
						if !ok || !bytes.Equal(got, want) {
							t.Errorf("%v, %d channels, filter %d, level %d, fast %t: got %t, other pixels", size, channels, filter, level, fast != nil, ok)
						}
					}
				}
			}
		}
	}
}

// TestPaeth tests every triple of neighbours, of each kernel.
func TestPaeth(t *testing.T) {
	slow := func(a, b, c int) int { // PNG, 9.4
		p := a + b - c
		pa, pb, pc := max(p-a, a-p), max(p-b, b-p), max(p-c, c-p)
		if pa <= pb && pa <= pc {
			return a
		} else if pb <= pc {
			return b
		}
		return c
	}
	const n = 256 * 256
	for a := range 256 {
		for bc := range n {
			if b, c := bc>>8, bc&0xff; predict(a, b, c) != slow(a, b, c) {
				t.Fatalf("of %d, %d and %d: got %d, want %d", a, b, c, predict(a, b, c), slow(a, b, c))
			}
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	portables := [5]func(dst, src, above []byte){1: undoPaeth1, 3: undoPaeth3, 4: undoPaeth4}
	for channels, portable := range portables {
		if portable == nil {
			continue
		}
		const width = 40000
		room := func() []byte { return make([]byte, width*channels, width*channels+spare) }
		src, above, got, want := room(), room(), room(), room()
		for i := range src {
			src[i], above[i] = byte(rng.IntN(256)), byte(rng.IntN(256))
		}
		undoPaeth(got, src, above, channels)
		portable(want, src, above)
		if !bytes.Equal(got, want) {
			t.Errorf("%d channels: got other pixels from the kernel", channels)
		}
		for i, v := range want {
			a, c := 0, 0
			if i >= channels {
				a, c = int(want[i-channels]), int(above[i-channels])
			}
			if v != src[i]+byte(slow(a, int(above[i]), c)) {
				t.Fatalf("%d channels: byte %d is wrong", channels, i)
			}
		}
	}
}

// TestPairs tests that two rows at once are what one after the other are, whatever the width.
func TestPairs(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for channels := range undoPairs {
		for _, width := range []int{1, 2, 3, 7, 900} {
			room := func() []byte {
				b := make([]byte, width*channels+spare)
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				return b[:width*channels]
			}
			src, below, above, first, second, want, wantBelow := room(), room(), room(), room(), room(), room(), room()
			if !undoPair(first, second, src, below, above, channels) {
				continue // there is none here
			}
			undoPaeth(want, src, above, channels)
			undoPaeth(wantBelow, below, want, channels)
			if !bytes.Equal(first, want) || !bytes.Equal(second, wantBelow) {
				t.Errorf("%d pixels of %d channels: got other pixels from two rows at once", width, channels)
			}
			if undoPair(first, second, src, below, above[:len(above):len(above)], channels) {
				t.Errorf("%d pixels of %d channels: read beyond a row", width, channels)
			}
		}
	}
}

// TestAdler tests sums of all lengths about a block's and a reduction's against package
// hash/adler32, and the highest that there are.
func TestAdler(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	random, highest := make([]byte, 20000), bytes.Repeat([]byte{255}, 20000)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, n := range []int{0, 1, 31, 32, 33, 63, 64, 65, 5503, 5536, 5551, 5552, 5553, 5568, 11072, 20000} {
		for _, data := range [][]byte{random[:n], highest[:n]} {
			for _, first := range []int{0, n / 3, n} {
				sum := adler{a: 1}
				sum.add(data[:first])
				sum.add(data[first:])
				if want := adler32.Checksum(data); sum.sum() != want {
					t.Errorf("%d bytes, %d first: got %x, want %x", n, first, sum.sum(), want)
				}
			}
		}
	}
}

// TestNotUsual tests that what is not plainly right is left to package image/png.
func TestNotUsual(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	data := filtered(rng, 20, 10, 3, 5)
	packed := pack(t, data, flate.DefaultCompression)
	good := file(20, 10, 3, packed, 100)
	if got, ok := pixels(t, Usual(good)); !ok || len(got) != 600 {
		t.Fatalf("got %d bytes, %t", len(got), ok)
	}
	for n := range good {
		if f := Usual(good[:n]); f != nil {
			if _, ok := pixels(t, f); ok {
				t.Errorf("cut to %d of %d bytes: got no complaint", n, len(good))
			}
		}
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << rng.IntN(8)
		if f := Usual(bad); f != nil {
			if _, ok := pixels(t, f); ok {
				t.Errorf("byte %d changed: got no complaint", i)
			}
		}
	}
	end := bytes.Index(good, []byte("\x00\x00\x00\x00IEND"))
	first := bytes.Index(good, []byte("IDAT")) - 4
	insert := func(at int, kind string, body []byte) []byte {
		return append(chunk(bytes.Clone(good[:at]), kind, body), good[at:]...)
	}
	stored := pack(t, data, flate.NoCompression)
	wrongSum := bytes.Clone(packed)
	wrongSum[len(wrongSum)-1]++
	filter5 := bytes.Clone(data)
	filter5[0] = 5
	for name, b := range map[string][]byte{
		"a palette":              insert(first, "PLTE", []byte{1, 2, 3}),
		"a transparent colour":   insert(first, "tRNS", []byte{0, 1, 0, 2, 0, 3}),
		"a second header":        insert(first, "IHDR", good[16:29]),
		"pixels after others":    insert(end, "IDAT", nil),
		"an end with a body":     append(bytes.Clone(good[:end]), chunk(nil, "IEND", []byte{1})...),
		"no pixels":              append(bytes.Clone(good[:first]), chunk(nil, "IEND", nil)...),
		"pixels of a shorter":    file(20, 11, 3, packed, 100),
		"pixels of a taller":     file(20, 9, 3, packed, 100),
		"a checksum of others":   file(20, 10, 3, wrongSum, 100),
		"bytes behind":           file(20, 10, 3, append(bytes.Clone(packed), 0), 100),
		"a stored block cut":     file(20, 10, 3, stored[:len(stored)-20], 100),
		"a filter there is not":  file(20, 10, 3, pack(t, filter5, 6), 100),
		"a window of 64 KiB":     file(20, 10, 3, append([]byte{0x88, 0x1c}, packed[2:]...), 100),
		"a dictionary":           file(20, 10, 3, append([]byte{0x78, 0xbb}, packed[2:]...), 100),
		"another kind of stream": file(20, 10, 3, append([]byte{0x79, 0x1a}, packed[2:]...), 100),
		"two bytes":              file(20, 10, 3, packed[:2], 100),
	} {
		f := Usual(b)
		if f == nil {
			t.Fatalf("%s: got no file", name)
		}
		if _, ok := pixels(t, f); ok {
			t.Errorf("%s: got no complaint", name)
		}
	}
	for name, at := range map[string]int{"16 bits": 24, "a palette": 25, "another packing": 26, "another filter": 27, "interlaced": 28} {
		bad := bytes.Clone(good)
		bad[at] |= map[int]byte{24: 16, 25: 1}[at]
		if at > 25 {
			bad[at] = 1
		}
		if Usual(bad) != nil {
			t.Errorf("%s: got a file", name)
		}
	}
	ended := 0
	if Usual(good).Rows(func(int, []byte, []byte) bool { ended++; return false }) || ended != 1 {
		t.Errorf("left at the first rows: got %d", ended)
	}
}

// FuzzRows: what Rows takes is what package image/png makes of it.
func FuzzRows(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, channels := range []int{1, 3, 4} {
		f.Add(file(9, 5, channels, pack(f, filtered(rng, 9, 5, channels, 5), flate.DefaultCompression), 50))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		u := Usual(data)
		if u == nil || u.Width*u.Height > 1<<20 {
			return
		}
		got, ok := pixels(t, u)
		if !ok {
			return
		}
		if want, err := standard(data); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got other pixels than image/png, or it says %v", err)
		}
	})
}

// TestCodes tests that what is better than Go does the same, of damaged streams too: up to where
// they are wrong.
func TestCodes(t *testing.T) {
	if inflateCodes == nil {
		t.Skip("nothing is better than Go here")
	}
	defer func(f codesFunc) { inflateCodes = f }(inflateCodes)
	unpack := func(src []byte, codes codesFunc) (got []byte, ok bool) {
		inflateCodes = codes
		var z inflater
		ok = z.reset(src)
		out := make([]byte, window+2000+slack)
		for at := 0; ok && z.inside != ended && len(got) < 1<<20; {
			var end int
			end, ok = z.inflate(out, at)
			got = append(got, out[at:end]...)
			at = copy(out, out[end-min(end, window):end])
		}
		return got, ok
	}
	rng := rand.New(rand.NewPCG(13, 14))
	fast, right, wrong := inflateCodes, 0, 0
	for range 300 {
		data := filtered(rng, 1+rng.IntN(300), 1+rng.IntN(60), 3, byte(rng.IntN(6)))
		for from := rng.IntN(len(data)); from < len(data); from += 1 + rng.IntN(5000) { // repeats
			back := 1 + rng.IntN(30)
			for i := max(from, back); i < min(from+rng.IntN(2000), len(data)); i++ {
				data[i] = data[i-back]
			}
		}
		packed := pack(t, data, []int{flate.HuffmanOnly, flate.BestSpeed, flate.BestCompression}[rng.IntN(3)])
		for damage := range 4 {
			src := append(bytes.Clone(packed), make([]byte, padding)...)
			for range damage {
				src[2+rng.IntN(len(packed)-2)] ^= 1 << rng.IntN(8)
			}
			got, ok := unpack(src, fast)
			want, whole := unpack(src, nil)
			if ok != whole || !bytes.Equal(got, want) {
				t.Fatalf("got %d bytes, %t, want %d, %t", len(got), ok, len(want), whole)
			}
			if ok {
				right++
			} else {
				wrong++
			}
		}
	}
	if right < 300 || wrong < 100 {
		t.Errorf("got %d streams that are right and %d that are not, which tests little", right, wrong)
	}
}

// FuzzInflate: whatever follows Deflate's rules is unpacked as package flate does,
// and nothing else is, also without what is better than Go.
func FuzzInflate(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, flate.BestCompression} {
		packed := pack(f, filtered(rng, 50, 20, 3, 5), level)
		f.Add(packed[2 : len(packed)-4])
	}
	f.Add([]byte{3, 0})
	f.Add([]byte{5, 0xc0, 0x81, 0, 0, 0, 0, 0, 0x90, 0xff, 0x6b, 1})
	f.Fuzz(func(t *testing.T, deflated []byte) {
		const most = 1 << 20
		from := bytes.NewReader(deflated)
		r := flate.NewReader(from)
		want, err := io.ReadAll(io.LimitReader(r, most+1))
		if len(want) > most {
			return
		}
		whole := err == nil && from.Len() == 0
		src := append([]byte{0x78, 0x9c}, deflated...)
		src = binary.BigEndian.AppendUint32(src, adler32.Checksum(want))
		src = append(src, make([]byte, padding)...)
		defer func(f codesFunc) { inflateCodes = f }(inflateCodes)
		for _, fast := range []bool{true, false} {
			if !fast {
				inflateCodes = nil
			}
			var z inflater
			if !z.reset(src) {
				t.Fatal("got no stream")
			}
			out := make([]byte, window+2000+slack)
			var got []byte
			at, ok := 0, true
			for ok && z.inside != ended && len(got) <= most {
				var end int
				end, ok = z.inflate(out, at)
				got = append(got, out[at:end]...)
				keep := min(end, window)
				copy(out, out[end-keep:end])
				at = keep
			}
			_, all := z.sum()
			switch {
			case whole && !(ok && all && bytes.Equal(got, want)):
				t.Errorf("fast %t: got %d bytes, %t, %t, want %d", fast, len(got), ok, all, len(want))
			case !whole && ok && all:
				t.Errorf("fast %t: got %d bytes of a stream of which flate says %v with %d left", fast, len(got), err, from.Len())
			}
		}
	})
}
