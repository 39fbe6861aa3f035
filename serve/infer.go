package serve

import (
	"context"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/runtime"
)

// Tensors that every model is asked with, and answers with, whatever its file has.
const (
	inputPixels = "input" // UINT8 [N,H,W,C]: RGB or grey, of the model's size
	inputFiles  = "image" // BYTES [N]: encoded images of any size

	outputScore = "pred_score"  // FP32 [N]
	outputLabel = "pred_label"  // BOOL [N]
	outputMap   = "anomaly_map" // FP32 [N,1,H,W]
	outputMask  = "pred_mask"   // BOOL [N,1,H,W]
)

// Data types of the protocol that are used.
const (
	typeUint8 = "UINT8"
	typeBytes = "BYTES"
	typeFP32  = "FP32"
	typeBool  = "BOOL"
)

// A signature is a tensor of a model: -1 is any size.
type signature struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// signatures returns what a model takes, one of the inputs at a time, and gives.
func signatures(i *runtime.ModelInfo) (inputs, outputs []signature) {
	open := func(n int) int64 {
		if n == 0 {
			return -1
		}
		return int64(n)
	}
	inputs = []signature{
		{inputPixels, typeUint8, []int64{-1, open(i.Height), open(i.Width), int64(i.Channels)}},
		{inputFiles, typeBytes, []int64{-1}},
	}
	outputs = []signature{{outputScore, typeFP32, []int64{-1}}}
	if i.Judges {
		outputs = append(outputs, signature{outputLabel, typeBool, []int64{-1}})
	}
	if i.Maps {
		shape := []int64{-1, 1, open(i.MapHeight), open(i.MapWidth)}
		outputs = append(outputs, signature{outputMap, typeFP32, shape})
		if i.PixelThreshold != nil {
			outputs = append(outputs, signature{outputMask, typeBool, shape})
		}
	}
	return inputs, outputs
}

// A tensor is one of a request or an answer: its values are row-major.
type tensor struct {
	signature
	bytes    []uint8   // of UINT8
	elements [][]byte  // of BYTES
	floats   []float32 // of FP32
	bools    []bool    // of BOOL
}

// An inference is a request to infer, in either protocol.
type inference struct {
	model, version, id string
	input              tensor
	outputs            []string // none: all
}

// An inferred is what is answered.
type inferred struct {
	version string
	outputs []tensor
}

// size checks a shape against the number of values that came with it, and returns
// how many images it is about.
func (t *tensor) size(values int, most int) (int, error) {
	n, product := int64(0), int64(1)
	for i, d := range t.Shape {
		if d < 0 || d > 0 && product > math.MaxInt32/d {
			return 0, fmt.Errorf("%w: tensor %q: shape %v", ErrInput, t.Name, t.Shape)
		}
		if product *= d; i == 0 {
			n = d
		}
	}
	if len(t.Shape) == 0 || product != int64(values) {
		return 0, fmt.Errorf("%w: tensor %q: got %d values, want those of shape %v", ErrInput, t.Name, values, t.Shape)
	}
	if n < 1 || n > int64(most) {
		return 0, fmt.Errorf("%w: tensor %q: got %d images, want 1 to %d", ErrInput, t.Name, n, most)
	}
	return int(n), nil
}

// infer answers a request that has been let in.
func (s *Server) infer(ctx context.Context, q *inference) (*inferred, error) {
	job, err := s.begin(ctx, q.model, q.version)
	if err != nil {
		return nil, err
	}
	defer job.end()
	info := &job.loaded.info
	_, given := signatures(info)
	wanted := q.outputs
	if len(wanted) == 0 {
		for _, o := range given {
			wanted = append(wanted, o.Name)
		}
	}
	for _, name := range wanted {
		if !slices.ContainsFunc(given, func(o signature) bool { return o.Name == name }) {
			return nil, fmt.Errorf("%w: model %s gives no output %.128q", ErrInput, q.model, name)
		}
	}

	var pics []*picture
	switch t := &q.input; {
	case t.Name == inputFiles && t.Datatype == typeBytes:
		n, err := t.size(len(t.elements), s.options.MaxImages)
		if err != nil {
			return nil, err
		}
		if len(t.Shape) > 2 || len(t.Shape) == 2 && t.Shape[1] != 1 {
			return nil, fmt.Errorf("%w: tensor %q: got shape %v, want [%d]", ErrInput, t.Name, t.Shape, n)
		}
		for i, file := range t.elements {
			pics = append(pics, &picture{name: fmt.Sprintf("%s %d", inputFiles, i), file: file})
		}
	case t.Name == inputPixels && t.Datatype == typeUint8:
		if pics, err = s.pixels(t, info); err != nil {
			return nil, err
		}
	case t.Name == inputFiles || t.Name == inputPixels:
		return nil, fmt.Errorf("%w: tensor %q: got %.32s, want %s in %q or %s in %q",
			ErrInput, t.Name, t.Datatype, typeUint8, inputPixels, typeBytes, inputFiles)
	default:
		return nil, fmt.Errorf("%w: got input %.128q, want %q (%s [N,H,W,C]) or %q (%s [N], encoded files)",
			ErrInput, t.Name, inputPixels, typeUint8, inputFiles, typeBytes)
	}
	if err := job.detect(ctx, pics, false); err != nil {
		return nil, err
	}
	a := &inferred{version: job.loaded.name}
	for _, name := range wanted {
		t, err := gather(name, pics)
		if err != nil {
			return nil, err
		}
		a.outputs = append(a.outputs, t)
	}
	return a, nil
}

// pixels returns the images of a tensor of pixels.
func (s *Server) pixels(t *tensor, info *runtime.ModelInfo) ([]*picture, error) {
	n, err := t.size(len(t.bytes), s.options.MaxImages)
	if err != nil {
		return nil, err
	}
	want := []int64{int64(n), int64(info.Height), int64(info.Width), int64(info.Channels)}
	if len(t.Shape) == 4 && info.Height == 0 {
		want[1], want[2] = t.Shape[1], t.Shape[2]
	}
	if !slices.Equal(t.Shape, want) {
		return nil, fmt.Errorf("%w: tensor %q: got shape %v, want %v", ErrInput, t.Name, t.Shape, want)
	}
	height, width := int(want[1]), int(want[2])
	if height < 1 || width < 1 || height > s.options.MaxPixels/width {
		return nil, fmt.Errorf("%w: tensor %q: got images of %dx%d, want 1 to %d pixels", ErrInput, t.Name, width, height, s.options.MaxPixels)
	}
	pics := make([]*picture, n)
	size := len(t.bytes) / n
	for i := range pics {
		pics[i] = &picture{
			name: fmt.Sprintf("%s %d", inputPixels, i), size: image.Pt(width, height),
			pixels: t.bytes[i*size : (i+1)*size], height: height, width: width, channels: info.Channels,
		}
	}
	return pics, nil
}

// gather makes an output of what was found in images.
func gather(name string, pics []*picture) (tensor, error) {
	n := int64(len(pics))
	t := tensor{signature: signature{Name: name, Shape: []int64{n}}}
	for _, p := range pics {
		if p.err != nil {
			return t, fmt.Errorf("%s: %w", p.name, p.err)
		}
		r := &p.result
		switch name {
		case outputScore:
			t.Datatype, t.floats = typeFP32, append(t.floats, r.Score)
		case outputLabel:
			t.Datatype, t.bools = typeBool, append(t.bools, r.Anomalous)
		default:
			t.Shape = []int64{n, 1, int64(r.Map.Height), int64(r.Map.Width)}
			if first := pics[0].result.Map; r.Map.Height != first.Height || r.Map.Width != first.Width {
				return t, fmt.Errorf("%w: output %q: maps of %dx%d and %dx%d are no tensor: ask for images of one size",
					ErrInput, name, first.Width, first.Height, r.Map.Width, r.Map.Height)
			}
			if name == outputMap {
				t.Datatype, t.floats = typeFP32, append(t.floats, r.Map.Data...)
			} else {
				t.Datatype, t.bools = typeBool, append(t.bools, r.Map.Threshold(*r.PixelThreshold).Data...)
			}
		}
	}
	return t, nil
}
