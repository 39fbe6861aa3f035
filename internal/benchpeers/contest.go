package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A side does a piece of work again and again.
type side interface {
	// run does it some times and returns how many milliseconds each took.
	run(ctx context.Context, times int) ([]float64, error)
	close() error
}

// A pair are the two sides of a row, ready.
type pair struct {
	ours, peer side
	provider   anrt.Provider // of ours, where a model computes
	units      int           // images or steps that the work has
	difference float64       // of what both compute, by the row's measure
}

func (p *pair) close() {
	for _, s := range []side{p.ours, p.peer} {
		if s != nil {
			s.close()
		}
	}
}

// A measured is what became of a row. Times are of one image or step.
type measured struct {
	row
	why        string // it was not measured; "": it was
	provider   anrt.Provider
	ours, peer times
	difference float64
}

// on says on which provider our side computed, where that was a detector.
func (m *measured) on() string {
	if m.provider == "" {
		return ""
	}
	return fmt.Sprintf(" on `%s`", m.provider)
}

// times are in milliseconds.
type times struct{ best, median float64 }

func (m measured) String() string {
	if m.why != "" {
		return fmt.Sprintf("%-15s not measured: %s", m.name, m.why)
	}
	return fmt.Sprintf("%-15s %8.3f (%.3f) ms%s, %s %8.3f (%.3f): ratio %.2f (%.2f), target %v; difference %.2g, allowed %v", m.name,
		m.ours.best, m.ours.median, m.on(), m.with, m.peer.best, m.peer.median, m.ratio(), m.ours.median/m.peer.median, m.target, m.difference, m.tolerance)
}

// ratio is that of the best times: what else a machine does only ever adds.
func (m *measured) ratio() float64 { return m.ours.best / m.peer.best }

// pause lets threads that wait busily for more work of one side go to sleep before
// the other begins.
const pause = 20 * time.Millisecond

// fewest rounds are done, however long they take.
const fewest = 2

// measure makes a row's sides ready and has them work in turn.
func (b *bench) measure(ctx context.Context, r row) (measured, error) {
	m := measured{row: r}
	p, err := r.open(ctx, b)
	if err != nil {
		return m, err
	}
	defer p.close()
	m.difference, m.provider = p.difference, p.provider
	if !(p.difference <= r.tolerance) {
		return m, fmt.Errorf("both sides do not compute the same: got a difference of %g in %s, want at most %g", p.difference, r.same, r.tolerance)
	}
	ours, peer, err := b.alternate(ctx, p.ours, p.peer)
	if err != nil {
		return m, err
	}
	m.ours, m.peer = summary(ours, p.units), summary(peer, p.units)
	return m, nil
}

// alternate has two sides work in turn, each as often in a turn as its time allows.
func (b *bench) alternate(ctx context.Context, one, two side) (first, second []float64, err error) {
	sides := []side{one, two}
	took := make([][]float64, 2)
	turn := make([]int, 2)
	for i, s := range sides { // what is done first is slower, and not counted
		ms, err := s.run(ctx, 1)
		if err != nil {
			return nil, nil, err
		}
		turn[i] = int(min(max(float64(b.turn.Milliseconds())/ms[0], 1), 100))
	}
	began := time.Now()
	for round := range b.rounds {
		if round >= fewest && time.Since(began) > b.limit {
			break // on a busy machine
		}
		for k := range sides {
			i := (k + round) % 2
			time.Sleep(pause)
			if turn[i] > 1 { // so is the first after the other side had the caches
				if _, err := sides[i].run(ctx, 1); err != nil {
					return nil, nil, err
				}
			}
			ms, err := sides[i].run(ctx, turn[i])
			if err != nil {
				return nil, nil, err
			}
			took[i] = append(took[i], ms...)
		}
	}
	return took[0], took[1], nil
}

// summary of what runs of so many units took.
func summary(ms []float64, units int) times {
	ms = slices.Sorted(slices.Values(ms))
	return times{ms[0] / float64(units), ms[len(ms)/2] / float64(units)}
}

// apart returns the largest difference of two lists relative to the largest of the
// second, +Inf if they are not as long.
func apart[A, B float32 | float64](got []A, want []B) float64 {
	if len(got) != len(want) || len(got) == 0 {
		return math.Inf(1)
	}
	most, scale := 0., 0.
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		most, scale = max(most, d), max(scale, math.Abs(float64(want[i])))
	}
	return most / max(scale, math.SmallestNonzeroFloat32)
}

// A task is a side of our own: a function.
type task struct {
	do   func(ctx context.Context) error
	free func() error
}

func (t *task) run(ctx context.Context, times int) ([]float64, error) {
	var ms []float64
	for range times {
		began := time.Now()
		if err := t.do(ctx); err != nil {
			return nil, err
		}
		ms = append(ms, float64(time.Since(began).Nanoseconds())/1e6)
	}
	return ms, nil
}

func (t *task) close() error {
	if t.free == nil {
		return nil
	}
	return t.free()
}
