//go:build unix

package train

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// BenchmarkGradients is one optimiser step without the optimiser: the gradients
// of a batch. On provider cpu it compares the step lowered for the processor
// with the plain one. Beside the time it reports the processors' time, which
// depends less on what else the machine does.
func BenchmarkGradients(b *testing.B) {
	article, small := models.Spec{}, models.Spec{Channels: 1, Height: 32}
	for _, c := range []struct {
		name     string
		spec     models.Spec
		batch    int
		loss     string
		provider anrt.Provider
		plain    bool
	}{
		{"cpu/128x128x3/batch16/mse/native", article, 16, "mse", "cpu", false},
		{"cpu/128x128x3/batch16/mse/plain", article, 16, "mse", "cpu", true},
		{"cpu/128x128x3/batch16/ssim/native", article, 16, "ssim", "cpu", false},
		{"cpu/128x128x3/batch16/ssim/plain", article, 16, "ssim", "cpu", true},
		{"cpu/32x32x1/batch128/mse/native", small, 128, "mse", "cpu", false},
		{"cpu/32x32x1/batch128/mse/plain", small, 128, "mse", "cpu", true},
		{"cpu/32x32x1/batch128/ssim/native", small, 128, "ssim", "cpu", false},
		{"cpu/32x32x1/batch128/ssim/plain", small, 128, "ssim", "cpu", true},
		{"cpu/256x256x3/batch4/mse/native", models.Spec{Height: 256}, 4, "mse", "cpu", false},
		{"cpu/256x256x3/batch4/mse/plain", models.Spec{Height: 256}, 4, "mse", "cpu", true},
		{"cpu/unet/128x128x3/batch4/mse/native", models.Spec{Model: "unet"}, 4, "mse", "cpu", false},
		{"cpu/unet/128x128x3/batch4/mse/plain", models.Spec{Model: "unet"}, 4, "mse", "cpu", true},
		{"cpu/ssimae/128x128x3/batch16/ssim/native", models.Spec{Model: "ssimae"}, 16, "ssim", "cpu", false},
		{"cpu/ssimae/128x128x3/batch16/ssim/plain", models.Spec{Model: "ssimae"}, 16, "ssim", "cpu", true},
		{"cpu/unet/128x128x3/batch4/mse:10+ssim/native", models.Spec{Model: "unet"}, 4, "mse:10+ssim", "cpu", false},
		{"go/unet/128x128x3/batch4/mse:10+ssim", models.Spec{Model: "unet"}, 4, "mse:10+ssim", "go", true},
		{"go/128x128x3/batch4/mse", article, 4, "mse", "go", true},
		{"go/128x128x3/batch4/ssim", article, 4, "ssim", "go", true},
		{"cpu/128x128x3/batch4/mse/native", article, 4, "mse", "cpu", false},
		{"cpu/128x128x3/batch4/ssim/native", article, 4, "ssim", "cpu", false},
		{"go/32x32x1/batch16/mse", models.Spec{Channels: 1, Height: 32, Filters: 16}, 16, "mse", "go", true},
	} {
		b.Run(c.name, func(b *testing.B) {
			net := network(c.spec)
			channels, height, width := net.InputSize()
			data := stripes(c.batch, channels, height, width)
			t := newTrainer(net, data, &Settings{Loss: c.loss, Batch: c.batch, Provider: c.provider})
			if err := t.open(); err != nil {
				b.Skip(err)
			}
			defer t.close()
			if c.plain {
				t.block = 0
			} else if t.block == 0 {
				b.Skip("ONNX Runtime has no NCHWc convolutions for this processor")
			}
			weights := net.Init(1)
			images := make([]int, c.batch)
			for i := range images {
				images[i] = i
			}
			step := func() {
				if _, _, err := t.gradients(context.Background(), weights, batch{images: images}); err != nil {
					b.Fatal(err)
				}
			}
			step()
			start := processorTime(b)
			for b.Loop() {
				step()
			}
			b.ReportMetric(float64((processorTime(b)-start).Microseconds())/1e3/float64(b.N), "cpu-ms/op")
		})
	}
}

// processorTime returns the time that all processors together have spent on this process.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
