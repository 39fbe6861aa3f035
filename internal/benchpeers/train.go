package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
)

// A trained says what is trained: a network, and the loss in our words and as the
// weights of its terms.
type trained struct {
	network   string // "" is dcae
	loss      string
	mse, ssim float64
}

const (
	learningRate = 1e-3
	checkedSteps = 3 // whose losses must be the same
	epochSteps   = 8 // what comes between epochs is not timed
)

// net opens the network.
func (t trained) net(b *bench) (models.Network, error) {
	side := b.size
	if t.network == "unet" {
		side = b.unet
	}
	return models.Open(models.Spec{Model: t.network, Height: side}, nil)
}

// A step is one that was taken.
type step struct{ ms, loss float64 }

// A fitting is a run of [train.Fit] that stops after each step until it is asked for
// the next.
type fitting struct {
	first []float64 // losses of the first steps
	steps chan step
	next  chan struct{}
	done  chan error
	stop  context.CancelFunc
	began time.Time
	sum   float64 // of the losses of this epoch's steps

	provider anrt.Provider // that computes
}

// startFitting trains net on a picture, again and again: so the order of images,
// which is shuffled, makes no difference to the losses.
func (b *bench) startFitting(ctx context.Context, t trained, provider anrt.Provider) (*fitting, error) {
	net, err := t.net(b)
	if err != nil {
		return nil, err
	}
	const held = 5 // images that Fit holds back at the least
	_, height, width := net.InputSize()
	data := &train.Data{Pixels: bytes.Repeat(picture(0, height, width), epochSteps*b.batch+held)}
	f := &fitting{steps: make(chan step), next: make(chan struct{}), done: make(chan error, 1)}
	ctx, f.stop = context.WithCancel(ctx)
	s := &train.Settings{
		Loss: t.loss, Epochs: 1 << 30, Batch: b.batch, LearningRate: learningRate, Val: 1e-9, Schedule: train.ScheduleConstant,
		Optimizer: train.OptimizerAdam, Corruption: train.CorruptionNone, Augment: train.AugmentNone, Provider: provider,
		Progress: func(p train.Progress) { f.progress(ctx, p) },
	}
	f.began = time.Now()
	go func() {
		_, err := train.Fit(ctx, net, data, s)
		f.done <- err
	}()
	for i := range checkedSteps {
		if i > 0 {
			f.next <- struct{}{}
		}
		s, err := f.wait()
		if err != nil {
			return nil, err
		}
		f.first = append(f.first, s.loss)
	}
	return f, nil
}

// progress hands on a step and waits. The last of an epoch is left out: the images
// held back are tested with it.
func (f *fitting) progress(ctx context.Context, p train.Progress) {
	took := time.Since(f.began)
	if p.EpochEnd() {
		f.sum, f.began = 0, time.Now()
		return
	}
	sum := p.Loss * float64(p.Step)
	s := step{float64(took.Nanoseconds()) / 1e6, sum - f.sum}
	f.sum, f.provider = sum, p.Provider
	select {
	case f.steps <- s:
	case <-ctx.Done():
		return
	}
	select {
	case <-f.next:
	case <-ctx.Done():
	}
	f.began = time.Now()
}

func (f *fitting) wait() (step, error) {
	select {
	case s := <-f.steps:
		return s, nil
	case err := <-f.done:
		f.done <- err
		return step{}, fmt.Errorf("training ended: %w", err)
	}
}

func (f *fitting) run(ctx context.Context, times int) ([]float64, error) {
	var ms []float64
	for range times {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		select {
		case f.next <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s, err := f.wait()
		if err != nil {
			return nil, err
		}
		ms = append(ms, s.ms)
	}
	return ms, nil
}

func (f *fitting) close() error {
	f.stop()
	<-f.done // the error is that it was stopped
	return nil
}

// trainBeside is a row of training beside PyTorch, on the provider that auto takes.
func trainBeside(t trained) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (*pair, error) {
		net, err := t.net(b)
		if err != nil {
			return nil, err
		}
		weights, err := b.weightsForPeer(net)
		if err != nil {
			return nil, err
		}
		_, height, width := net.InputSize()
		images := filepath.Join(b.dir, "images.npy")
		if err := writeArray(images, []int{b.batch, height, width, 3}, bytes.Repeat(picture(0, height, width), b.batch)); err != nil {
			return nil, err
		}
		peer, want, err := b.peer.prepare("train", map[string]any{
			"network": net.Spec().Model, "mse": t.mse, "ssim": t.ssim, "rate": learningRate, "weights": weights, "images": images, "steps": checkedSteps,
		})
		if err != nil {
			return nil, err
		}
		ours, err := b.startFitting(ctx, t, anrt.Auto)
		if err != nil {
			return nil, err
		}
		return &pair{ours: ours, peer: peer, provider: ours.provider, units: 1, difference: apart(ours.first, want)}, nil
	}
}

// trainOurs is a row of training on provider go, beside provider cpu.
func trainOurs(t trained) func(ctx context.Context, b *bench) (*pair, error) {
	return func(ctx context.Context, b *bench) (*pair, error) {
		peer, err := b.startFitting(ctx, t, anrt.CPU)
		if err != nil {
			return nil, err
		}
		ours, err := b.startFitting(ctx, t, anrt.Go)
		if err != nil {
			peer.close()
			return nil, err
		}
		return &pair{ours: ours, peer: peer, provider: ours.provider, units: 1, difference: apart(ours.first, peer.first)}, nil
	}
}

// seed is that of networks' weights.
const seed = 1

// weightsForPeer writes a network's initial weights where the peer reads them.
func (b *bench) weightsForPeer(net models.Network) (folder string, err error) {
	if folder, err = os.MkdirTemp(b.dir, "weights"); err != nil {
		return "", err
	}
	for name, w := range net.Init(seed) {
		if err := writeArray(filepath.Join(folder, name+".npy"), w.Shape(), graph.Data[float32](w)); err != nil {
			return "", err
		}
	}
	return folder, nil
}

func writeArray[T npy.Element](path string, shape []int, data []T) error {
	return atomicfile.Write(path, func(w io.Writer) error { return npy.Write(w, shape, data) })
}

// picture makes up image i, uint8 [height, width, 3], by integer arithmetic: squares on a
// slope, and some noise.
func picture(i, height, width int) []uint8 {
	out := make([]uint8, 0, height*width*3)
	noise := uint32(i + 1)
	for y := range height {
		for x := range width {
			for c := range 3 {
				noise = noise*1664525 + 1013904223
				v := 90 + 70*((x*8/width+y*8/height+i+c)%2) + x*40/width + int(noise>>28)
				out = append(out, uint8(v))
			}
		}
	}
	return out
}

// pictures are n of them, one after the other.
func pictures(n, height, width int) []uint8 {
	var out []uint8
	for i := range n {
		out = append(out, picture(i, height, width)...)
	}
	return out
}
