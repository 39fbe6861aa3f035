package jpeg

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// A bitWriter appends the codes of blocks to a file.
type bitWriter struct {
	file []byte
	bits uint64 // the lowest n, fewer than 32, are to be appended
	n    uint
}

// Codes are those of the lowest coefficients' differences, by their size in bits, and of
// the other coefficients, by how many zeros stand before them and their size.
type table struct{ lowest, others [256]code }

// A code is its bits and, in the lowest byte, how many.
type code uint32

const (
	noMore       = 0x00 // all others are 0
	sixteenZeros = 0xf0
)

// mostBytes are more than a block can add: 64 coefficients of up to 27 bits, each
// byte followed by a 0.
const mostBytes = 512

// block appends a block's coefficients, as transform leaves them, and returns the lowest;
// last is that of the component's block before.
func (w *bitWriter) block(b *[64]int16, set uint64, last int32, t *table) int32 {
	if cap(w.file)-len(w.file) < mostBytes {
		w.file = slices.Grow(w.file, max(len(w.file), 1<<16))
	}
	file, acc, n := w.file, w.bits, w.n

	lowest := int32(b[0])
	v, size := magnitude(lowest - last)
	v, size = t.lowest[size&0xff].before(v, size)
	if acc, n = acc<<(size&63)|v, n+size; n >= 32 {
		file, n = flush(file, acc, n)
	}
	var order uint64 // set, as a scan goes
	for set &^= 1; set != 0; set &= set - 1 {
		order |= 1 << (scanned[bits.TrailingZeros64(set)&63] & 63)
	}
	next := 1
	for ; order != 0; order &= order - 1 {
		at := bits.TrailingZeros64(order) & 63
		zeros := at - next
		for ; zeros > 15; zeros -= 16 {
			v, size := t.others[sixteenZeros].before(0, 0)
			if acc, n = acc<<(size&63)|v, n+size; n >= 32 {
				file, n = flush(file, acc, n)
			}
		}
		v, size := magnitude(int32(b[transposed[at]&63]))
		v, size = t.others[uint8(zeros)<<4|uint8(size)].before(v, size)
		if acc, n = acc<<(size&63)|v, n+size; n >= 32 {
			file, n = flush(file, acc, n)
		}
		next = at + 1
	}
	if next < 64 {
		v, size := t.others[noMore].before(0, 0)
		if acc, n = acc<<(size&63)|v, n+size; n >= 32 {
			file, n = flush(file, acc, n)
		}
	}
	w.file, w.bits, w.n = file, acc, n
	return lowest
}

// end returns the file, the last byte filled up with ones.
func (w *bitWriter) end() []byte {
	for n := w.n + 7; n >= 8; n -= 8 {
		b := byte((w.bits<<7 | 0x7f) >> (n - 8))
		if w.file = append(w.file, b); b == 0xff {
			w.file = append(w.file, 0)
		}
	}
	w.file = append(w.file, 0xff, markerEOI)
	return w.file
}

// before puts a code before a coefficient of size bits.
func (c code) before(v uint64, size uint) (uint64, uint) {
	return uint64(c>>8)<<(size&63) | v, uint(c&0xff) + size
}

// magnitude returns a coefficient's size in bits and these.
func magnitude(v int32) (code uint64, size uint) {
	sign := v >> 31
	size = uint(bits.Len32(uint32((v ^ sign) - sign)))
	return uint64(uint32(v+sign) & (1<<size - 1)), size
}

// flush appends the first 32 of n bits, which no byte of 255 follows but by a 0. There
// is room.
func flush(file []byte, acc uint64, n uint) ([]byte, uint) {
	n -= 32
	word := uint32(acc >> (n & 63))
	const ones = 0x01010101
	if (^word-ones)&word&(ones<<7) == 0 { // no byte of 255
		return binary.BigEndian.AppendUint32(file, word), n
	}
	for shift := 24; shift >= 0; shift -= 8 {
		if file = append(file, byte(word>>shift)); byte(word>>shift) == 0xff {
			file = append(file, 0)
		}
	}
	return file, n
}
