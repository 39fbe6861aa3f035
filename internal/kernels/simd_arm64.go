//go:build !purego

package kernels

// instructionSets lists those that this processor has, the best first: every arm64 has NEON.
func instructionSets() []*isa { return []*isa{neon, portable} }

var neon = func() *isa {
	set := *portable
	set.name, set.lanes, set.rows, set.dotRows, set.dotCols = "neon", 4, 8, 4, 4
	set.product = [][3]func(*byte){
		{product1x1NEON, product1x2NEON, product1x3NEON},
		{product2x1NEON, product2x2NEON, product2x3NEON},
		{product3x1NEON, product3x2NEON, product3x3NEON},
		{product4x1NEON, product4x2NEON, product4x3NEON},
		{product5x1NEON, product5x2NEON, product5x3NEON},
		{product6x1NEON, product6x2NEON, product6x3NEON},
		{product7x1NEON, product7x2NEON, product7x3NEON},
		{product8x1NEON, product8x2NEON, product8x3NEON},
	}
	set.dot = [][]func(*byte){
		{dot1x1NEON, dot1x2NEON, dot1x3NEON, dot1x4NEON},
		{dot2x1NEON, dot2x2NEON, dot2x3NEON, dot2x4NEON},
		{dot3x1NEON, dot3x2NEON, dot3x3NEON, dot3x4NEON},
		{dot4x1NEON, dot4x2NEON, dot4x3NEON, dot4x4NEON},
	}
	set.gather = gathering(4)
	set.pairMax, set.pairAdd, set.zip = pairMaxNEON, pairAddNEON, zipNEON
	for op, f := range map[opcode]func(dst, a, b, c *float32, n int){
		opAdd:            addNEON,
		opSub:            subNEON,
		opMul:            mulNEON,
		opDiv:            divNEON,
		opMax:            maxNEON,
		opMin:            minNEON,
		opGreater:        greaterNEON,
		opGreaterOrEqual: greaterOrEqualNEON,
		opEqual:          equalNEON,
		opWhere:          whereNEON,
		opRelu:           reluNEON,
		opSqrt:           sqrtNEON,
		opAbs:            absNEON,
		opNeg:            negNEON,
	} {
		set.each[op] = f
	}
	return &set
}()

//go:noescape
func product1x1NEON(p *byte)

//go:noescape
func product1x2NEON(p *byte)

//go:noescape
func product1x3NEON(p *byte)

//go:noescape
func product2x1NEON(p *byte)

//go:noescape
func product2x2NEON(p *byte)

//go:noescape
func product2x3NEON(p *byte)

//go:noescape
func product3x1NEON(p *byte)

//go:noescape
func product3x2NEON(p *byte)

//go:noescape
func product3x3NEON(p *byte)

//go:noescape
func product4x1NEON(p *byte)

//go:noescape
func product4x2NEON(p *byte)

//go:noescape
func product4x3NEON(p *byte)

//go:noescape
func product5x1NEON(p *byte)

//go:noescape
func product5x2NEON(p *byte)

//go:noescape
func product5x3NEON(p *byte)

//go:noescape
func product6x1NEON(p *byte)

//go:noescape
func product6x2NEON(p *byte)

//go:noescape
func product6x3NEON(p *byte)

//go:noescape
func product7x1NEON(p *byte)

//go:noescape
func product7x2NEON(p *byte)

//go:noescape
func product7x3NEON(p *byte)

//go:noescape
func product8x1NEON(p *byte)

//go:noescape
func product8x2NEON(p *byte)

//go:noescape
func product8x3NEON(p *byte)

//go:noescape
func dot1x1NEON(p *byte)

//go:noescape
func dot1x2NEON(p *byte)

//go:noescape
func dot1x3NEON(p *byte)

//go:noescape
func dot1x4NEON(p *byte)

//go:noescape
func dot2x1NEON(p *byte)

//go:noescape
func dot2x2NEON(p *byte)

//go:noescape
func dot2x3NEON(p *byte)

//go:noescape
func dot2x4NEON(p *byte)

//go:noescape
func dot3x1NEON(p *byte)

//go:noescape
func dot3x2NEON(p *byte)

//go:noescape
func dot3x3NEON(p *byte)

//go:noescape
func dot3x4NEON(p *byte)

//go:noescape
func dot4x1NEON(p *byte)

//go:noescape
func dot4x2NEON(p *byte)

//go:noescape
func dot4x3NEON(p *byte)

//go:noescape
func dot4x4NEON(p *byte)

//go:noescape
func addNEON(dst, a, b, c *float32, n int)

//go:noescape
func subNEON(dst, a, b, c *float32, n int)

//go:noescape
func mulNEON(dst, a, b, c *float32, n int)

//go:noescape
func divNEON(dst, a, b, c *float32, n int)

//go:noescape
func maxNEON(dst, a, b, c *float32, n int)

//go:noescape
func minNEON(dst, a, b, c *float32, n int)

//go:noescape
func greaterNEON(dst, a, b, c *float32, n int)

//go:noescape
func greaterOrEqualNEON(dst, a, b, c *float32, n int)

//go:noescape
func equalNEON(dst, a, b, c *float32, n int)

//go:noescape
func whereNEON(dst, a, b, c *float32, n int)

//go:noescape
func reluNEON(dst, a, b, c *float32, n int)

//go:noescape
func sqrtNEON(dst, a, b, c *float32, n int)

//go:noescape
func absNEON(dst, a, b, c *float32, n int)

//go:noescape
func negNEON(dst, a, b, c *float32, n int)

//go:noescape
func pairMaxNEON(dst, a, b *float32, n int)

//go:noescape
func pairAddNEON(dst, a, b *float32, n int)

//go:noescape
func zipNEON(dst, a, b *float32, n int)
