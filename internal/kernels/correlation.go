package kernels

import "github.com/anomaly-go/anomaly/graph"

// largeKernel is how many places a kernel has that is an image itself: such are
// the convolutions that compute gradients of weights.
const largeKernel = 64

// A correlation step computes convolutions with a kernel the size of the image as
// dot products of the kernels' rows and the image's, from each place of the result on.
type correlation struct {
	x, w, y            view
	n, in, out         int // images, channels, kernels
	ih, iw, kh, kw     int
	oh, ow, top, left  int
	pitch, lines       int // of a worker's padded copy of a channel
	kernelTiles, tiles []span
	kernels, places    []int32 // where kernels begin, and places of the result
}

// kernelLines is how many lines of kernels are correlated in turn, so that they
// stay in the caches.
const kernelLines = 16

func (c *compiler) correlation(n *graph.Node, g geometry) bool {
	xv, wv, out := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	if g.dilations != [4]int{1, 1} {
		return false
	}
	if c.winogradGrad(n, g) {
		return true
	}
	if wv.Shape[3]%c.isa.lanes != 0 {
		return false
	}
	s := &correlation{
		n: xv.Shape[0], in: xv.Shape[1], out: wv.Shape[0], ih: xv.Shape[2], iw: xv.Shape[3], kh: wv.Shape[2], kw: wv.Shape[3],
		oh: out.Shape[2], ow: out.Shape[3], top: g.pads[0], left: g.pads[1],
	}
	s.x, s.w = c.denseOf(xv), c.denseOf(wv)
	s.y = c.newView(graph.Float32, []int{s.out, s.n, s.oh, s.ow})
	c.values[out] = s.y.permute([]int{1, 0, 2, 3}) // the order that a gradient has in the end
	s.pitch, s.lines = s.kw+s.ow-1, s.kh+s.oh-1
	s.kernelTiles, s.tiles = split(s.out, c.isa.dotRows), split(s.oh*s.ow, c.isa.dotCols)
	for o := range s.out {
		s.kernels = append(s.kernels, int32(o*s.in*s.kh*s.kw))
	}
	for y := range s.oh {
		for x := range s.ow {
			s.places = append(s.places, int32(y*s.pitch+x))
		}
	}
	c.step(s)
	return true
}

func (s *correlation) uses() (reads, writes []view) { return []view{s.x, s.w}, []view{s.y} }

func (s *correlation) scratch() int { return s.pitch*s.lines + 4*chunk }

func (s *correlation) run(st *State) error {
	st.parallel(s.n, s)
	return nil
}

func (s *correlation) part(st *State, w *worker, image int) {
	set := st.plan.isa
	size := s.oh * s.ow
	y := st.floats(s.y)
	for o := range s.out {
		clear(y[(o*s.n+image)*size:][:size])
	}
	padded := w.scratch[:s.pitch*s.lines]
	for ch := range s.in {
		x := st.floats(s.x)[(image*s.in+ch)*s.ih*s.iw:][:s.ih*s.iw]
		for line := range s.lines {
			to := padded[line*s.pitch:][:s.pitch]
			iy := line - s.top
			if iy < 0 || iy >= s.ih {
				clear(to)
				continue
			}
			lead := min(s.left, s.pitch)
			clear(to[:lead])
			clear(to[lead+copy(to[lead:], x[iy*s.iw:][:s.iw]):])
		}
		kernels := st.floats(s.w)[ch*s.kh*s.kw:]
		_ = kernels[:((s.out-1)*s.in+1)*s.kh*s.kw]
		for from := 0; from < s.kh; from += kernelLines {
			for _, places := range s.tiles {
				for _, t := range s.kernelTiles {
					w.dot = dotArgs{
						lines: min(kernelLines, s.kh-from), k: s.kw,
						a: &kernels[from*s.kw], aoff: &s.kernels[t.lo], arow: 4 * s.kw,
						b: &padded[from*s.pitch], boff: &s.places[places.lo], brow: 4 * s.pitch,
						c: &y[(t.lo*s.n+image)*size+places.lo], ldc: 4 * s.n * size,
					}
					w.dot.run(set.dot[t.hi-t.lo-1][places.hi-places.lo-1])
				}
			}
		}
	}
}
