package png

import "encoding/binary"

const (
	window = 32 << 10 // how far Deflate looks back

	longestMatch = 258
	// slack is how many bytes beyond a place are written at a step: two times two
	// literals, a match, what its last word has too much.
	slack = longestMatch + 32
	// codeBytes is how many bytes a match, and three lookups of literals before it, read at most.
	codeBytes = 16
	// padding follows the input, so that words can be read at its end.
	padding = 16
)

// A codesFunc is the part of inflater.codes that takes time: literals and matches, up to the end
// of the block or what is wrong. Neither out nor in is past limit or last when a symbol
// begins, which are slack and codeBytes before the ends of output and input; start is the first
// byte that it may look back on.
type codesFunc func(out, start, limit, in, last *byte, bits uint64, n uint, literal, distance *uint32) (written, read int, rest uint64, left uint)

// An inflater unpacks a zlib stream (RFC 1950, RFC 1951), a part at a time.
type inflater struct {
	src  []byte // with padding behind it
	at   int    // of the next byte that is not in bits
	bits uint64 // the lowest come first
	n    uint   // how many of bits hold

	last   bool // this block is the last
	inside int  // of a block: what follows

	stored   int // bytes left of a stored block
	literal  literalTable
	distance distanceTable
}

// What an inflater does next.
const (
	blockHeader = iota
	storedBytes
	codes
	ended
)

// reset begins a stream, and reports whether its header is right.
func (z *inflater) reset(src []byte) bool {
	z.src, z.at, z.bits, z.n, z.last, z.inside = src, 2, 0, 0, false, blockHeader
	if len(src) < 2+padding {
		return false
	}
	const deflate, dictionary = 8, 1 << 5
	return src[0]&0xf == deflate && src[0]>>4 <= 7 && src[1]&dictionary == 0 && (uint(src[0])<<8|uint(src[1]))%31 == 0
}

// inflate unpacks into out from place at on, until less than slack is left of it
// or the stream has ended. Before at is what was unpacked before: the last window of
// it, or all. It returns the place behind, and false where the stream is not right.
func (z *inflater) inflate(out []byte, at int) (int, bool) {
	for at <= len(out)-slack {
		ok := true
		switch z.inside {
		case blockHeader:
			ok = z.header()
		case storedBytes:
			n := min(z.stored, len(out)-slack+1-at, len(z.src)-padding-z.at)
			if n == 0 && z.stored > 0 {
				return at, false
			}
			at += copy(out[at:at+n], z.src[z.at:])
			z.at += n
			if z.stored -= n; z.stored == 0 {
				z.next()
			}
		case codes:
			at, ok = z.codes(out, at)
		case ended:
			return at, true
		}
		if !ok {
			return at, false
		}
	}
	return at, true
}

// next goes on behind a block.
func (z *inflater) next() {
	if z.inside = blockHeader; z.last {
		z.inside = ended
	}
}

// refill makes at least 56 bits, and reports whether there were any.
func (z *inflater) refill() bool {
	if z.at > len(z.src)-8 {
		return false
	}
	z.bits |= binary.LittleEndian.Uint64(z.src[z.at:]) << (z.n & 63)
	z.at += int((63 - z.n) >> 3)
	z.n |= 56
	return true
}

func (z *inflater) take(n uint) int {
	v := int(z.bits & (1<<n - 1))
	z.bits >>= n
	z.n -= n
	return v
}

// align gives back the whole bytes in bits.
func (z *inflater) align() {
	z.at -= int(z.n >> 3)
	z.bits, z.n = 0, 0
}

// order is that of the lengths of the codes for lengths (RFC 1951, 3.2.7).
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengthSymbols are the symbols of the code for lengths, as literals.
var lengthSymbols = func() (s [19]uint32) {
	for i := range s {
		s[i] = oneByte | uint32(i)<<value
	}
	return s
}()

// header reads how a block is packed.
func (z *inflater) header() bool {
	if !z.refill() {
		return false
	}
	z.last = z.take(1) == 1
	switch z.take(2) {
	case 0:
		z.align()
		if z.at+4 > len(z.src)-padding {
			return false
		}
		n := binary.LittleEndian.Uint16(z.src[z.at:])
		if binary.LittleEndian.Uint16(z.src[z.at+2:]) != ^n {
			return false
		}
		z.at += 4
		z.stored, z.inside = int(n), storedBytes
		return true
	case 1:
		var lengths [288 + 32]uint8
		for i := range lengths {
			switch {
			case i < 144:
				lengths[i] = 8
			case i < 256:
				lengths[i] = 9
			case i < 280:
				lengths[i] = 7
			case i < 288:
				lengths[i] = 8
			default:
				lengths[i] = 5
			}
		}
		return z.begin(lengths[:288], lengths[288:])
	case 2:
		return z.dynamic()
	}
	return false
}

// dynamic reads the codes of a block.
func (z *inflater) dynamic() bool {
	nLiteral, nDistance, nLength := z.take(5)+257, z.take(5)+1, z.take(4)+4
	if nLiteral > 286 || nDistance > 30 {
		return false
	}
	var lengths [286 + 30]uint8
	var ofLengths [19]uint8
	for _, symbol := range order[:nLength] {
		if z.n < 3 && !z.refill() {
			return false
		}
		ofLengths[symbol] = uint8(z.take(3))
	}
	const lengthBits = 7
	var table [1 << lengthBits]uint32
	if !build(table[:], lengthBits, ofLengths[:], lengthSymbols[:]) {
		return false
	}
	all := lengths[:nLiteral+nDistance]
	for i := 0; i < len(all); {
		if !z.refill() {
			return false
		}
		entry := table[z.bits&(1<<lengthBits-1)]
		if entry == 0 {
			return false
		}
		z.take(uint(entry & entryBits))
		length, times := uint8(entry>>value), 1
		switch length {
		case 16:
			if i == 0 {
				return false
			}
			length, times = all[i-1], 3+z.take(2)
		case 17:
			length, times = 0, 3+z.take(3)
		case 18:
			length, times = 0, 11+z.take(7)
		}
		if times > len(all)-i {
			return false
		}
		for range times {
			all[i] = length
			i++
		}
	}
	return z.begin(all[:nLiteral], all[nLiteral:])
}

// begin begins a block of such codes.
func (z *inflater) begin(literal, distance []uint8) bool {
	if !build(z.literal[:], literalBits, literal, literalSymbols[:]) || !build(z.distance[:], distanceBits, distance, distanceSymbols[:]) {
		return false
	}
	z.literal.pair()
	z.inside = codes
	return true
}

// codes unpacks as inflate does, up to the end of a block.
func (z *inflater) codes(out []byte, at int) (int, bool) {
	src, from, hold, n := z.src, z.at, z.bits, z.n
	literal, distance := &z.literal, &z.distance
	limit := len(out) - slack
	whole := true
	for at <= limit {
		if inflateCodes != nil && from <= len(src)-codeBytes {
			written, read, rest, left := inflateCodes(&out[at], &out[0], &out[limit], &src[from], &src[len(src)-codeBytes], hold, n, &literal[0], &distance[0])
			if at, from, hold, n = at+written, from+read, rest, left; at > limit {
				break
			}
		}
		if from > len(src)-8 {
			whole = false
			break
		}
		hold |= binary.LittleEndian.Uint64(src[from:]) << (n & 63)
		from += int((63 - n) >> 3)
		n |= 56
		// Three lookups of literals take 33 bits of 56, and leave enough for a fourth.
		entry := literal[hold&(1<<literalBits-1)]
		for range 3 {
			if entry&(3<<literals) == 0 {
				break
			}
			binary.LittleEndian.PutUint16(out[at:], uint16(entry>>value))
			at += int(entry >> literals & 3)
			hold >>= entry & entryBits
			n -= uint(entry & entryBits)
			entry = literal[hold&(1<<literalBits-1)]
		}
		if entry&(3<<literals) != 0 {
			continue
		}
		if from > len(src)-8 {
			whole = false
			break
		}
		hold |= binary.LittleEndian.Uint64(src[from:]) << (n & 63) // a length and a distance take 48
		from += int((63 - n) >> 3)
		n |= 56
		if entry&isLink != 0 {
			hold >>= entry & entryBits
			n -= uint(entry & entryBits)
			entry = literal[(entry>>value+uint32(hold)&(1<<(entry>>extraBits&0xf)-1))&(1<<12-1)]
			if entry&oneByte != 0 {
				out[at] = byte(entry >> value)
				at++
				hold >>= entry & entryBits
				n -= uint(entry & entryBits)
				continue
			}
		}
		hold >>= entry & entryBits
		n -= uint(entry & entryBits)
		if entry>>value == 0 { // no length is 0
			whole = entry&isEnd != 0
			if whole {
				z.next()
			}
			break
		}
		extra := entry >> extraBits & 0xf
		length := int(entry>>value) + int(hold&(1<<extra-1))
		hold >>= extra
		n -= uint(extra)

		entry = distance[hold&(1<<distanceBits-1)]
		if entry&isLink != 0 {
			hold >>= entry & entryBits
			n -= uint(entry & entryBits)
			entry = distance[(entry>>value+uint32(hold)&(1<<(entry>>extraBits&0xf)-1))&(1<<9-1)]
		}
		hold >>= entry & entryBits
		n -= uint(entry & entryBits)
		extra = entry >> extraBits & 0xf
		back := int(entry>>value) + int(hold&(1<<extra-1))
		hold >>= extra
		n -= uint(extra)
		if back > at || entry == 0 {
			whole = false
			break
		}
		begin := at
		at += length
		switch {
		case back >= 8:
			for i := begin; i < at; i += 8 {
				binary.LittleEndian.PutUint64(out[i:], binary.LittleEndian.Uint64(out[i-back:]))
			}
		case back == 1:
			word := uint64(out[begin-1]) * 0x0101010101010101
			for i := begin; i < at; i += 8 {
				binary.LittleEndian.PutUint64(out[i:], word)
			}
		default:
			for i := begin; i < begin+8; i++ {
				out[i] = out[i-back]
			}
			for back *= (8 + back - 1) / back; begin+8 < at; begin += 8 { // it repeats after a word, too
				binary.LittleEndian.PutUint64(out[begin+8:], binary.LittleEndian.Uint64(out[begin+8-back:]))
			}
		}
	}
	z.at, z.bits, z.n = from, hold, n
	return at, whole
}

// sum returns the checksum behind the stream that has ended, and whether that is
// all there is.
func (z *inflater) sum() (uint32, bool) {
	z.align()
	if z.at != len(z.src)-padding-4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(z.src[z.at:]), true
}
