package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// residuals computes maps and scores of reconstructions: with a session for each
// size of images, of which the ones used last are kept.
type residuals struct {
	contract *contract
	provider Provider
	options  Options

	mu       sync.Mutex
	sessions []sizedSession // the one used last at the end
}

type sizedSession struct {
	height, width int
	*Session
}

func (r *residuals) run(ctx context.Context, scratch *scratch, x, y *graph.Tensor, height, width int) (maps *graph.Tensor, scores []float32, err error) {
	c := r.contract
	if got, want := y.Shape(), c.reconstructed.at(height, width).shape(x.Shape()[0]); !slices.Equal(got, want) {
		return nil, nil, fmt.Errorf("%w: got a reconstruction %v, want %v: networks that pool give images of other sizes than multiples of 8, 16 or 32 back smaller; a size that is given brings all images to one that fits", ErrModel, got, want)
	}
	r.mu.Lock() // until it has run, lest it be closed to make room for another
	defer r.mu.Unlock()
	s, err := r.session(height, width)
	if err != nil {
		return nil, nil, err
	}
	out, err := scratch.run(ctx, "residual ", s, map[string]*graph.Tensor{"x": x, "y": y})
	if err != nil {
		return nil, nil, err
	}
	return out[onnx.Map], graph.Data[float32](out[onnx.Score]), nil
}

func (r *residuals) session(height, width int) (*Session, error) {
	for i, s := range r.sessions {
		if s.height == height && s.width == width {
			r.sessions = append(slices.Delete(r.sessions, i, i+1), s)
			return s.Session, nil
		}
	}
	b, err := r.contract.residualModel(&r.options.Map, height, width)
	if err != nil {
		return nil, fmt.Errorf("%w: residual: %w", ErrModel, err)
	}
	m, err := readModel(b)
	if err != nil {
		return nil, err
	}
	s, err := openSession(m, r.provider, r.options.SessionOptions, nil)
	if err != nil {
		return nil, err
	}
	if len(r.sessions) == plans {
		err = r.sessions[0].Close()
		r.sessions = slices.Delete(r.sessions, 0, 1)
	}
	r.sessions = append(r.sessions, sizedSession{height, width, s})
	return s, err
}

func (r *residuals) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var errs []error
	for _, s := range r.sessions {
		errs = append(errs, s.Close())
	}
	r.sessions = nil
	return errors.Join(errs...)
}

// residualModel is the graph that a reconstruction lacks: map and score of the
// model's input x and its output y, for images of a size.
func (c *contract) residualModel(o *residual.Options, height, width int) ([]byte, error) {
	g := graph.New("residual")
	nchw := func(name string, dtype graph.DType, t imageType, r Range) *graph.Value {
		v := g.Input(name, dtype, t.at(height, width).shape(graph.Dynamic)...)
		switch {
		case dtype == graph.Uint8 && t.layout == NHWC:
			return onnxexport.Pixels(v)
		case dtype == graph.Uint8:
			return graph.Mul(graph.Cast(v, graph.Float32), g.Scalar(1.0/255))
		case t.layout == NHWC:
			v = graph.Transpose(v, 0, 3, 1, 2)
		}
		if r.Low != 0 {
			v = graph.Sub(v, g.Scalar(float64(r.Low)))
		}
		if width := float64(r.High) - float64(r.Low); width != 1 {
			v = graph.Mul(v, g.Scalar(1/width))
		}
		return v
	}
	x := nchw("x", c.input.DType, c.images, c.inRange)
	y := nchw("y", c.reconstruction.DType, c.reconstructed, c.outRange)
	m := residual.Map(x, y, o)
	g.Output(onnx.Map, m)
	g.Output(onnx.Score, residual.Score(m))
	return onnxexport.Marshal(&onnxexport.Model{Graph: g})
}
