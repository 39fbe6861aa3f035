package kernels

import "github.com/anomaly-go/anomaly/graph"

// A winogradGrad step computes the gradients of 3×3 kernels as the adjoint of step
// winograd: of each tile of 6×6 pixels 36 sums are made and of the gradients of its 4×4
// results as many; those that belong together are multiplied and added up over all
// tiles, each channel with each result, and 3×3 gradients are sums of the sums. A worker
// takes some results and adds tiles up in their order, whatever the number of workers.
type winogradGrad struct {
	x, dy, y   view // [in, images, ih, iw], [out, images, oh, ow], [out, in, 3, 3]
	n, in, out int  // images, channels, results
	ih, iw     int
	grid       winogradGrid
	inSize     int    // floats of a pixel: channels, filled up to vectors
	groups     []span // of results, of which a worker has the sums of one in hand
	parts      int
	columns    []span // of vectors of channels: a tile of a product
	whole      bool   // there is one block of tiles: sums of one group at a time are kept

	groupSize  int // floats of a pixel of a group's results
	pixels     []int32
	images     []int32
	imageStep  int
	resultIn   []int32
	resultOut  []int32
	resultStep int
	places     []int32 // of tiles, for products
	sums       []int32 // of a group
	sumStep    int
	gradients  []int32
	partSize   partSizes
}

const (
	// groupResults is how many results a group has.
	groupResults = 32
	// mostSums is how many floats of sums a worker should keep where there are several
	// blocks. Those of more results are computed in more parts, each of which transforms
	// all images.
	mostSums = 1 << 20
	// leastSide is of images that are cut into tiles.
	leastSide = 8
)

// winogradGrad emits the step for a convolution of images, channel and batch exchanged,
// with gradients; false where another one is better.
func (c *compiler) winogradGrad(n *graph.Node, g geometry) bool {
	xv, wv, out := n.Inputs[0], n.Inputs[1], n.Outputs[0]
	s := &winogradGrad{n: xv.Shape[1], in: xv.Shape[0], out: wv.Shape[0], ih: xv.Shape[2], iw: xv.Shape[3]}
	oh, ow := wv.Shape[2], wv.Shape[3]
	if c.isa.transforms[0] == nil || out.Shape[2] != 3 || out.Shape[3] != 3 || s.in < 8 || s.out < 8 || oh < leastSide || ow < leastSide {
		return false
	}
	lanes := c.isa.lanes
	s.inSize = roundUp(s.in, lanes)
	s.groups = split(s.out, groupResults)
	most := 0
	for _, g := range s.groups {
		most = max(most, g.hi-g.lo)
	}
	s.groupSize = roundUp(most, lanes)
	s.grid = newGrid(oh, ow, g.pads[0], g.pads[1], max(winogradFloats/(winogradArea*(s.inSize+s.groupSize)), fewTiles))
	grid := &s.grid
	s.whole = s.n*grid.blocks() == 1
	s.parts = min(2*c.threads-1, len(s.groups))
	s.sumStep = apart(most * s.inSize)
	perPart := 1
	if !s.whole {
		most := max(mostSums/(winogradArea*s.sumStep), 1) // groups
		s.parts = max(s.parts, (len(s.groups)+most-1)/most)
		perPart = (len(s.groups) + s.parts - 1) / s.parts
	}
	s.x, s.dy = c.planes(xv), c.planes(wv)
	s.y = c.newView(graph.Float32, []int{s.out, s.in, 3, 3})
	c.values[out] = s.y.permute([]int{1, 0, 2, 3}) // the order that a gradient has in the end
	s.columns = split(s.inSize/lanes, 3)
	s.pixels = table(winogradSide, grid.pixels()*s.inSize, s.inSize)
	s.imageStep = apart(grid.tiles() * s.inSize)
	s.images = steps(winogradArea, s.imageStep)
	s.resultIn = table(winogradTile, winogradTile*grid.width*s.groupSize, s.groupSize)
	s.resultStep = apart(grid.tiles() * s.groupSize)
	s.resultOut = steps(winogradArea, s.resultStep)
	s.places = steps(grid.tiles(), s.inSize)
	s.sums = steps(winogradArea, s.sumStep)
	s.gradients = steps(9, s.inSize)
	s.partSize = partSizes{
		max(apart(grid.lines()*grid.pixels()*s.inSize), apart(winogradTile*winogradTile*grid.tiles()*s.groupSize)),
		winogradArea * s.imageStep, winogradArea * s.resultStep, winogradArea * s.sumStep * perPart, apart(9 * s.inSize), winogradArea * lanes,
	}
	c.step(s)
	return true
}

// planes returns v's elements where they are if each image's follow each other in order.
func (c *compiler) planes(v *graph.Value) view {
	if x := c.view(v); x.strides[3] == 1 && x.strides[2] == x.shape[3] {
		return x
	}
	return c.denseOf(v)
}

func (s *winogradGrad) uses() (reads, writes []view) { return []view{s.x, s.dy}, []view{s.y} }

func (s *winogradGrad) scratch() int { return s.partSize.sum() }

func (s *winogradGrad) run(st *State) error {
	st.parallel(s.parts, s)
	return nil
}

func (s *winogradGrad) part(st *State, w *worker, i int) {
	groups := s.groups[i*len(s.groups)/s.parts : (i+1)*len(s.groups)/s.parts]
	set, g := st.plan.isa, &s.grid
	memory := s.partSize.cut(w.scratch)
	pixels, images, results, sums, between := memory[0], memory[1], memory[2], memory[3], memory[5]
	for image := range s.n {
		x := planar{st.floats(s.x)[image*s.x.strides[1]:], s.in, s.x.strides[0], s.ih, s.iw}
		for b := range g.blocks() {
			rows, cols := g.block(b)
			g.transform(set, &w.transform, &x, rows, cols, transforming{
				pixels: pixels, from: s.pixels, size: s.inSize, dst: images, to: s.images, between: between,
			})
			for k, group := range groups {
				dy := planar{st.floats(s.dy)[group.lo*s.dy.strides[0]+image*s.dy.strides[1]:], group.hi - group.lo, s.dy.strides[0], g.oh, g.ow}
				down, across := rows.hi-rows.lo, cols.hi-cols.lo
				line := winogradTile * g.width * s.groupSize
				dy.load(set, pixels, s.groupSize, winogradTile*rows.lo, winogradTile*cols.lo, winogradTile*down, winogradTile*g.width)
				for row := range down {
					w.transform = transformArgs{
						tiles: across, vectors: s.groupSize / set.lanes, src: &pixels[winogradTile*row*line], from: &s.resultIn[0],
						dst: &results[row*across*s.groupSize], to: &s.resultOut[0], between: &between[0], srcNext: 4 * (winogradTile - 1) * s.groupSize,
					}
					w.transform.run(set.transforms[winogradResultGrad])
				}
				mine := sums
				if !s.whole {
					mine = sums[k*winogradArea*s.sumStep:]
				}
				s.multiply(set, w, images, results, mine, down*across, group, image+b > 0)
				if image == s.n-1 && b == g.blocks()-1 {
					s.finish(st, w, mine, memory[4], between, group)
				}
			}
		}
	}
}

// multiply sets or adds to the sums of a group the products of so many tiles.
func (s *winogradGrad) multiply(set *isa, w *worker, images, results, sums []float32, tiles int, group span, add bool) {
	p := &w.product
	*p = productArgs{k: tiles, lda: 4, ka: 4 * s.groupSize, off: &s.places[:tiles][0], ldc: 4 * s.inSize, lo: negInf, hi: posInf}
	if add {
		p.add = 1
	}
	n := group.hi - group.lo
	for i := range winogradArea {
		from, a, c := images[i*s.imageStep:][:s.imageStep], results[i*s.resultStep:][:s.resultStep], sums[i*s.sumStep:][:s.sumStep]
		for _, column := range s.columns {
			p.b = &from[column.lo*set.lanes]
			for o := 0; o < n; o += set.rows {
				p.a, p.c = &a[o], &c[o*s.inSize+column.lo*set.lanes]
				p.run(set.product[min(n-o, set.rows)-1][column.hi-column.lo-1])
			}
		}
	}
}

// finish makes gradients of the sums of a group.
func (s *winogradGrad) finish(st *State, w *worker, sums, gradients, between []float32, group span) {
	y := st.floats(s.y)[group.lo*s.in*9:][:(group.hi-group.lo)*s.in*9]
	for o := range group.hi - group.lo {
		w.transform = transformArgs{
			tiles: 1, vectors: s.inSize / st.plan.isa.lanes, src: &sums[o*s.inSize], from: &s.sums[0],
			dst: &gradients[0], to: &s.gradients[0], between: &between[0],
		}
		w.transform.run(st.plan.isa.transforms[winogradKernelGrad])
		for ch := range s.in {
			to := (*[9]float32)(y[(o*s.in+ch)*9:])
			for k := range to {
				to[k] = gradients[k*s.inSize+ch]
			}
		}
	}
}
