package kernels

import (
	"slices"
	"unsafe"
)

// A winogradTransform is one of those that Winograd's convolutions multiply tiles with,
// from both sides. They are written for polynomials at 0, ±5/8, ±3/2 and infinity.
type winogradTransform int

const (
	winogradImage      winogradTransform = iota // of 6×6 pixels to 6×6
	winogradResult                              // of 6×6 products to 4×4 results
	winogradKernel                              // of 3×3 weights to 6×6
	winogradResultGrad                          // of the gradients of 4×4 results to 6×6
	winogradKernelGrad                          // of 6×6 sums to the gradients of 3×3 weights
	lastTransform
)

// transformArgs are the operands of a transform of tiles: its elements are vectors, of so
// many channels side by side. Tables hold where a tile's elements are, in elements.
type transformArgs struct {
	tiles, vectors   int
	src              *float32
	from             *int32
	dst              *float32
	to               *int32
	between          *float32 // 36 vectors of memory
	srcNext, dstNext int      // bytes from one tile's end to the next
	bias             *float32 // that results get, and their bounds
	lo, hi           float32
}

func (p *transformArgs) run(f func(*byte)) { f((*byte)(unsafe.Pointer(p))) }

const (
	winogradTile = 4 // results of a tile, down and across
	winogradSide = 6 // pixels that they depend on
	winogradArea = winogradSide * winogradSide
	// winogradFloats is how much a worker's block of transformed tiles should not
	// exceed, to stay in a core's second cache.
	winogradFloats = 96 << 10
	// fewTiles is the least block: for each, weights are read again, which may lie in no cache.
	fewTiles = 32
	// leastChannels is the least product of the channels that go in and come out.
	leastChannels = 128
	// wideChannels is that from which images of repeated pixels are cut into tiles too.
	wideChannels = 1024
)

// A winogradGrid cuts images into blocks of tiles of 4×4 results each.
type winogradGrid struct {
	top, left        int // pixels of padding
	oh, ow           int
	rows, cols       int // tiles of an image
	height, width    int // tiles of a block
	blocksY, blocksX int
}

// newGrid returns blocks of up to so many tiles.
func newGrid(oh, ow, top, left, tiles int) winogradGrid {
	g := winogradGrid{top: top, left: left, oh: oh, ow: ow, rows: (oh + winogradTile - 1) / winogradTile, cols: (ow + winogradTile - 1) / winogradTile}
	g.blocksX = (g.cols + tiles - 1) / tiles
	g.width = (g.cols + g.blocksX - 1) / g.blocksX
	g.blocksX = (g.cols + g.width - 1) / g.width
	g.height = min(max(tiles/g.width, 1), g.rows)
	g.blocksY = (g.rows + g.height - 1) / g.height
	g.height = (g.rows + g.blocksY - 1) / g.blocksY
	g.blocksY = (g.rows + g.height - 1) / g.height
	return g
}

func (g *winogradGrid) blocks() int { return g.blocksY * g.blocksX }

// tiles returns how many a block has.
func (g *winogradGrid) tiles() int { return g.height * g.width }

// block returns the tiles of block i.
func (g *winogradGrid) block(i int) (rows, cols span) {
	y, x := i/g.blocksX*g.height, i%g.blocksX*g.width
	return span{y, min(y+g.height, g.rows)}, span{x, min(x+g.width, g.cols)}
}

// lines and pixels are the size of a block's pixels.
func (g *winogradGrid) lines() int { return winogradTile*g.height + winogradSide - winogradTile }

func (g *winogradGrid) pixels() int { return winogradTile*g.width + winogradSide - winogradTile }

// planar is an image of so many channels, each some elements from the one before.
type planar struct {
	x             []float32
	channels      int
	step          int
	height, width int
}

// load copies lines of pixels of an image, zeros around it, the channels of a pixel side
// by side, pixels so many floats from each other.
func (p *planar) load(set *isa, dst []float32, size, y, x, lines, pixels int) {
	from, to := min(max(0, -x), pixels), max(0, min(pixels, p.width-x))
	to = max(from, to)
	n := to - from
	for line := range lines {
		row := dst[line*pixels*size:][:pixels*size]
		if y+line < 0 || y+line >= p.height {
			clear(row)
			continue
		}
		clear(row[:from*size])
		clear(row[to*size:])
		if n == 0 {
			continue
		}
		src, row := p.x[(y+line)*p.width+x+from:], row[from*size:]
		if n < square || p.channels < square {
			for ch := range p.channels {
				for i, v := range src[ch*p.step:][:n] {
					row[i*size+ch] = v
				}
			}
			continue
		}
		_ = src[(p.channels-1)*p.step+n-1]
		for ch := 0; ch < p.channels; ch += square {
			ch := min(ch, p.channels-square)
			set.transpose(&row[ch], &src[ch*p.step], 4*size, 4*p.step, 4*square*size, 4*square, n/square)
			if n%square > 0 {
				i := n - square
				set.transpose(&row[i*size+ch], &src[ch*p.step+i], 4*size, 4*p.step, 0, 0, 1)
			}
		}
	}
}

// storeLine is the inverse of load for a line that lies within an image.
func (p *planar) storeLine(set *isa, src []float32, size, y, x, n int) {
	dst := p.x[y*p.width+x:]
	if n < square || p.channels < square {
		for ch := range p.channels {
			for i := range dst[ch*p.step:][:n] {
				dst[ch*p.step+i] = src[i*size+ch]
			}
		}
		return
	}
	_, _ = dst[(p.channels-1)*p.step+n-1], src[(n-1)*size+p.channels-1]
	for ch := 0; ch < p.channels; ch += square {
		ch := min(ch, p.channels-square)
		set.transpose(&dst[ch*p.step], &src[ch], 4*p.step, 4*size, 4*square, 4*square*size, n/square)
		if n%square > 0 {
			i := n - square
			set.transpose(&dst[ch*p.step+i], &src[i*size+ch], 4*p.step, 4*size, 0, 0, 1)
		}
	}
}

// table returns where the elements of a square are: lines and columns apart.
func table(side, line, column int) []int32 {
	var t []int32
	for i := range side * side {
		t = append(t, int32(i/side*line+i%side*column))
	}
	return t
}

// steps returns n multiples of step.
func steps(n, step int) []int32 {
	t := make([]int32, n)
	for i := range t {
		t[i] = int32(i * step)
	}
	return t
}

// apart returns at least n floats, so many that what is that far apart does not share
// lines of the first cache.
func apart(n int) int { return roundUp(n, chunk) + chunk }

// A winograd step computes convolutions by 3×3 kernels of stride 1 with a quarter of the
// products: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016,
// F(4×4, 3×3). Of each tile of 6×6 pixels 36 sums are made, of which each is multiplied
// with the kernels' sums like it, over all channels; 4×4 results are sums of those
// products. A worker takes a block of tiles, the channels of a pixel side by side.
type winograd struct {
	*conv
	grid      winogradGrid
	inSize    int        // floats of a pixel: channels, filled up to vectors
	outSize   int        // of weights, the same
	columns   []span     // of vectors of channels of the result: a tile of a product
	columnAt  []int      // where the weights of each are, and where they end
	outParts  int        // the columns are computed in so many parts, where there are few blocks
	places    [3][]int32 // by vectors of a column: of the weights for each channel
	weights   [3][]int32 // where the transform of weights writes
	kernels   [3][]int32 // and where it reads
	results   [3][]int32 // of pixels of the result
	products  [3][]int32
	pixels    []int32 // of a tile
	images    []int32 // where its transform is written
	imageStep int
	partSize  partSizes
}

// partSizes are how many floats each part of a worker's scratch memory has.
type partSizes [6]int

func (p *partSizes) sum() int {
	sum := chunk
	for _, n := range p {
		sum += n
	}
	return sum
}

// cut returns the parts.
func (p *partSizes) cut(scratch []float32) (parts [6][]float32) {
	for i, n := range p {
		parts[i], scratch = scratch[:n], scratch[n:]
	}
	return parts
}

// winogradSuits reports whether a convolution is one by 3×3 kernels that takes less time
// in Winograd's way, as was measured in AVX2 (Zen 3) for 8 to 128 channels and images of 8
// to 128 pixels: in .18 to .9 of the direct one's. It took longer only from 8 channels to 8.
func (s *conv) winogradSuits(c *compiler) bool {
	if c.isa.transforms[0] == nil || s.groups > 1 || s.transposed || len(s.phases) != 1 || s.sy != 1 || s.sx != 1 || s.kernel != 9 || len(s.phases[0].taps) != 9 {
		return false
	}
	taps := s.phases[0].taps
	for i, t := range taps {
		if len(t.from) != 1 || t.qy-taps[0].qy != i/3 || t.qx-taps[0].qx != i%3 {
			return false
		}
	}
	return min(s.in, s.out) >= c.isa.lanes && s.in*s.out >= leastChannels && min(s.oh, s.ow) >= leastSide
}

// kernelsWhole reports whether the 9 elements of each kernel follow each other, in order
// or turned by 180°.
func kernelsWhole(w view) bool {
	return min(w.strides[0], w.strides[1]) >= 0 && (slices.Equal(w.strides[2:], []int{3, 1}) || slices.Equal(w.strides[2:], []int{-3, -1}))
}

func newWinograd(c *compiler, s *conv) *winograd {
	lanes := c.isa.lanes
	w := &winograd{conv: s, inSize: roundUp(s.in, lanes), outSize: roundUp(s.out, lanes)}
	w.columns = split(w.outSize/lanes, 3)
	widest, at := 0, 0
	for _, v := range w.columns {
		widest = max(widest, v.hi-v.lo)
		w.columnAt = append(w.columnAt, at)
		at += winogradArea * apart(s.in*(v.hi-v.lo)*lanes)
	}
	w.columnAt = append(w.columnAt, at)
	tiles := max(winogradFloats/(winogradArea*(w.inSize+widest*lanes)), fewTiles)
	w.grid = newGrid(s.oh, s.ow, -s.phases[0].taps[0].qy, -s.phases[0].taps[0].qx, tiles)
	w.outParts = 1
	if parts, blocks := 2*c.threads, s.n*w.grid.blocks(); c.threads > 1 && blocks < parts {
		w.outParts = min((parts+blocks-1)/blocks, len(w.columns))
	}
	g := &w.grid
	w.pixels = table(winogradSide, g.pixels()*w.inSize, w.inSize)
	w.imageStep = apart(g.tiles() * w.inSize)
	w.images = steps(winogradArea, w.imageStep)
	for v := range 3 {
		n := (v + 1) * lanes
		w.places[v] = steps(s.in, n)
		w.weights[v] = steps(winogradArea, apart(s.in*n))
		for _, t := range s.phases[0].taps {
			w.kernels[v] = append(w.kernels[v], int32(t.from[0]*n))
		}
		w.products[v] = steps(winogradArea, apart(g.tiles()*n))
		w.results[v] = table(winogradTile, winogradTile*g.width*n, n)
	}
	n := widest * lanes
	w.partSize = partSizes{
		apart(g.lines() * g.pixels() * w.inSize), winogradArea * w.imageStep, winogradArea * apart(g.tiles()*n),
		apart(winogradTile * winogradTile * g.tiles() * n), apart(winogradArea*lanes + n), apart(2 * square * winogradTile * g.width),
	}
	return w
}

// winogradLaid is of how many channels weights are transformed at once.
const winogradLaid = 8

func (s *winograd) laySize(set *isa) (floats, scratch int) {
	return s.columnAt[len(s.columns)], winogradArea*set.lanes + 9*winogradLaid*3*set.lanes
}

// lay transforms weights: by column, for each of the 36 sums a row for each channel.
func (s *winograd) lay(set *isa, dst, w, scratch []float32) {
	of, channel := s.w.strides[0], s.w.strides[1]
	between := scratch[:winogradArea*set.lanes]
	gathered := scratch[len(between):] // by channel and place of the kernel, results side by side
	_ = w[s.w.off+s.low:][:(s.out-1)*of+(s.in-1)*channel+9]
	for i, column := range s.columns {
		v := column.hi - column.lo - 1
		n := (v + 1) * set.lanes
		lo := column.lo * set.lanes
		to := dst[s.columnAt[i]:]
		results := min(n, s.out-lo)
		if results < n {
			clear(gathered[:9*winogradLaid*n])
		}
		for ch := 0; ch < s.in; ch += winogradLaid {
			channels := min(winogradLaid, s.in-ch)
			for o := 0; o < results; o += square {
				o := min(o, results-square)
				for first := range 9 - square + 1 { // the kernel's 9 elements, from the first and from the second on
					set.transpose(&gathered[first*n+o], &w[s.w.off+s.low+(lo+o)*of+ch*channel+first], 4*n, 4*of, 4*9*n, 4*channel, channels)
				}
			}
			args := transformArgs{
				tiles: channels, vectors: v + 1, src: &gathered[0], from: &s.kernels[v][0], srcNext: 4 * 8 * n,
				dst: &to[ch*n], to: &s.weights[v][0], between: &between[0],
			}
			args.run(set.transforms[winogradKernel])
		}
	}
}

func (s *winograd) scratch() int { return s.partSize.sum() }

func (s *winograd) run(st *State) error {
	st.parallel(s.n*s.grid.blocks()*s.outParts, s)
	return nil
}

func (s *winograd) part(st *State, w *worker, i int) {
	set, g := st.plan.isa, &s.grid
	columns := span{i % s.outParts * len(s.columns) / s.outParts, (i%s.outParts + 1) * len(s.columns) / s.outParts}
	i /= s.outParts
	image := i / g.blocks()
	rows, cols := g.block(i % g.blocks())
	memory := s.partSize.cut(w.scratch)
	pixels, images, products, between := memory[0], memory[1], memory[2], memory[4]

	x := planar{st.floats(s.x)[image*s.in*s.ih*s.iw:][:s.in*s.ih*s.iw], s.in, s.ih * s.iw, s.ih, s.iw}
	g.transform(set, &w.transform, &x, rows, cols, transforming{
		pixels: pixels, from: s.pixels, size: s.inSize, dst: images, to: s.images, between: between,
	})
	tiles := (rows.hi - rows.lo) * (cols.hi - cols.lo)
	weights := s.layout
	if weights == nil {
		weights = st.floats(s.room)
	}
	for k := columns.lo; k < columns.hi; k++ {
		column := s.columns[k]
		v := column.hi - column.lo - 1
		n := (v + 1) * set.lanes
		p := &w.product
		*p = productArgs{k: s.in, lda: 4 * s.inSize, ka: 4, off: &s.places[v][0], ldc: 4 * n, lo: negInf, hi: posInf}
		for i := range winogradArea {
			p.b = &weights[s.columnAt[k]+int(s.weights[v][i]):][:s.in*n][0]
			from, to := images[i*s.imageStep:], products[s.products[v][i]:]
			for t := 0; t < tiles; t += set.rows {
				p.a, p.c = &from[t*s.inSize], &to[t*n]
				p.run(set.product[min(tiles-t, set.rows)-1][v])
			}
		}
		s.finish(st, w, memory, image, rows, cols, column)
	}
}

// finish makes results of the products of some channels, and writes them to the image.
func (s *winograd) finish(st *State, w *worker, memory [6][]float32, image int, rows, cols, column span) {
	set, g := st.plan.isa, &s.grid
	products, results, between, lines := memory[2], memory[3], memory[4], memory[5]
	v := column.hi - column.lo - 1
	n, o := (v+1)*set.lanes, column.lo*set.lanes
	channels := min(n, s.out-o)
	bias := between[winogradArea*set.lanes:][:n]
	clear(bias)
	if s.b.buf != nil {
		copy(bias, st.floats(s.b)[o:][:channels])
	}
	across := cols.hi - cols.lo
	line := winogradTile * g.width * n
	for row := range rows.hi - rows.lo {
		w.transform = transformArgs{
			tiles: across, vectors: v + 1, src: &products[row*across*n], from: &s.products[v][0],
			dst: &results[winogradTile*row*line], to: &s.results[v][0], dstNext: 4 * (winogradTile - 1) * n,
			between: &between[0], bias: &bias[0], lo: s.lo, hi: s.hi,
		}
		w.transform.run(set.transforms[winogradResult])
	}
	y0, x0 := winogradTile*rows.lo, winogradTile*cols.lo
	height, width := min(s.oh-y0, winogradTile*(rows.hi-rows.lo)), min(s.ow-x0, winogradTile*across)
	if !s.pool {
		y := planar{st.floats(s.y)[(image*s.out+o)*s.oh*s.ow:][:channels*s.oh*s.ow], channels, s.oh * s.ow, s.oh, s.ow}
		for i := range height {
			y.storeLine(set, results[i*line:], n, y0+i, x0, width)
		}
		return
	}
	oh, ow := s.oh/2, s.ow/2
	y := st.floats(s.y)[(image*s.out+o)*oh*ow:][:channels*oh*ow]
	for i := 0; i+1 < height; i += 2 {
		for from := 0; from < channels; from += square {
			pair := planar{lines, min(square, channels-from), 2 * width, 2, width}
			for j := range 2 {
				pair.storeLine(set, results[(i+j)*line+from:], n, j, 0, width)
			}
			for ch := range pair.channels {
				a := lines[ch*pair.step:]
				pairMax(set, y[((from+ch)*oh+(y0+i)/2)*ow+x0/2:][:width/2], a, a[width:])
			}
		}
	}
}

// transforming says what a block of tiles is transformed to.
type transforming struct {
	pixels  []float32 // memory for the block's pixels
	from    []int32
	size    int // floats of a pixel
	dst     []float32
	to      []int32
	between []float32
}

// transform loads a block's pixels and transforms its tiles.
func (g *winogradGrid) transform(set *isa, args *transformArgs, x *planar, rows, cols span, t transforming) {
	down, across := rows.hi-rows.lo, cols.hi-cols.lo
	x.load(set, t.pixels, t.size, winogradTile*rows.lo-g.top, winogradTile*cols.lo-g.left, winogradTile*down+winogradSide-winogradTile, g.pixels())
	for row := range down {
		*args = transformArgs{
			tiles: across, vectors: t.size / set.lanes, src: &t.pixels[winogradTile*row*g.pixels()*t.size], from: &t.from[0],
			dst: &t.dst[row*across*t.size], to: &t.to[0], between: &t.between[0], srcNext: 4 * (winogradTile - 1) * t.size,
		}
		args.run(set.transforms[winogradImage])
	}
}
