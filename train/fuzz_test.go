package train

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRestore reads checkpoints whose checksum is right, which damage never
// leaves it: what restore accepts must be a state that training can go on from.
func FuzzRestore(f *testing.F) {
	data := stripes(6, 1, 16, 16) // few enough for several stages
	path := filepath.Join(f.TempDir(), "ckpt")
	given := &Settings{Epochs: 3, Batch: 2, Provider: "go", Checkpoint: path, Resume: true}
	t := newTrainer(tiny, data, given)
	t.hash = pixelHash(data.Pixels)
	t.stages = t.withRows(stages(t.n, t.settings.Val, t.settings.Seed))

	seed := func(st *state) {
		if err := t.save(st); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if _, err := t.restore(b); err != nil {
			f.Fatal(err)
		}
		f.Add(b[:len(b)-sha256.Size])
	}
	seed(t.fresh(0, nil))
	st := t.fresh(2, &state{Scores: make([]float64, len(t.stages[0].heldBack)+len(t.stages[1].heldBack)), BestEpochs: []int{3, 3}})
	st.Epoch, st.Step, st.LossSum, st.History = 1, 1, .5, []Epoch{{Stage: 3, Epoch: 1, Loss: .25, Val: .125}}
	seed(st)

	f.Fuzz(func(test *testing.T, body []byte) {
		if _, err := t.restore(body); err != nil && !errors.Is(err, ErrCheckpoint) {
			test.Fatalf("without its checksum: got %v, want it to wrap ErrCheckpoint", err)
		}
		sum := sha256.Sum256(body)
		st, err := t.restore(append(body[:len(body):len(body)], sum[:]...))
		if err != nil {
			if !errors.Is(err, ErrCheckpoint) {
				test.Fatalf("got %v, want it to wrap ErrCheckpoint", err)
			}
			return
		}
		if done, all := t.stepsBefore(st), t.stepsAll(); done < 0 || done > all {
			test.Errorf("got %d of %d steps", done, all)
		}
	})
}
