package png

import "math/bits"

// A table is looked up with as many bits as it is primary for, which come in the
// lowest ones. An entry of 0 is no code. The others:
//
//	bits 0 to 5    how many bits of the input it takes; of a link, how many it has looked at
//	bit  6         a link: to the entry at bits 16 to 31 plus the next bits 8 to 11 of input
//	bit  7         the end of the block
//	bits 8 to 11   otherwise: how many extra bits to add to the length or distance in bits 16 to 31
//	bits 12 to 13  how many literals it is, 1 or 2, in the bytes of bits 16 to 31
//
// So its lowest byte is a shift as processors take it; inflateCodes relies on all of this.
const (
	entryBits = 0xf
	isLink    = 1 << 6
	isEnd     = 1 << 7
	extraBits = 8
	literals  = 12
	oneByte   = 1 << literals
	twoBytes  = 2 << literals
	value     = 16
)

const (
	literalBits  = 11
	distanceBits = 8
	longestCode  = 15

	endOfBlock = 256
)

// Bounded by the codes that need most, of 288 and 32 symbols (zlib, enough.c: 2342
// and 402), with room up to a power of 2, so that no index is out of range.
type (
	literalTable  [1 << 12]uint32
	distanceTable [1 << 9]uint32
)

// Symbols as entries, apart from the bits they take (RFC 1951, 3.2.5).
var literalSymbols, distanceSymbols = func() (l [288]uint32, d [32]uint32) {
	for i := range endOfBlock {
		l[i] = oneByte | uint32(i)<<value
	}
	l[endOfBlock] = isEnd
	base := uint32(3)
	for i := range uint32(28) {
		extra := uint32(0)
		if i >= 8 {
			extra = i/4 - 1
		}
		l[257+i] = extra<<extraBits | base<<value
		base += 1 << extra
	}
	l[285] = 258 << value
	base = 1
	for i := range uint32(30) {
		extra := uint32(0)
		if i >= 4 {
			extra = i/2 - 1
		}
		d[i] = extra<<extraBits | base<<value
		base += 1 << extra
	}
	return l, d
}()

// build fills a table for codes of the given lengths, 0 being none. It reports
// whether they are a whole code, or one code of one bit, or none.
func build(table []uint32, primary int, lengths []uint8, symbols []uint32) bool {
	var count, next [longestCode + 1]int
	for _, n := range lengths {
		count[n]++
	}
	count[0] = 0
	used := 0
	for n := 1; n <= longestCode; n++ {
		next[n] = (next[n-1] + count[n-1]) << 1
		used += count[n] << (longestCode - n)
	}
	if used != 1<<longestCode && used != 0 && (used != 1<<(longestCode-1) || count[1] != 1) {
		return false
	}
	clear(table[:1<<primary])
	var codes [288]int
	for symbol, length := range lengths {
		n := int(length)
		if n == 0 {
			continue
		}
		code := int(bits.Reverse16(uint16(next[n])) >> (16 - n))
		next[n]++
		if n > primary { // for now, how long the longest code is that begins with these bits
			codes[symbol] = code
			prefix := &table[code&(1<<primary-1)]
			*prefix = max(*prefix, isLink|uint32(n-primary)<<extraBits)
			continue
		}
		if symbols[symbol] == 0 {
			continue
		}
		for entry := symbols[symbol] | uint32(n); code < 1<<primary; code += 1 << n {
			table[code] = entry
		}
	}
	end := 1 << primary
	for symbol, length := range lengths {
		n := int(length)
		if n <= primary {
			continue
		}
		link := &table[codes[symbol]&(1<<primary-1)]
		size := int(*link >> extraBits & 0xf)
		if *link>>value == 0 {
			*link |= uint32(primary) | uint32(end)<<value
			clear(table[end:][:1<<size])
			end += 1 << size
		}
		if symbols[symbol] == 0 {
			continue
		}
		part := table[*link>>value:][:1<<size]
		for i := codes[symbol] >> primary; i < len(part); i += 1 << (n - primary) {
			part[i] = symbols[symbol] | uint32(n-primary)
		}
	}
	return true
}

// pair joins literals that are looked up with the same bits.
func (t *literalTable) pair() {
	for i := 1<<literalBits - 1; i >= 0; i-- { // what is behind the first has smaller numbers, and is still single
		first := t[i]
		if first&oneByte == 0 {
			continue
		}
		n := first & entryBits
		second := t[i>>n]
		if both := n + second&entryBits; second&oneByte != 0 && both <= literalBits {
			t[i] = both | twoBytes | first&0xff0000 | second>>value<<(value+8)
		}
	}
}
