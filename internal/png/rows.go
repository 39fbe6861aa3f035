package png

import (
	"encoding/binary"
	"hash/crc32"
	"sync"

	"github.com/anomaly-go/anomaly/internal/room"
)

// A File is a PNG file of the usual kind.
type File struct {
	Width, Height int
	Channels      int // 1 grey, 3 RGB, 4 RGBA, not premultiplied

	data []byte
}

const signature = "\x89PNG\r\n\x1a\n"

// Usual returns the file in data, which it keeps, or nil where its header is not
// that of a usual one.
func Usual(data []byte) *File {
	const header = len(signature) + 8 + 13
	if len(data) < header || string(data[:len(signature)]) != signature || string(data[8:16]) != "\x00\x00\x00\rIHDR" {
		return nil
	}
	w, h := binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:])
	channels := map[byte]int{0: 1, 2: 3, 6: 4}[data[25]]
	const most = 1 << 24 // a side: no product of them, and no row, is near an int's end
	if w == 0 || h == 0 || w > most || h > most || data[24] != 8 || channels == 0 || data[26] != 0 || data[27] != 0 || data[28] != 0 {
		return nil
	}
	return &File{Width: int(w), Height: int(h), Channels: channels, data: data}
}

// Rows hands on the rows, [Width, Channels], two at a time from the top on: row y,
// which is even, and the one below, or of an odd height the last one twice. They
// hold until each returns, which may end it with false.
//
// It reports whether it came to the end of a file that is right as a whole, checksums
// included. If not, nothing that it handed on counts.
func (f *File) Rows(each func(y int, first, second []byte) bool) bool {
	s := pool.Get().(*state)
	defer pool.Put(s)
	if !s.gather(f.data) || !s.z.reset(s.packed) {
		return false
	}
	stride := f.Width * f.Channels
	s.make(stride)
	total := int64(stride+1) * int64(f.Height)
	unpacked := int64(0)
	sum := adler{a: 1}
	y, read, at := 0, 0, 0
	above, first, second := s.rows[0], s.rows[1], s.rows[2]
	for s.z.inside != ended {
		end, ok := s.z.inflate(s.out, at)
		unpacked += int64(end - at)
		if !ok || unpacked > total {
			return false
		}
		sum.add(s.out[at:end])
		at = end
		for ; at-read > stride; read += stride + 1 {
			row := s.out[read+1 : read+1+stride]
			if next := read + 1 + stride; y%2 == 0 && y+1 < f.Height && at-next > stride && s.out[read] == paeth && s.out[next] == paeth {
				if below := s.out[next+1 : next+1+stride]; undoPair(first, second, row, below, above, f.Channels) {
					if !each(y, first, second) {
						return false
					}
					above, second = second, above
					y, read = y+2, next
					continue
				}
			}
			if y%2 == 0 {
				if !unfilter(first, row, above, s.out[read], f.Channels) {
					return false
				}
				if y == f.Height-1 && !each(y, first, first) {
					return false
				}
			} else {
				if !unfilter(second, row, first, s.out[read], f.Channels) || !each(y-1, first, second) {
					return false
				}
				above, second = second, above
			}
			y++
		}
		// To the beginning goes what Deflate may look back on, and the rest of a row.
		if keep := min(max(window, at-read), at); at > len(s.out)-slack {
			copy(s.out, s.out[at-keep:at])
			read -= at - keep
			at = keep
		}
	}
	want, ok := s.z.sum()
	return ok && unpacked == total && sum.sum() == want
}

// state is what Rows needs in memory, kept for the next.
type state struct {
	packed, out []byte
	rows        [3][]byte
	z           inflater
}

var pool = sync.Pool{New: func() any { return new(state) }}

// make makes room for rows of so many bytes.
func (s *state) make(stride int) {
	const part = 64 << 10 // that is unpacked before it becomes rows: it stays in the cache
	s.out = room.Of(s.out, window+part+stride+1+slack)
	for i := range s.rows {
		s.rows[i] = room.Of(s.rows[i], stride+spare)[:stride]
	}
	clear(s.rows[0])
}

// gather puts what IDAT chunks have into s.packed, and reports whether the file's
// chunks are those of a usual file, whole and in order.
func (s *state) gather(data []byte) bool {
	s.packed = room.Of(s.packed, len(data)+padding)[:0]
	seen := false // an IDAT chunk
	last := ""
	for data = data[len(signature):]; ; {
		if len(data) < 12 {
			return false
		}
		n := uint64(binary.BigEndian.Uint32(data))
		if n+12 > uint64(len(data)) || crc32.ChecksumIEEE(data[4:8+n]) != binary.BigEndian.Uint32(data[8+n:]) {
			return false
		}
		kind, body := string(data[4:8]), data[8:8+n]
		data = data[12+n:]
		switch kind {
		case "IDAT":
			if seen && last != "IDAT" {
				return false
			}
			seen = true
			s.packed = append(s.packed, body...)
		case "IEND":
			s.packed = append(s.packed, make([]byte, padding)...)
			return seen && n == 0
		case "PLTE", "tRNS":
			return false
		case "IHDR":
			if last != "" {
				return false
			}
		}
		last = kind
	}
}
