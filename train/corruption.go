package train

import (
	"fmt"
	"slices"
	"sync"

	"github.com/anomaly-go/anomaly/augment"
	"github.com/anomaly-go/anomaly/corrupt"
	"github.com/anomaly-go/anomaly/graph"
)

// A Corruption says what is done to the images that a network is shown.
type Corruption string

const (
	// CorruptionNone shows them as they are.
	CorruptionNone Corruption = "none"
	// CorruptionStructured puts defects on them, as package corrupt makes them.
	CorruptionStructured Corruption = "structured"
)

// An Augment says how images are changed before.
type Augment string

const (
	// AugmentAuto does what package augment chooses from the training images.
	AugmentAuto Augment = "auto"
	// AugmentNone leaves them as they are.
	AugmentNone Augment = "none"
)

const (
	// cleanShare of the samples is shown as it is: a network has to leave good images alone.
	cleanShare = .1
	// leastSamples is how many images an epoch shows at least: few come several
	// times in it, corrupted and changed in other ways.
	leastSamples = 128
)

// prepareCorruption makes the generator, if there is a corruption, and says what
// it will do.
func (t *trainer) prepareCorruption() error {
	s := &t.settings
	if s.Corruption == "" {
		return nil
	}
	region, err := t.region()
	if err != nil {
		return err
	}
	o := corrupt.Options{Seed: s.Seed, Clean: cleanShare, Region: region}
	if s.Augment == AugmentAuto {
		a, findings, err := augment.Choose(t.data.Pixels, t.height, t.width, t.channels)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrSettings, err)
		}
		o.Augment = a
		for _, f := range findings {
			s.Logf("images %s", f)
		}
		s.Logf("training images are changed: %s", a)
	}
	if t.corrupt, err = corrupt.New(t.data.Pixels, t.height, t.width, t.channels, &o); err != nil {
		return fmt.Errorf("%w: %w", ErrSettings, err)
	}
	parts := 0
	for i := range t.n {
		if t.corrupt.Foreground(i) != nil {
			parts++
		}
	}
	if region != nil {
		s.Logf("corruption lies in the region of interest")
	} else if parts > 0 {
		s.Logf("corruption lies on the part, which stands out in %d of %d images", parts, t.n)
	} else {
		s.Logf("corruption lies anywhere: no part stands out from a background")
	}
	return nil
}

// copies returns how often an epoch of a stage of n images has each of them.
func (t *trainer) copies(n int) int {
	if t.settings.Corruption == "" {
		return 1
	}
	return max(1, (leastSamples+n-1)/n)
}

// A batch are images as a step takes them.
type batch struct {
	images []int
	// Pixels [n,H,W,C] of what is shown and of what is to be made of it. Where they
	// are nil, images are as they are, corrupted in the way of held-back ones if
	// there is a corruption.
	shown, target []uint8
}

// batches returns a function that gives the batches of an epoch from a step on.
// While a step runs, the batch after it is corrupted.
func (t *trainer) batches(stage, epoch, step int) func() batch {
	s := &t.settings
	train := t.stages[stage].train
	order := permutation(t.samplesIn(stage), s.Seed, orderStream+stage, epoch)
	// Counter 0 is that of held-back images.
	first := 1 + (stage*s.Epochs+epoch)*t.copies(len(train))
	// All may be done: an epoch ends with the loss of held-back images, which can be interrupted.
	chunks := slices.Collect(slices.Chunk(order[min(step*s.Batch, len(order)):], s.Batch))
	ahead := func() chan batch {
		if len(chunks) == 0 {
			return nil
		}
		var b batch
		var counters []uint64
		for _, i := range chunks[0] {
			b.images = append(b.images, train[i%len(train)])
			counters = append(counters, uint64(first+i/len(train)))
		}
		chunks = chunks[1:]
		made := make(chan batch, 1)
		go func() {
			t.corruptBatch(&b, counters)
			made <- b
		}()
		return made
	}
	next := ahead()
	return func() batch {
		b := <-next
		next = ahead()
		return b
	}
}

// corruptBatch makes the pixels of a batch, if there is a corruption.
func (t *trainer) corruptBatch(b *batch, counters []uint64) {
	if t.corrupt == nil {
		return
	}
	n := len(b.images) * t.size
	b.shown, b.target = make([]uint8, n), make([]uint8, n)
	var wg sync.WaitGroup
	for j, i := range b.images {
		wg.Go(func() {
			t.corrupt.Sample(b.shown[j*t.size:][:t.size], b.target[j*t.size:][:t.size], nil, i, counters[j])
		})
	}
	wg.Wait()
}

// inputs returns what a program takes as images lo to hi-1 of a batch.
func (t *trainer) inputs(b batch, lo, hi int) map[string]*graph.Tensor {
	tensor := func(pixels []uint8) *graph.Tensor {
		return graph.NewTensor(pixels, hi-lo, t.height, t.width, t.channels)
	}
	switch {
	case t.corrupt == nil:
		return map[string]*graph.Tensor{"input": t.pixels(b.images[lo:hi])}
	case b.target != nil:
		return map[string]*graph.Tensor{"input": tensor(b.target[lo*t.size : hi*t.size]), "shown": tensor(b.shown[lo*t.size : hi*t.size])}
	}
	shown := make([]uint8, 0, (hi-lo)*t.size)
	for _, i := range b.images[lo:hi] {
		shown = shown[:len(shown)+t.size]
		t.corrupt.Corrupt(shown[len(shown)-t.size:], nil, i, 0)
	}
	return map[string]*graph.Tensor{"input": t.pixels(b.images[lo:hi]), "shown": tensor(shown)}
}
