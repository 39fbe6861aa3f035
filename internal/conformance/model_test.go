package conformance

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/runtime"
)

// A modelTest is a model of images with the outputs that it has for a batch of them.
type modelTest struct {
	title  string // SUITE/…
	open   func(*runtime.SessionOptions) (*runtime.Session, error)
	images *graph.Tensor // of the model's one input
	golden map[string]*graph.Tensor
	tol    tolerance // of the golden values
	labels []label
}

// A label is an output of booleans: those of another output's values that are
// greater than a threshold.
type label struct {
	name, of  string
	threshold float64
}

func (c *modelTest) name() string { return c.title }

func (c *modelTest) try(t *testing.T, provider runtime.Provider) (d differences, err error) {
	defer recovered(&err)
	s, err := c.open(&runtime.SessionOptions{Provider: provider, Threads: 1})
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := s.Close(); err == nil {
			err = e
		}
	}()
	ctx := t.Context()
	out, err := run(ctx, s, c.images)
	if err != nil {
		return nil, err
	}
	d = differences{}
	for _, o := range s.Outputs() {
		if d[o.Name], err = c.compare(o.Name, out[o.Name], c.golden, c.tol); err != nil {
			return nil, fmt.Errorf("output %q: %w", o.Name, err)
		}
	}
	if err := runsAgain(ctx, s, map[string]*graph.Tensor{s.Inputs()[0].Name: c.images}, out); err != nil {
		return nil, err
	}
	if err := c.eachOutput(ctx, s, out); err != nil {
		return nil, err
	}
	return d, c.batches(ctx, s, out)
}

// compare is [compare] with the golden values of an output. A label may differ
// where the value that it depends on is as close to the threshold as it may be
// to the golden value.
func (c *modelTest) compare(name string, got *graph.Tensor, golden map[string]*graph.Tensor, tol tolerance) (difference, error) {
	want := golden[name]
	if want == nil {
		return difference{}, fmt.Errorf("has no golden value")
	}
	i := slices.IndexFunc(c.labels, func(l label) bool { return l.name == name })
	if i < 0 || got.DType() != want.DType() || !slices.Equal(got.Shape(), want.Shape()) {
		return compare(got, want, tol)
	}
	l := c.labels[i]
	limit := tol.of(l.threshold)
	close := slices.Clone(graph.Data[bool](got))
	for j, v := range numbers(golden[l.of]) {
		if v-l.threshold <= limit && l.threshold-v <= limit {
			close[j] = graph.Data[bool](want)[j]
		}
	}
	if _, err := compare(graph.NewTensor(close, got.Shape()...), want, exact); err != nil {
		return difference{}, err
	}
	return compare(got, want, tolerance{abs: 1})
}

// eachOutput asks for the outputs one by one, for which models are cut down to
// what these depend on.
func (c *modelTest) eachOutput(ctx context.Context, s *runtime.Session, all map[string]*graph.Tensor) error {
	for name := range all {
		out, err := run(ctx, s, c.images, name)
		if err != nil {
			return fmt.Errorf("output %q alone: %w", name, err)
		}
		if _, err := c.compare(name, out[name], all, batched); err != nil {
			return fmt.Errorf("output %q alone: %w", name, err)
		}
	}
	return nil
}

// batches gives the images one by one, and as many as make three, and wants what
// the model made of them in their own batch.
func (c *modelTest) batches(ctx context.Context, s *runtime.Session, all map[string]*graph.Tensor) error {
	n := c.images.Shape()[0]
	if fixed := s.Inputs()[0].Shape[0]; fixed != graph.Dynamic {
		return nil
	}
	batches := [][]int{{0, 1 % n, 2 % n}}
	for i := range n {
		batches = append(batches, []int{i})
	}
	for _, rows := range batches {
		out, err := run(ctx, s, pick(c.images, rows))
		if err != nil {
			return fmt.Errorf("images %v: %w", rows, err)
		}
		want := map[string]*graph.Tensor{}
		for name, x := range all {
			want[name] = pick(x, rows)
		}
		for name, got := range out {
			if _, err := c.compare(name, got, want, batched); err != nil {
				return fmt.Errorf("images %v, output %q: %w", rows, name, err)
			}
		}
	}
	return nil
}

func run(ctx context.Context, s *runtime.Session, images *graph.Tensor, outputs ...string) (map[string]*graph.Tensor, error) {
	if n := len(s.Inputs()); n != 1 {
		return nil, fmt.Errorf("got a model of %d inputs, want 1", n)
	}
	return s.Run(ctx, map[string]*graph.Tensor{s.Inputs()[0].Name: images}, outputs...)
}

// pick makes a tensor of rows of another's first axis.
func pick(t *graph.Tensor, rows []int) *graph.Tensor {
	switch data := t.Raw().(type) {
	case []float32:
		return picked(t.Shape(), data, rows)
	case []uint8:
		return picked(t.Shape(), data, rows)
	case []bool:
		return picked(t.Shape(), data, rows)
	}
	panic(fmt.Sprintf("conformance: images of %v", t.DType()))
}

func picked[T graph.Elem](shape []int, data []T, rows []int) *graph.Tensor {
	size := len(data) / shape[0]
	var all []T
	for _, i := range rows {
		all = append(all, data[i*size:(i+1)*size]...)
	}
	return graph.NewTensor(all, append([]int{len(rows)}, shape[1:]...)...)
}
