//go:build !purego

package imageio

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg imageio"

func init() {
	if cpuid.CPU.Supports(cpuid.AVX2) {
		acrossRGB[3], acrossRGB[4], downColumns = across3AVX2, across4AVX2, downAVX2
	}
}
