package train

import (
	"crypto/sha256"
	"fmt"
	"math"
	"testing"

	"encoding/binary"
	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	"maps"
	"slices"
)

func TestZZGolden(t *testing.T) {
	for _, c := range []struct {
		spec models.Spec
		s    Settings
		n    int
	}{
		{models.Spec{Height: 32, Filters: 16, Depth: 2}, Settings{Provider: "cpu", Epochs: 2, Batch: 8}, 24},
		{models.Spec{Height: 32, Filters: 16, Depth: 2}, Settings{Provider: "cpu", Epochs: 2, Batch: 8, Loss: "mse"}, 10},
		{models.Spec{Channels: 1, Height: 24, Width: 32, Filters: 12, Depth: 2}, Settings{Provider: "cpu", Epochs: 2, Batch: 8, Loss: "l1+ssim:0.3", Optimizer: OptimizerSGD, LearningRate: 0.1, EMA: .9, Clip: 1}, 24},
		{models.Spec{Channels: 1, Height: 16, Filters: 4, Depth: 1}, Settings{Provider: "go", Epochs: 3, Batch: 8, Loss: "mse", Optimizer: OptimizerAdamW, Schedule: ScheduleOneCycle, Patience: 2}, 24},
		{models.Spec{}, Settings{Provider: "cpu", Epochs: 1, Batch: 8}, 20},
	} {
		spec := c.spec.WithDefaults()
		size := spec.Channels * spec.Height * spec.Width
		pix := make([]uint8, c.n*size)
		for i := range pix {
			pix[i] = uint8(i*i/7 + i/13 + (i>>8)*5)
		}
		r, err := Fit(t.Context(), network(c.spec), &Data{Pixels: pix}, &c.s)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		for _, name := range slices.Sorted(maps.Keys(r.Weights)) {
			fmt.Fprint(h, name, r.Weights[name].Shape())
			binary.Write(h, binary.LittleEndian, graph.Data[float32](r.Weights[name]))
		}
		fmt.Fprint(h, math.Float32bits(r.Calibration.Threshold), r.Calibration.Scores, r.Network.Spec())
		md, _ := r.Metadata("x")
		fmt.Printf("%x thr %v\n%x\n", h.Sum(nil), r.Calibration.Threshold, sha256.Sum256([]byte(md["model"]+md["settings"])))
	}
}
