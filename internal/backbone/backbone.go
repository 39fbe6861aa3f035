package backbone

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// Options say what a file leaves open.
type Options struct {
	// Taps are the names of tensors that features are taken from; none are the last
	// of strides 4, 8 and 16.
	Taps []string
	// Mean and Std are what pixels in [0,1] are normalised by, one number or three;
	// none are those that the file says, in its metadata or by its first operators,
	// or else ImageNet's.
	Mean, Std []float64
}

// A Backbone is a network in an ONNX file. It is not safe for concurrent use.
type Backbone struct {
	Hash          string   // SHA-256 of the file, with what it has in others, in hexadecimal
	Taps          []string // that features are taken from
	Channels      []int    // of the taps
	Step          int      // that the sides of images are multiples of, in pixels
	Height, Width int      // of the images, where the network takes no others; else 0
	Normalisation string   // in words: what pixels are normalised by, and who says so

	source  *onnx.Source
	input   onnx.Port
	last    bool // channels are the input's last dimension
	scale   [3]float64
	shift   [3]float64 // a pixel x in [0,1] becomes scale·x + shift
	weights map[string]*graph.Tensor
}

// ImageNet's, of pixels in [0,1]: what networks of torchvision and timm, and DINOv2, were trained with.
var (
	imageNetMean = []float64{.485, .456, .406}
	imageNetStd  = []float64{.229, .224, .225}
)

// probe are sides of images, the first that works is what taps are looked for at.
var probe = []int{256, 224, 224 / 14 * 16, 518, 384, 512}

// mostBytes is what weights beside a file may take.
const mostBytes = 4 << 30

// Open reads a file, and what weights it has in others beside it.
func Open(path string, o *Options) (*Backbone, error) {
	b, err := regular.Read(path)
	if err != nil {
		return nil, err
	}
	file, err := onnx.Read(b)
	if err == nil && file.Outside() != "" {
		if err = file.Gather(path, mostBytes); err == nil {
			b, err = file.Bytes()
		}
	}
	if err != nil {
		return nil, err
	}
	return read(file, onnx.Hash(b), o)
}

func read(file *onnx.File, hash string, o *Options) (*Backbone, error) {
	var err error
	k := &Backbone{Hash: hash, weights: map[string]*graph.Tensor{}}
	if len(file.Inputs) != 1 {
		return nil, fmt.Errorf("inputs: got %s, want one of images", onnx.Describe(file.Inputs))
	}
	k.input = file.Inputs[0]
	shape := k.input.Shape
	if len(shape) != 4 {
		return nil, fmt.Errorf("input %v: want images [N,3,H,W] or [N,H,W,3]", k.input)
	}
	k.last = shape[1] != 3 && shape[3] == 3
	if !k.last && shape[1] != 3 && shape[1] != graph.Dynamic {
		return nil, fmt.Errorf("input %v: want three channels, [N,3,H,W] or [N,H,W,3]", k.input)
	}
	if k.source, err = file.Opening(); err != nil {
		return nil, err
	}
	height, width := shape[2], shape[3]
	if k.last {
		height, width = shape[1], shape[2]
	}
	var found *found
	if height != graph.Dynamic && width != graph.Dynamic {
		if found, err = k.find(height, width, o.Taps); err != nil {
			return nil, err
		}
	} else {
		for _, side := range probe {
			of, failed := k.find(side, side, o.Taps)
			if failed == nil {
				found, height, width, err = of, side, side, nil
				break
			}
			if err == nil {
				err = failed
			}
		}
		if err != nil {
			return nil, err
		}
	}
	k.Step = found.step
	for _, t := range found.taps {
		k.Taps = append(k.Taps, t.value.Name())
		k.Channels = append(k.Channels, t.channels)
	}
	if err := k.normalise(file, found, o); err != nil {
		return nil, err
	}
	if _, _, err := k.For(height, width); err != nil {
		return nil, err
	}
	// A network that declares one size may take others: those whose shapes are not written into it.
	if other, err := k.find(height+2*k.Step, width+k.Step, k.Taps); err != nil || !slices.EqualFunc(other.taps, found.taps, func(a, b tap) bool { return a.channels == b.channels }) {
		k.Height, k.Width = height, width
	}
	return k, nil
}

// shapes are those of the inputs for one image.
func (k *Backbone) shapes(height, width int) map[string][]int {
	if k.last {
		return map[string][]int{k.input.Name: {1, height, width, 3}}
	}
	return map[string][]int{k.input.Name: {1, 3, height, width}}
}

// For returns the graph for images of a size, float32 [N,3,height,width] in [0,1],
// N dynamic, of which its outputs are the features [N,C,h,w] of the taps, and the
// values of its parameters. Graphs of several sizes share parameters that are equal.
func (k *Backbone) For(height, width int) (*graph.Graph, map[string]*graph.Tensor, error) {
	if k.Height > 0 && (height != k.Height || width != k.Width) {
		return nil, nil, fmt.Errorf("images: got %dx%d, want %dx%d: the network takes no others", width, height, k.Width, k.Height)
	}
	f, err := k.find(height, width, k.Taps)
	if err != nil {
		return nil, nil, err
	}
	g := graph.New("backbone")
	weights := map[string]*graph.Tensor{}
	param := func(name string, t *graph.Tensor) *graph.Value {
		name = "backbone." + name
		if old := k.weights[name]; old != nil && !equal(old, t) {
			name = fmt.Sprintf("%s.%dx%d", name, width, height)
		}
		for k.weights[name] != nil && !equal(k.weights[name], t) {
			name += "+"
		}
		k.weights[name], weights[name] = t, t
		if v := g.Lookup(name); v != nil {
			return v
		}
		return g.Param(name, t.Shape()...)
	}
	x := g.Input("x", graph.Float32, graph.Dynamic, 3, height, width)
	perChannel := func(name string, of [3]float64, same float64, op func(a, b *graph.Value) *graph.Value) {
		if of != [3]float64{same, same, same} {
			x = op(x, param(name, graph.NewTensor([]float32{float32(of[0]), float32(of[1]), float32(of[2])}, 3, 1, 1)))
		}
	}
	perChannel("scale", k.scale, 1, graph.Mul)
	perChannel("shift", k.shift, 0, graph.Add)
	if k.last {
		x = graph.Transpose(x, 0, 2, 3, 1)
	}
	var values []*graph.Value
	for _, t := range f.taps {
		values = append(values, t.value)
	}
	l := &lifting{to: g, leaf: func(v *graph.Value, asConstant bool) *graph.Value {
		t := v.Const()
		switch {
		case t == nil:
			return g.Const("", graph.Zeros(v.DType, 0)) // refused by whoever gets it
		case t.DType() == graph.Float32 && len(t.Shape()) == 0:
			return g.Scalar(float64(graph.Data[float32](t)[0]))
		case t.DType() == graph.Float32 && !asConstant:
			return param(v.Name(), t)
		}
		return g.Const("", t)
	}}
	values, err = l.lift(f.image, x, values)
	if err != nil {
		return nil, nil, err
	}
	for i, t := range f.taps {
		v := values[i]
		switch {
		case t.tokens: // [N,T,C]
			v = graph.SliceAxis(v, 1, t.value.Dim(1)-t.height*t.width, t.value.Dim(1), 1)
			v = graph.Reshape(graph.Transpose(v, 0, 2, 1), 0, t.channels, t.height, t.width)
		case t.last:
			v = graph.Transpose(v, 0, 3, 1, 2)
		}
		g.Output(fmt.Sprintf("tap%d", i), v)
	}
	return g, weights, g.Err()
}

func equal(a, b *graph.Tensor) bool {
	return a == b || slices.Equal(a.Shape(), b.Shape()) && slices.Equal(graph.Data[float32](a), graph.Data[float32](b))
}

// list names the last of so many names.
func list(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		names = append(slices.Clone(names[len(names)-most:]), fmt.Sprintf("%d before", more))
	}
	return strings.Join(names, ", ")
}
