//go:build !purego

package kernels

import "github.com/klauspost/cpuid/v2"

// instructionSets lists those that this processor has, the best first.
func instructionSets() []*isa {
	sets := []*isa{portable}
	if cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3) {
		sets = append([]*isa{avx2}, sets...)
	}
	if cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL) {
		sets = append([]*isa{avx512}, sets...)
	}
	return sets
}

var avx2 = &isa{
	name: "avx2", lanes: 8, rows: 4, dotRows: 3, dotCols: 4,
	product: [][3]func(*byte){
		{product1x1AVX2, product1x2AVX2, product1x3AVX2},
		{product2x1AVX2, product2x2AVX2, product2x3AVX2},
		{product3x1AVX2, product3x2AVX2, product3x3AVX2},
		{product4x1AVX2, product4x2AVX2, product4x3AVX2},
	},
	dot: [][]func(*byte){
		{dot1x1AVX2, dot1x2AVX2, dot1x3AVX2, dot1x4AVX2},
		{dot2x1AVX2, dot2x2AVX2, dot2x3AVX2, dot2x4AVX2},
		{dot3x1AVX2, dot3x2AVX2, dot3x3AVX2, dot3x4AVX2},
	},
	gather: gatherAVX2, sum: sumAVX2, highest: highestAVX2,
	pairMax: pairMaxAVX2, pairAdd: pairAddAVX2, zip: zipAVX2, widen: widenAVX2, transpose: transposeAVX2,
	transforms: [lastTransform]func(*byte){
		winogradImage:      winogradImageAVX2,
		winogradResult:     winogradResultAVX2,
		winogradKernel:     winogradKernelAVX2,
		winogradResultGrad: winogradResultGradAVX2,
		winogradKernelGrad: winogradKernelGradAVX2,
	},
	each: [lastSIMD]func(dst, a, b, c *float32, n int){
		opAdd:            addAVX2,
		opSub:            subAVX2,
		opMul:            mulAVX2,
		opDiv:            divAVX2,
		opMax:            maxAVX2,
		opMin:            minAVX2,
		opGreater:        greaterAVX2,
		opGreaterOrEqual: greaterOrEqualAVX2,
		opEqual:          equalAVX2,
		opWhere:          whereAVX2,
		opRelu:           reluAVX2,
		opSqrt:           sqrtAVX2,
		opAbs:            absAVX2,
		opNeg:            negAVX2,
		opExp:            expAVX2,
		opSigmoid:        sigmoidAVX2,
		opTanh:           tanhAVX2,
	},
}

var avx512 = &isa{
	name: "avx512", lanes: 16, rows: 8, dotRows: 4, dotCols: 6,
	product: [][3]func(*byte){
		{product1x1AVX512, product1x2AVX512, product1x3AVX512},
		{product2x1AVX512, product2x2AVX512, product2x3AVX512},
		{product3x1AVX512, product3x2AVX512, product3x3AVX512},
		{product4x1AVX512, product4x2AVX512, product4x3AVX512},
		{product5x1AVX512, product5x2AVX512, product5x3AVX512},
		{product6x1AVX512, product6x2AVX512, product6x3AVX512},
		{product7x1AVX512, product7x2AVX512, product7x3AVX512},
		{product8x1AVX512, product8x2AVX512, product8x3AVX512},
	},
	dot: [][]func(*byte){
		{dot1x1AVX512, dot1x2AVX512, dot1x3AVX512, dot1x4AVX512, dot1x5AVX512, dot1x6AVX512},
		{dot2x1AVX512, dot2x2AVX512, dot2x3AVX512, dot2x4AVX512, dot2x5AVX512, dot2x6AVX512},
		{dot3x1AVX512, dot3x2AVX512, dot3x3AVX512, dot3x4AVX512, dot3x5AVX512, dot3x6AVX512},
		{dot4x1AVX512, dot4x2AVX512, dot4x3AVX512, dot4x4AVX512, dot4x5AVX512, dot4x6AVX512},
	},
	gather: gatherAVX512, sum: sumAVX512, highest: highestAVX512,
	pairMax: pairMaxAVX512, pairAdd: pairAddAVX512, zip: zipAVX512, widen: widenAVX512, transpose: transposeAVX2,
	transforms: [lastTransform]func(*byte){
		winogradImage:      winogradImageAVX512,
		winogradResult:     winogradResultAVX512,
		winogradKernel:     winogradKernelAVX512,
		winogradResultGrad: winogradResultGradAVX512,
		winogradKernelGrad: winogradKernelGradAVX512,
	},
	each: [lastSIMD]func(dst, a, b, c *float32, n int){
		opAdd:            addAVX512,
		opSub:            subAVX512,
		opMul:            mulAVX512,
		opDiv:            divAVX512,
		opMax:            maxAVX512,
		opMin:            minAVX512,
		opGreater:        greaterAVX512,
		opGreaterOrEqual: greaterOrEqualAVX512,
		opEqual:          equalAVX512,
		opWhere:          whereAVX512,
		opRelu:           reluAVX512,
		opSqrt:           sqrtAVX512,
		opAbs:            absAVX512,
		opNeg:            negAVX512,
		opExp:            expAVX512,
		opSigmoid:        sigmoidAVX512,
		opTanh:           tanhAVX512,
	},
}
