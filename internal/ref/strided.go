package ref

import "fmt"

// strides returns the distance between neighbours along each axis of a dense
// row-major array.
func strides(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		s[i] = step
		step *= shape[i]
	}
	return s
}

// broadcast returns the shape that the given ones have together (ONNX, Multidirectional Broadcasting).
func broadcast(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	out := make([]int, rank)
	for i := range out {
		out[i] = 1
	}
	for _, s := range shapes {
		for i, d := range s {
			at := &out[rank-len(s)+i]
			if d != *at && d != 1 && *at != 1 {
				return nil, fmt.Errorf("shapes %v do not broadcast", shapes)
			}
			if *at == 1 {
				*at = d
			}
		}
	}
	return out, nil
}

// broadcastStrides returns the strides with which a dense array of one shape is
// read at each element of another that it broadcasts to: 0 along repeated axes.
func broadcastStrides(shape, to []int) []int {
	s := make([]int, len(to))
	lead := len(to) - len(shape)
	for i, step := range strides(shape) {
		if shape[i] != 1 {
			s[lead+i] = step
		}
	}
	return s
}

// walk visits the elements of a dense array of the given shape in row-major
// order, a run at a time: n elements from dst on, which lie side by side with
// at[k], at[k]+step[k], … of operand k, whose strides are operands[k]. Axes that
// are contiguous in all operands are one run.
func walk(shape []int, operands [][]int, visit func(dst, n int, at, step []int)) {
	var dims []int
	at, step := make([]int, len(operands)), make([]int, len(operands))
	steps := make([][]int, len(operands)) // by operand, by merged axis
	for i, d := range shape {
		if d == 0 {
			return
		}
		if d == 1 {
			continue
		}
		last := len(dims) - 1
		merge := last >= 0
		for k, s := range operands {
			merge = merge && steps[k][last] == s[i]*d
		}
		if merge {
			dims[last] *= d
		} else {
			dims = append(dims, d)
			last++
		}
		for k, s := range operands {
			if merge {
				steps[k][last] = s[i]
			} else {
				steps[k] = append(steps[k], s[i])
			}
		}
	}
	if len(dims) == 0 {
		visit(0, 1, at, step)
		return
	}
	inner := len(dims) - 1
	for k := range step {
		step[k] = steps[k][inner]
	}
	index := make([]int, inner)
	for dst := 0; ; dst += dims[inner] {
		visit(dst, dims[inner], at, step)
		i := inner - 1
		for ; i >= 0; i-- {
			index[i]++
			for k := range at {
				at[k] += steps[k][i]
			}
			if index[i] < dims[i] {
				break
			}
			for k := range at {
				at[k] -= index[i] * steps[k][i]
			}
			index[i] = 0
		}
		if i < 0 {
			return
		}
	}
}
