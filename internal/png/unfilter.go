package png

import "encoding/binary"

// Filters of rows (PNG, 9.2).
const (
	none = iota
	sub
	up
	average
	paeth
)

// unfilter undoes a row's filter, into dst; above is the row before, zeros above
// the first. All are of n channels and equally long. It reports whether there is
// such a filter.
func unfilter(dst, src, above []byte, filter byte, n int) bool {
	above, dst = above[:len(src)], dst[:len(src)]
	switch filter {
	case none:
		copy(dst, src)
	case sub:
		undoSub(dst, src, n)
	case up:
		undoUp(dst, src, above)
	case average:
		for i := range n {
			dst[i] = src[i] + above[i]/2
		}
		for i := n; i < len(src); i++ {
			dst[i] = src[i] + byte((int(dst[i-n])+int(above[i]))/2)
		}
	case paeth:
		undoPaeth(dst, src, above, n)
	default:
		return false
	}
	return true
}

func undoSub(dst, src []byte, n int) {
	copy(dst[:n], src)
	if n == 3 {
		r, g, b := src[0], src[1], src[2]
		for i := 3; i+3 <= len(src) && i+3 <= len(dst); i += 3 {
			r, g, b = r+src[i], g+src[i+1], b+src[i+2]
			dst[i], dst[i+1], dst[i+2] = r, g, b
		}
		return
	}
	for i := n; i < len(src); i++ {
		dst[i] = src[i] + dst[i-n]
	}
}

// undoUp adds eight bytes at a time.
func undoUp(dst, src, above []byte) {
	const low = 0x7f7f7f7f7f7f7f7f
	i := 0
	for ; i+8 <= len(src) && i+8 <= len(above) && i+8 <= len(dst); i += 8 {
		a, b := binary.LittleEndian.Uint64(src[i:]), binary.LittleEndian.Uint64(above[i:])
		binary.LittleEndian.PutUint64(dst[i:], (a&low+b&low)^(a^b)&^low)
	}
	for ; i < len(src); i++ {
		dst[i] = src[i] + above[i]
	}
}

// predict returns which of the pixels to the left, above and above left is nearest
// to left + above - aboveLeft, the earlier of those that are as near: without a
// branch, as what it is of noisy pixels cannot be foreseen. That sum is nearest to
// the one that lies between the others, or to the first of two that are the same.
func predict(left, above, aboveLeft int) int {
	t := 3*aboveLeft - left - above
	lo, hi := min(left, above), max(left, above)
	p := aboveLeft
	if hi <= t {
		p = lo
	}
	if t <= lo {
		p = hi
	}
	return p
}

// spare is what rows have to have beyond their ends for undoPaeths.
const spare = 8

func undoPaeth(dst, src, above []byte, n int) {
	if undo := undoPaeths[n]; undo != nil && min(cap(dst), cap(src), cap(above)) >= len(src)+spare {
		undo(&dst[0], &src[0], &above[0], len(src)/n)
		return
	}
	switch n {
	case 1:
		undoPaeth1(dst, src, above)
	case 3:
		undoPaeth3(dst, src, above)
	case 4:
		undoPaeth4(dst, src, above)
	}
}

// undoPair is undoPaeth of two rows, and reports whether there is a way to do both at once.
func undoPair(first, second, src, below, above []byte, n int) bool {
	undo := undoPairs[n]
	if undo == nil || min(cap(first), cap(second), cap(src), cap(below), cap(above)) < len(src)+spare {
		return false
	}
	undo(&first[0], &second[0], &src[0], &below[0], &above[0], len(src)/n)
	return true
}

func undoPaeth1(dst, src, above []byte) {
	left, corner := 0, 0
	for i := range src {
		over := int(above[i])
		left = (int(src[i]) + predict(left, over, corner)) & 0xff
		corner = over
		dst[i] = byte(left)
	}
}

func undoPaeth3(dst, src, above []byte) {
	var r, g, b, cr, cg, cb int
	for len(src) >= 3 && len(dst) >= 3 && len(above) >= 3 {
		ar, ag, ab := int(above[0]), int(above[1]), int(above[2])
		r = (int(src[0]) + predict(r, ar, cr)) & 0xff
		g = (int(src[1]) + predict(g, ag, cg)) & 0xff
		b = (int(src[2]) + predict(b, ab, cb)) & 0xff
		dst[0], dst[1], dst[2] = byte(r), byte(g), byte(b)
		cr, cg, cb = ar, ag, ab
		src, dst, above = src[3:], dst[3:], above[3:]
	}
}

func undoPaeth4(dst, src, above []byte) {
	var r, g, b, a, cr, cg, cb, ca int
	for len(src) >= 4 && len(dst) >= 4 && len(above) >= 4 {
		ar, ag, ab, aa := int(above[0]), int(above[1]), int(above[2]), int(above[3])
		r = (int(src[0]) + predict(r, ar, cr)) & 0xff
		g = (int(src[1]) + predict(g, ag, cg)) & 0xff
		b = (int(src[2]) + predict(b, ab, cb)) & 0xff
		a = (int(src[3]) + predict(a, aa, ca)) & 0xff
		dst[0], dst[1], dst[2], dst[3] = byte(r), byte(g), byte(b), byte(a)
		cr, cg, cb, ca = ar, ag, ab, aa
		src, dst, above = src[4:], dst[4:], above[4:]
	}
}
