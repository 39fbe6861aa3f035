package runtime

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// What a Run costs beside the computation.
func BenchmarkSessionOverhead(b *testing.B) {
	for _, provider := range testProviders {
		b.Run(string(provider), func(b *testing.B) {
			needProvider(b, provider)
			s := openTest(b, affine(b), &SessionOptions{Provider: provider, Threads: 1})
			in := map[string]*graph.Tensor{"x": random(1, 1, 2), "a": vector(1, 2)}
			for b.Loop() { // with a context that can end, as callers have
				if _, err := s.Run(b.Context(), in, "y"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What a Detect of 64×64 pixels allocates, by what the model takes and gives.
func BenchmarkDetectorForms(b *testing.B) {
	needProvider(b, CPU)
	for _, o := range []onnxexport.Options{
		{}, {Input: onnxexport.FloatNCHW}, {Profile: onnxexport.Reconstruction}, {Profile: onnxexport.Reconstruction, Input: onnxexport.FloatNCHW},
	} {
		b.Run(fmt.Sprintf("%v/%v", o.Profile, o.Input), func(b *testing.B) {
			d := openDetector(b, detectorModel(b, models.Spec{Height: 64}, &o), &Options{SessionOptions: SessionOptions{Provider: CPU}})
			img := pictures(1)[0]
			for b.Loop() {
				if _, err := d.Detect(b.Context(), img); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Calls of one image from eight goroutines, each after its last was answered: by
// the size of a batch, 0 for the default, and by how long it waits to be full.
func BenchmarkSideBySide(b *testing.B) {
	needProvider(b, CPU)
	const clients = 8
	for _, size := range []int{32, 128, 256} {
		model := detectorModel(b, models.Spec{Height: size}, nil)
		for _, o := range []Options{{Batch: 1}, {}, {Batch: 16}, {Batch: 16, BatchWindow: 2 * time.Millisecond}} {
			b.Run(fmt.Sprintf("%d/batch=%d/window=%v", size, o.Batch, o.BatchWindow), func(b *testing.B) {
				o.Provider = CPU
				d := openDetector(b, model, &o)
				pix := make([]uint8, size*size*3)
				var left, waited atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var group sync.WaitGroup
				for range clients {
					group.Go(func() {
						for left.Add(-1) >= 0 {
							began := time.Now()
							if _, err := d.DetectPixels(b.Context(), pix, 1); err != nil {
								b.Error(err)
								return
							}
							waited.Add(int64(time.Since(began)))
						}
					})
				}
				group.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
				b.ReportMetric(time.Duration(waited.Load()).Seconds()*1e3/float64(b.N), "ms/call")
			})
		}
	}
}

// One call of 32 images after the other: by the size of a batch, 0 for the default,
// and by threads.
func BenchmarkOneByOne(b *testing.B) {
	needProvider(b, CPU)
	const images = 32
	for _, size := range []int{32, 128, 256} {
		model := detectorModel(b, models.Spec{Height: size}, nil)
		for _, threads := range []int{1, 2} {
			for _, batch := range []int{1, 0, 16} {
				b.Run(fmt.Sprintf("%d/threads=%d/batch=%d", size, threads, batch), func(b *testing.B) {
					d := openDetector(b, model, &Options{SessionOptions: SessionOptions{Provider: CPU, Threads: threads}, Batch: batch})
					pix := make([]uint8, images*size*size*3)
					for b.Loop() {
						if _, err := d.DetectPixels(b.Context(), pix, images); err != nil {
							b.Fatal(err)
						}
					}
					b.ReportMetric(float64(b.N*images)/b.Elapsed().Seconds(), "images/s")
				})
			}
		}
	}
}

// Sixteen images of 256×256×3 made a float32 NCHW tensor.
func BenchmarkTensor(b *testing.B) {
	const n, h, w = 16, 256, 256
	c := &contract{input: onnx.Port{Name: "x", Type: graph.Type{DType: graph.Float32}}, images: imageType{NCHW, graph.Dynamic, 3, h, w}, transfer: toRange(unitRange)}
	f := frames{make([]uint8, n*h*w*3), n, h, w}
	for i := range f.pix {
		f.pix[i] = uint8(i * i >> 7)
	}
	b.SetBytes(n * h * w * 3)
	s := newScratch()
	for b.Loop() {
		c.tensor(f, n, s)
	}
}
