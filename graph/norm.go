package graph

import "slices"

// The normalisations are made of primitives, so that their gradients follow
// from those, through the statistics too. All divide by √(variance + eps); the
// variance is the mean square deviation (divided by the number of elements, not
// by one less), as ONNX and PyTorch normalise with. scale and bias may be nil:
// 1 and 0.

// moments returns the mean and the variance of x over the axes, which stay as 1.
func moments(x *Value, axes ...int) (centred, mean, variance *Value) {
	mean = ReduceMean(x, true, axes...)
	centred = Sub(x, mean)
	return centred, mean, ReduceMean(Square(centred), true, axes...)
}

// standardize divides by the standard deviation.
func standardize(centred, variance *Value, eps float64) *Value {
	return Div(centred, Sqrt(Add(variance, centred.g.Scalar(eps))))
}

// perChannel gives v [C] the shape [C,1,…] that broadcasts to x [N,C,…].
func perChannel(v, x *Value) *Value {
	shape := slices.Repeat([]int{1}, max(x.Rank()-1, 1))
	shape[0] = -1
	return Reshape(v, shape...)
}

// affine returns x·scale + bias; either may be nil.
func affine(x, scale, bias *Value) *Value {
	if scale != nil {
		x = Mul(x, scale)
	}
	if bias != nil {
		x = Add(x, bias)
	}
	return x
}

func affineChannels(x, scale, bias *Value) *Value {
	if scale != nil {
		scale = perChannel(scale, x)
	}
	if bias != nil {
		bias = perChannel(bias, x)
	}
	return affine(x, scale, bias)
}

// BatchNorm normalises each channel of x [N,C,…] over the batch and all places,
// then multiplies by scale [C] and adds bias [C] (Ioffe and Szegedy,
// arXiv:1502.03167, algorithm 1): what training runs. It also returns the
// channels' mean and variance [C], from which the caller keeps running averages
// for [BatchNormInference]. (PyTorch's average is of the variance times n/(n-1),
// n elements per channel.)
func BatchNorm(x, scale, bias *Value, eps float64) (y, mean, variance *Value) {
	axes := []int{0}
	for i := 2; i < x.Rank(); i++ {
		axes = append(axes, i)
	}
	centred, mean, variance := moments(x, axes...)
	y = affineChannels(standardize(centred, variance, eps), scale, bias)
	return y, Reshape(mean, -1), Reshape(variance, -1)
}

// BatchNormInference normalises each channel of x [N,C,…] by a mean [C] and a
// variance [C] that do not depend on x (same paper, algorithm 2).
func BatchNormInference(x, scale, bias, mean, variance *Value, eps float64) *Value {
	centred := Sub(x, perChannel(mean, x))
	return affineChannels(standardize(centred, perChannel(variance, x), eps), scale, bias)
}

// InstanceNorm normalises each channel of each image of x [N,C,…] over its
// places; scale and bias are [C] (Ulyanov et al., arXiv:1607.08022, equation 4).
func InstanceNorm(x, scale, bias *Value, eps float64) *Value {
	var axes []int
	for i := 2; i < x.Rank(); i++ {
		axes = append(axes, i)
	}
	if axes == nil {
		return x.g.fail("InstanceNorm: got %v, want [N,C,…]", x.Type)
	}
	centred, _, variance := moments(x, axes...)
	return affineChannels(standardize(centred, variance, eps), scale, bias)
}

// GroupNorm normalises each of the groups that the channels of an image of x
// [N,C,…] fall into, over their channels and places; scale and bias are [C]
// (Wu and He, arXiv:1803.08494, equation 7).
func GroupNorm(x *Value, groups int, scale, bias *Value, eps float64) *Value {
	if x.Rank() < 2 || groups < 1 || x.Shape[1]%groups != 0 {
		return x.g.fail("GroupNorm: got %v in %d groups", x.Type, groups)
	}
	centred, _, variance := moments(Reshape(x, 0, groups, -1), 2)
	return affineChannels(reshapeLike(standardize(centred, variance, eps), x), scale, bias)
}

// LayerNorm normalises x over its dimensions from axis on; scale and bias are of
// the shape of those (Ba et al., arXiv:1607.06450, equation 4).
func LayerNorm(x *Value, axis int, scale, bias *Value, eps float64) *Value {
	axis, err := normAxis(axis, x.Rank())
	if err != nil {
		return x.g.fail("LayerNorm: %v", err)
	}
	var axes []int
	for i := axis; i < x.Rank(); i++ {
		axes = append(axes, i)
	}
	centred, _, variance := moments(x, axes...)
	return affine(standardize(centred, variance, eps), scale, bias)
}
