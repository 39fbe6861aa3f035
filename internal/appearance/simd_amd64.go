//go:build !purego

package appearance

import "github.com/klauspost/cpuid/v2"

//go:generate sh -c "cd _asm && go run . -out ../simd_amd64.s -stubs ../stubs_amd64.go -pkg appearance"

func init() {
	if cpuid.CPU.Supports(cpuid.AVX2) {
		totalBlocks, laplacianBlocks = totalAVX2, laplacianAVX2
	}
}
