package backbone

import (
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
)

// strides are those that features are taken at where nobody names taps.
var strides = []int{4, 8, 16}

const (
	align                 = 16 // what sides are multiples of, if no patch is larger
	mostExtra             = 8  // tokens that stand for no patch, at the front: of the class, registers
	leastPatch, mostPatch = 5, 64
	mostNamed             = 12 // tensors that an error lists
)

// A tap is a tensor that features are taken from, as a file has it for one image.
type tap struct {
	value         *graph.Value
	channels      int
	height, width int  // of its grid
	last          bool // [1,h,w,C]
	tokens        bool // [1,T,C], the last height·width of T tokens being the patches row by row
}

// found is a network for images of one size.
type found struct {
	image *graph.Value
	all   []*graph.Value // that nodes give
	taps  []tap
	step  int
}

// find reads the file for images of a size, up to the taps of the given names, or of
// those that serve.
func (k *Backbone) find(height, width int, names []string) (*found, error) {
	p, err := k.source.Beginning(k.shapes(height, width))
	if err != nil {
		return nil, err
	}
	f := &found{image: p.Inputs[0], step: align}
	if f.image.DType != graph.Float32 {
		return nil, fmt.Errorf("input %v: want float32 or half precision", k.input)
	}
	f.all = p.Values
	patch := f.patch(height, width)
	if patch > 0 && align%patch != 0 {
		f.step = patch
	}
	if names == nil {
		f.pick(height, width, patch)
		if len(f.taps) == 0 {
			return nil, fmt.Errorf("got no tensor at strides 4, 8 or 16 and no tokens of patches, want some: name tensors of [N,C,h,w]%s", k.candidates(f, height, width, p))
		}
		return f, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(f.all, func(v *graph.Value) bool { return v.Name() == name })
		if i < 0 {
			return nil, fmt.Errorf("tap %q: the network has no such tensor%s", name, k.candidates(f, height, width, p))
		}
		v := f.all[i]
		t, ok := grid(v, height, width, 0)
		if !ok || v.DType != graph.Float32 {
			return nil, fmt.Errorf("tap %q: got %v for an image of %dx%d, want a map [1,C,h,w] or [1,h,w,C], or tokens [1,T,C] of its patches", name, v.Type, width, height)
		}
		f.taps = append(f.taps, t)
	}
	return f, nil
}

// candidates lists what could be a tap, and what kept the file from being read to its end.
func (k *Backbone) candidates(f *found, height, width int, p *onnx.Beginning) string {
	var names []string
	for _, v := range f.all {
		if t, ok := grid(v, height, width, 0); ok && v.DType == graph.Float32 {
			names = append(names, fmt.Sprintf("%q [%d,%d,%d]", v.Name(), t.channels, t.height, t.width))
		}
	}
	s := fmt.Sprintf("; of an image of %dx%d it has %s", width, height, list(names, mostNamed))
	if len(names) == 0 {
		s = ""
	}
	if p.Stopped != nil {
		s += fmt.Sprintf("; what follows cannot be read: %v", p.Stopped)
	}
	return s
}

// grid reads a tensor as features of a grid of places at a stride, or at any if 0.
func grid(v *graph.Value, height, width, stride int) (tap, bool) {
	t := tap{value: v}
	fits := func(h, w int) bool {
		if h < 2 || w < 2 {
			return false
		}
		if stride > 0 {
			return near(height, stride, h) && near(width, stride, w)
		}
		for s := 1; s <= mostPatch; s++ {
			if near(height, s, h) && near(width, s, w) {
				return true
			}
		}
		return false
	}
	switch s := v.Shape; {
	case len(s) == 4 && s[0] == 1 && fits(s[2], s[3]):
		t.channels, t.height, t.width = s[1], s[2], s[3]
		return t, true
	case len(s) == 4 && s[0] == 1 && fits(s[1], s[2]):
		t.channels, t.height, t.width, t.last = s[3], s[1], s[2], true
		return t, true
	case len(s) == 3 && s[0] == 1:
		first, end := stride, stride
		if stride == 0 {
			first, end = 2, mostPatch
		}
		for p := first; p <= end; p++ {
			h, w := height/p, width/p
			if extra := s[1] - h*w; h > 1 && w > 1 && extra >= 0 && extra <= mostExtra {
				t.channels, t.height, t.width, t.tokens = s[2], h, w, true
				return t, true
			}
		}
	}
	return t, false
}

// near reports whether so many places may be those of a side at a stride.
func near(side, stride, places int) bool {
	return places == side/stride || places == (side+stride-1)/stride
}

// patch returns the side of the patches that the image is cut into by its first
// convolution, 0 where it is not.
func (f *found) patch(height, width int) int {
	for _, v := range f.all {
		n := v.Node()
		if n == nil || n.Op != "Conv" {
			continue
		}
		kernel, s := n.Inputs[1].Dim(3), n.Ints("strides")
		if len(s) == 2 && s[0] == s[1] && int(s[0]) == kernel && kernel >= leastPatch && kernel <= mostPatch {
			return kernel
		}
		return 0
	}
	return 0
}

// pick takes, at each stride, the last sum of a residual block, behind its
// activation; where there is none the last tensor; of tokens always the latter,
// behind the last normalisation.
func (f *found) pick(height, width, patch int) {
	nodes := f.image.Graph().Nodes(f.all...)
	depends := map[*graph.Value]bool{f.image: true}
	for _, n := range nodes {
		if slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool { return depends[v] }) {
			for _, v := range n.Outputs {
				depends[v] = true
			}
		}
	}
	users := graph.Users(nodes)
	at := slices.Clone(strides)
	if patch > 0 && !slices.Contains(at, patch) {
		at = append(at, patch)
	}
	for _, stride := range at {
		var last, sum *tap
		channels := 0 // of tokens, the first
		for _, v := range f.all {
			if !depends[v] || v.DType != graph.Float32 {
				continue
			}
			t, ok := grid(v, height, width, stride)
			if !ok || t.channels < 4 {
				continue
			}
			if t.tokens {
				if channels == 0 {
					channels = t.channels
				}
				if t.channels != channels {
					continue
				}
			}
			last = &t
			if n := v.Node(); n.Op == "Add" && depends[n.Inputs[0]] && depends[n.Inputs[1]] {
				sum = &t
			} else if n.Op == "Relu" && sum != nil && n.Inputs[0] == sum.value && len(users[sum.value]) == 1 {
				sum = &t
			}
		}
		switch {
		case sum != nil && !last.tokens:
			f.taps = append(f.taps, *sum)
		case last != nil:
			f.taps = append(f.taps, *last)
		}
	}
}
