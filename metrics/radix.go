package metrics

import "math"

// descendingKey maps scores to keys whose ascending order is the scores'
// descending one and which are equal exactly where the scores are. NaN excepted.
func descendingKey(score float32) uint32 {
	if score == 0 {
		score = 0 // -0 ties with 0
	}
	bits := math.Float32bits(score)
	if bits>>31 != 0 {
		return bits
	}
	return ^(bits | 1<<31)
}

// scoreOf inverts descendingKey.
func scoreOf(key uint32) float32 {
	if key>>31 != 0 {
		return math.Float32frombits(key)
	}
	return math.Float32frombits(^key &^ (1 << 31))
}

// radixSort sorts a by its 32 bits from bit low on, ascending and stably, and
// returns the result, which lies in a or in a buffer of a's size. Three passes
// over 67 million keys beat a comparing sort by an order of magnitude.
func radixSort[T uint32 | uint64](a []T, low uint) []T {
	const digit, passes = 11, 3
	var counts [passes][1 << digit]int
	for _, v := range a {
		for pass := range counts {
			counts[pass][uint32(v>>low)>>(digit*pass)&(1<<digit-1)]++
		}
	}
	buffer := make([]T, len(a))
	for pass := range counts {
		next := &counts[pass] // where the digit's next value goes
		sum := 0
		for d, n := range next {
			next[d] = sum
			sum += n
		}
		for _, v := range a {
			d := uint32(v>>low) >> (digit * pass) & (1<<digit - 1)
			buffer[next[d]] = v
			next[d]++
		}
		a, buffer = buffer, a
	}
	return a
}
