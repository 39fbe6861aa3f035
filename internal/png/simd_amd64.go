//go:build !purego

package png

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg png"

// undoPaeths are those of 1 to 4 channels, nil where there are none, and undoPairs those
// of two rows. They read up to 8 bytes from each pixel on, and write 4.
var undoPaeths, undoPairs = func() (f [5]func(dst, src, above *byte, pixels int), two [5]func(dst0, dst1, src0, src1, above *byte, pixels int)) {
	if cpuid.CPU.Supports(cpuid.AVX) {
		f[3], f[4], two[3], two[4] = paeth3AVX, paeth4AVX, paethPair3AVX, paethPair4AVX
	}
	return f, two
}()

// addBlocks adds blocks of 32 bytes to Adler-32's sums, 0 < blocks ≤ adlerBlocks; nil
// where there is nothing better than Go.
var addBlocks = func() func(p *byte, blocks int, a, b uint32) (uint32, uint32) {
	if cpuid.CPU.Supports(cpuid.AVX2) {
		return adlerAVX2
	}
	return nil
}()

// inflateCodes is nil where there is nothing better than Go.
var inflateCodes = func() codesFunc {
	if cpuid.CPU.Supports(cpuid.BMI2) {
		return inflateBMI2
	}
	return nil
}()
