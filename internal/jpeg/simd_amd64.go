//go:build !purego

package jpeg

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg jpeg"

func init() {
	if cpuid.CPU.Supports(cpuid.AVX2) {
		splitBlocks, transformBlocks = splitAVX2, transformAVX2
	}
}
