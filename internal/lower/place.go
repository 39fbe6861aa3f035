package lower

// A place says where the elements of a parameter [out,in,taps] lie in a packed
// array: element (o,i,t) at out[o] + in[i] + tap[t]. An array that holds a
// parameter several times, in sums of taps say, has several places.
type place struct{ out, in, tap []int }

// each calls f for each element of the parameter: its index and its place.
func (p place) each(f func(i, at int)) {
	n := 0
	for _, o := range p.out {
		for _, i := range p.in {
			for _, t := range p.tap {
				f(n, o+i+t)
				n++
			}
		}
	}
}

// strided returns 0, stride, 2·stride, …: n numbers.
func strided(n, stride int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i * stride
	}
	return s
}

// blocked returns the places of n channels in blocks that lie outer apart, in
// which channels lie inner apart.
func blocked(n, block, outer, inner int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i/block*outer + i%block*inner
	}
	return s
}

// pick returns p[index] for each index.
func pick(p, index []int) []int {
	s := make([]int, len(index))
	for i, at := range index {
		s[i] = p[at]
	}
	return s
}

// vector is the place of a parameter [n] at an offset.
func vector(n, offset int) place {
	out := strided(n, 1)
	for i := range out {
		out[i] += offset
	}
	return place{out, []int{0}, []int{0}}
}

// roundUp returns the least multiple of m that is n or more.
func roundUp(n, m int) int { return (n + m - 1) / m * m }

// blockedFilter is the layout OIHWBiBo of filters [out,in,taps] whose input is
// in blocks: ((out/B · in/B) · taps) matrices of B input by B output channels.
// Channels are rounded up to whole blocks.
func blockedFilter(block, out, in, taps int) place {
	square := block * block
	return place{
		out: blocked(out, block, roundUp(in, block)/block*taps*square, 1),
		in:  blocked(in, block, taps*square, block),
		tap: strided(taps, square),
	}
}

// imageFilter is the layout OIHWBo of filters whose input is a plain NCHW image.
func imageFilter(block, out, in, taps int) place {
	return place{
		out: blocked(out, block, in*taps*block, 1),
		in:  strided(in, taps*block),
		tap: strided(taps, block),
	}
}

// turned is the place of a parameter [out,in,taps] in p, a filter for the
// gradient of its input: channels exchanged, turned by 180°.
func (p place) turned() place {
	n := len(p.tap)
	taps := make([]int, n)
	for t := range taps {
		taps[t] = n - 1 - t
	}
	return place{p.in, p.out, pick(p.tap, taps)}
}

// A 3×3 convolution after nearest upsampling by 2 reads each pixel of the small
// image in up to four taps. Phase (a,b) of its result, rows a, a+2, … and
// columns b, b+2, …, is a convolution of the small image in which taps that read
// the same pixel are added.

// low returns the pixel, relative to that of the result, which tap k of phase a reads: -1, 0 or 1.
func low(a, k int) int { return (a + k - 1) >> 1 }

// taps3 lists for each tap of a 3×3 kernel the index f gives it.
func taps3(f func(k, l int) int) []int {
	var s []int
	for k := range 3 {
		for l := range 3 {
			s = append(s, f(k, l))
		}
	}
	return s
}

// phaseTaps maps 3×3 taps to those of the 2×2 kernel of phase (a,b), whose first
// row is the small image's row a-1, and its first column b-1.
func phaseTaps(a, b int) []int {
	return taps3(func(k, l int) int { return (low(a, k)-a+1)*2 + low(b, l) - b + 1 })
}

// centredTaps maps 3×3 taps to those of a 3×3 kernel that reads the small image for phase (a,b).
func centredTaps(a, b int) []int {
	return taps3(func(k, l int) int { return (low(a, k)+1)*3 + low(b, l) + 1 })
}

// upGradTaps maps 3×3 taps to those of the 4×4 kernel that, with stride 2, is the
// gradient of upsampling and convolution: what phase (a,b) contributes.
func upGradTaps(a, b int) []int {
	return taps3(func(k, l int) int { return (a+2-k)*4 + b + 2 - l })
}

// phases calls f for the four phases in row-major order.
func phases(f func(q, a, b int)) {
	for q := range 4 {
		f(q, q/2, q%2)
	}
}

// shifted is p, n elements further on.
func (p place) shifted(n int) place {
	out := make([]int, len(p.out))
	for i, at := range p.out {
		out[i] = at + n
	}
	return place{out, p.in, p.tap}
}
