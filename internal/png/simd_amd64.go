//go:build !purego

package png

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg png"

// undoPaeths are those of 1 to 4 channels, nil where there are none. They read up
// to 8 bytes from each pixel on, and write 4.
var undoPaeths = func() (f [5]func(dst, src, above *byte, pixels int)) {
	if cpuid.CPU.Supports(cpuid.AVX) {
		f[3], f[4] = paeth3AVX, paeth4AVX
	}
	return f
}()
