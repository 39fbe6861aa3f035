package train

import (
	"testing"

	"github.com/anomaly-go/anomaly/models"
)

func TestScout(t *testing.T) {
	given := Settings{Epochs: 7, Loss: "mse", LearningRate: 1, Optimizer: OptimizerSGD, Val: .5, Seed: 3, Provider: "go", Workers: 2, Checkpoint: "c", Resume: true}
	for _, c := range []struct {
		spec   models.Spec
		images int
		want   models.Spec
		epochs int
	}{
		{models.Spec{}, 220, models.Spec{Model: "dcae", Channels: 3, Height: 64, Width: 64, Filters: 12, Depth: 4}, 25},
		{models.Spec{Channels: 1, Height: 256, Width: 128, Filters: 64, Depth: 5}, 60000, models.Spec{Model: "dcae", Channels: 1, Height: 64, Width: 64, Filters: 12, Depth: 4}, 1},
		{models.Spec{Height: 28, Width: 28, Depth: 2}, 2, models.Spec{Model: "dcae", Channels: 3, Height: 28, Width: 28, Filters: 12, Depth: 2}, 275},
		{models.Spec{Height: 64, Width: 40, Depth: 3}, 30, models.Spec{Model: "dcae", Channels: 3, Height: 64, Width: 40, Filters: 12, Depth: 3}, 138},
	} {
		net, s := Scout(network(c.spec), &given, c.images)
		if spec := net.Spec(); spec != c.want || s.Epochs != c.epochs {
			t.Errorf("%+v, %d images: got %+v and %d epochs, want %+v and %d", c.spec, c.images, net.Spec(), s.Epochs, c.want, c.epochs)
		}
		if err := s.Validate(net); err != nil {
			t.Error(err)
		}
		if s.Loss != "ssim" || s.LearningRate != scoutRate || s.Optimizer != OptimizerAdam || s.Val == .5 {
			t.Errorf("got %+v, want settings of its own", s)
		}
		if s.Seed != 3 || s.Provider != "go" || s.Workers != 2 || s.Checkpoint != "c" || !s.Resume {
			t.Errorf("got %+v, want what says where and from which seed it runs", s)
		}
	}
}
