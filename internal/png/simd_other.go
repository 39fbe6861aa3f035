//go:build !amd64 || purego

package png

var undoPaeths [5]func(dst, src, above *byte, pixels int)
