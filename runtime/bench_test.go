package runtime

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

// What a Run costs beside the computation.
func BenchmarkSessionOverhead(b *testing.B) {
	for _, provider := range testProviders {
		b.Run(provider, func(b *testing.B) {
			needProvider(b, provider)
			s := openTest(b, affine(b), &Options{Provider: provider, Threads: 1})
			in := map[string]*graph.Tensor{"x": random(1, 1, 2), "a": vector(1, 2)}
			for b.Loop() { // with a context that can end, as callers have
				if _, err := s.Run(b.Context(), in, "y"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The article's network, 128×128×3 and uint8 in, with its SSIM map, from pixels
// to results.
func BenchmarkDetector(b *testing.B) {
	needProvider(b, CPU)
	model := detectorModel(b, models.Spec{}, nil)
	for _, threads := range []int{1, 2} {
		for _, batch := range []int{1, 16} {
			b.Run(fmt.Sprintf("threads=%d/batch=%d", threads, batch), func(b *testing.B) {
				d := openDetector(b, model, &Options{Provider: CPU, Threads: threads, Batch: batch})
				pix := make([]uint8, batch*128*128*3)
				for i := range pix {
					pix[i] = uint8(i * i >> 7)
				}
				for b.Loop() {
					if _, err := d.DetectPixels(b.Context(), pix, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*batch), "ms/image")
			})
		}
	}
}

// What a Detect of 64×64 pixels allocates, by what the model takes and gives.
func BenchmarkDetectorForms(b *testing.B) {
	needProvider(b, CPU)
	for _, o := range []onnxexport.Options{
		{}, {Input: onnxexport.FloatNCHW}, {Profile: onnxexport.Reconstruction}, {Profile: onnxexport.Reconstruction, Input: onnxexport.FloatNCHW},
	} {
		b.Run(fmt.Sprintf("%v/%v", o.Profile, o.Input), func(b *testing.B) {
			d := openDetector(b, detectorModel(b, models.Spec{Height: 64}, &o), &Options{Provider: CPU})
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
// the size of a batch and by how long it waits to be full.
func BenchmarkSideBySide(b *testing.B) {
	needProvider(b, CPU)
	const clients = 8
	for _, size := range []int{32, 128} {
		model := detectorModel(b, models.Spec{Height: size}, nil)
		for _, batch := range []int{1, 4, 16} {
			for _, window := range []time.Duration{0, 2 * time.Millisecond} {
				if batch == 1 && window > 0 {
					continue
				}
				b.Run(fmt.Sprintf("%d/batch=%d/window=%v", size, batch, window), func(b *testing.B) {
					d := openDetector(b, model, &Options{Provider: CPU, Batch: batch, BatchWindow: window})
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
}

// Sixteen images of 256×256×3 made a float32 NCHW tensor.
func BenchmarkTensor(b *testing.B) {
	const n, h, w = 16, 256, 256
	c := &contract{input: port{Info: Info{"x", graph.Type{DType: graph.Float32}}}, images: imageType{NCHW, graph.Dynamic, 3, h, w}, transfer: toRange(unitRange)}
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
