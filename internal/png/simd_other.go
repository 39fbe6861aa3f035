//go:build !amd64 || purego

package png

var (
	undoPaeths [5]func(dst, src, above *byte, pixels int)
	addBlocks  func(p *byte, blocks int, a, b uint32) (uint32, uint32)
)
