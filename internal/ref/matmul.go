package ref

import (
	"fmt"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"

	"github.com/anomaly-go/anomaly/graph"
)

// A matrix is dense and row-major; transposed turns it before use.
type matrix[T number] struct {
	data       []T
	rows, cols int // of data
	transposed bool
}

// product sets dst to a·b.
func product[T float](dst []T, a, b matrix[T]) error {
	if len(dst) == 0 || len(a.data) == 0 {
		clear(dst)
		return nil
	}
	turned := func(m matrix[T]) blas.Transpose {
		if m.transposed {
			return blas.Trans
		}
		return blas.NoTrans
	}
	m, k := a.rows, a.cols
	if a.transposed {
		m, k = k, m
	}
	n := len(dst) / m
	switch dst := any(dst).(type) {
	case []float32:
		gonum.Implementation{}.Sgemm(turned(a), turned(b), m, n, k, 1, any(a.data).([]float32), a.cols, any(b.data).([]float32), b.cols, 0, dst, n)
	case []float64:
		gonum.Implementation{}.Dgemm(turned(a), turned(b), m, n, k, 1, any(a.data).([]float64), a.cols, any(b.data).([]float64), b.cols, 0, dst, n)
	}
	return nil
}

// integerProduct is product for integers, of matrices that are not transposed.
func integerProduct[T integer](dst []T, a, b matrix[T]) error {
	for i := range a.rows {
		row := dst[i*b.cols:][:b.cols]
		for k, v := range a.data[i*a.cols:][:a.cols] {
			for j, w := range b.data[k*b.cols:][:b.cols] {
				row[j] += v * w
			}
		}
	}
	return nil
}

// matMul makes the kernel of products of matrices, one for each place of the
// leading dimensions, by a function that finds zeros in dst.
func matMul[T number](product func(dst []T, a, b matrix[T]) error) Kernel {
	return func(n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
		as, bs := in[0].Shape(), in[1].Shape()
		ra, rb := len(as)-2, len(bs)-2
		if ra < 0 || rb < 0 || as[ra+1] != bs[rb] {
			return nil, fmt.Errorf("got %v times %v", as, bs)
		}
		lead, err := broadcast(as[:ra], bs[:rb])
		if err != nil {
			return nil, err
		}
		m, k, w := as[ra], as[ra+1], bs[rb+1]
		a, b := graph.Data[T](in[0]), graph.Data[T](in[1])
		y := make([]T, graph.Elements(lead)*m*w)
		walk(lead, [][]int{broadcastStrides(as[:ra], lead), broadcastStrides(bs[:rb], lead)}, func(dst, n int, at, step []int) {
			for i := range n {
				ai, bi := (at[0]+i*step[0])*m*k, (at[1]+i*step[1])*k*w
				if e := product(y[(dst+i)*m*w:(dst+i+1)*m*w],
					matrix[T]{data: a[ai : ai+m*k], rows: m, cols: k},
					matrix[T]{data: b[bi : bi+k*w], rows: k, cols: w}); e != nil {
					err = e
				}
			}
		})
		if err != nil {
			return nil, err
		}
		return one(graph.NewTensor(y, slices.Concat(lead, []int{m, w})...), nil)
	}
}

// gemm is alpha·A'·B' + beta·C.
func gemm[T float](n *graph.Node, in []*graph.Tensor) ([]*graph.Tensor, error) {
	a := matrix[T]{graph.Data[T](in[0]), in[0].Shape()[0], in[0].Shape()[1], n.Int("transA", 0) != 0}
	b := matrix[T]{graph.Data[T](in[1]), in[1].Shape()[0], in[1].Shape()[1], n.Int("transB", 0) != 0}
	m, k, k2, w := a.rows, a.cols, b.rows, b.cols
	if a.transposed {
		m, k = k, m
	}
	if b.transposed {
		k2, w = w, k2
	}
	if k != k2 {
		return nil, fmt.Errorf("inner dimensions: got %d and %d", k, k2)
	}
	y := make([]T, m*w)
	if err := product(y, a, b); err != nil {
		return nil, err
	}
	if alpha := T(n.Float("alpha", 1)); alpha != 1 {
		for i := range y {
			y[i] *= alpha
		}
	}
	out := graph.NewTensor(y, m, w)
	if len(in) < 3 || in[2] == nil {
		return one(out, nil)
	}
	if s, err := broadcast(in[2].Shape(), out.Shape()); err != nil || !slices.Equal(s, out.Shape()) {
		return nil, fmt.Errorf("addend: got %v, want it to broadcast to %v", in[2].Shape(), out.Shape())
	}
	c, beta := graph.Data[T](in[2]), T(n.Float("beta", 1))
	walk(out.Shape(), [][]int{broadcastStrides(in[2].Shape(), out.Shape())}, func(dst, n int, at, step []int) {
		for i := range n {
			y[dst+i] += beta * c[at[0]+i*step[0]]
		}
	})
	return one(out, nil)
}
