//go:build !amd64 || purego

package png

var (
	undoPaeths [5]func(dst, src, above *byte, pixels int)
	undoPairs  [5]func(dst0, dst1, src0, src1, above *byte, pixels int)
	addBlocks  func(p *byte, blocks int, a, b uint32) (uint32, uint32)

	inflateCodes codesFunc
)
