package train

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// A state is everything that the rest of a run depends on.
type state struct {
	Stage int
	Epoch int // epochs done
	Step  int // steps done of the epoch after them

	// Of the epoch that is under way:
	LossSum float64
	NormSum float64 // of the gradients
	Seconds float64

	BestVal   float64 // lowest held-back loss of the stage
	BestEpoch int     // that had it, from 1; 0 before the first

	// Of all stages:
	History    []Epoch
	Scores     []float64 // of held-back images, by the stages done
	Pseudo     []float64 // of artificial defects on them
	BestEpochs []int     // of the stages done

	weights, m, v map[string]*graph.Tensor   // v is nil but for the Adams
	ema           map[string]*graph.Tensor   // nil unless Settings.EMA
	best          map[string]*graph.Tensor   // of BestEpoch; nil unless Settings.Patience
	done          []map[string]*graph.Tensor // exported by the stages done; nil unless trainer.keep
}

// A checkpoint file is the line checkpointMagic, the length of a JSON header as
// a little-endian uint32, the header, the tensors it lists as little-endian
// float32, and the SHA-256 of all that.
const checkpointMagic = "anomaly checkpoint 2\n"

type checkpointHeader struct {
	Spec     models.Spec
	Settings Settings
	Data     string // hash
	Images   int
	Provider anrt.Provider
	Block    int // of the trainer: says how sums are grouped
	Stages   int // of the run
	Stage    int
	Epoch    int
	Step     int
	// float64 as their bits, which survive JSON whatever they are:
	LossSum, NormSum, Seconds, BestVal uint64

	BestEpoch  int
	BestEpochs []int
	History    []epochBits
	Scores     []uint64
	Pseudo     []uint64 `json:",omitempty"`
	Tensors    []tensorHeader
}

// epochBits is an Epoch that survives JSON bit by bit, NaN included.
type epochBits struct {
	Stage, Epoch                               int
	Loss, Val, LearningRate, GradNorm, Seconds uint64
	Best                                       bool
	Machine                                    string `json:",omitempty"`
}

func (e Epoch) bits() epochBits {
	return epochBits{
		e.Stage, e.Epoch,
		math.Float64bits(e.Loss), math.Float64bits(e.Val), math.Float64bits(e.LearningRate), math.Float64bits(e.GradNorm), math.Float64bits(e.Seconds),
		e.Best, e.Machine,
	}
}

func (b epochBits) epoch() Epoch {
	return Epoch{
		b.Stage, b.Epoch,
		math.Float64frombits(b.Loss), math.Float64frombits(b.Val), math.Float64frombits(b.LearningRate), math.Float64frombits(b.GradNorm), math.Float64frombits(b.Seconds),
		b.Best, b.Machine,
	}
}

type tensorHeader struct {
	Name  string
	Shape []int
}

// groups returns the tensors of st by the names they have in a file.
func (st *state) groups() map[string]map[string]*graph.Tensor {
	groups := map[string]map[string]*graph.Tensor{"w": st.weights, "m": st.m, "v": st.v, "ema": st.ema, "best": st.best}
	for i, weights := range st.done {
		groups[fmt.Sprintf("stage%d", i)] = weights
	}
	return groups
}

// save writes st to the checkpoint, if there is to be one.
func (t *trainer) save(st *state) error {
	if t.settings.Checkpoint == "" {
		return nil
	}
	h := t.header(st)
	var payload [][]float32
	groups := st.groups()
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		for _, name := range slices.Sorted(maps.Keys(groups[group])) {
			w := groups[group][name]
			h.Tensors = append(h.Tensors, tensorHeader{group + " " + name, w.Shape()})
			payload = append(payload, graph.Data[float32](w))
		}
	}
	header, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	err = atomicfile.Write(t.settings.Checkpoint, func(w io.Writer) error {
		sum := sha256.New()
		all := io.MultiWriter(w, sum)
		if _, err := io.WriteString(all, checkpointMagic); err != nil {
			return err
		}
		if err := binary.Write(all, binary.LittleEndian, uint32(len(header))); err != nil {
			return err
		}
		if _, err := all.Write(header); err != nil {
			return err
		}
		for _, data := range payload {
			if err := binary.Write(all, binary.LittleEndian, data); err != nil {
				return err
			}
		}
		_, err := w.Write(sum.Sum(nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return nil
}

// header describes the run and st, without the tensors.
func (t *trainer) header(st *state) *checkpointHeader {
	h := &checkpointHeader{
		Spec: t.net.Spec(), Settings: t.settings, Data: t.hash, Images: t.images, Provider: t.settings.Provider, Block: t.block,
		Stages: len(t.stages), Stage: st.Stage, Epoch: st.Epoch, Step: st.Step,
		LossSum: math.Float64bits(st.LossSum), NormSum: math.Float64bits(st.NormSum), Seconds: math.Float64bits(st.Seconds),
		BestVal: math.Float64bits(st.BestVal), BestEpoch: st.BestEpoch, BestEpochs: st.BestEpochs,
	}
	for _, e := range st.History {
		h.History = append(h.History, e.bits())
	}
	for _, s := range st.Scores {
		h.Scores = append(h.Scores, math.Float64bits(s))
	}
	for _, s := range st.Pseudo {
		h.Pseudo = append(h.Pseudo, math.Float64bits(s))
	}
	return h
}

// load reads the checkpoint and checks that it is of this run.
func (t *trainer) load() (*state, error) {
	b, err := regular.Read(t.settings.Checkpoint)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	return t.restore(b)
}

// restore returns the state that a checkpoint's bytes hold. It trusts nothing in
// them: the checksum tells damage, not malice.
func (t *trainer) restore(b []byte) (*state, error) {
	damaged := func(what string) error {
		return fmt.Errorf("%w: %s: %s", ErrCheckpoint, t.settings.Checkpoint, what)
	}
	body, isCheckpoint := bytes.CutPrefix(b, []byte(checkpointMagic))
	if !isCheckpoint {
		return nil, damaged("not a checkpoint")
	}
	if len(body) < 4+sha256.Size {
		return nil, damaged("truncated")
	}
	end := len(b) - sha256.Size
	if sum := sha256.Sum256(b[:end]); !bytes.Equal(sum[:], b[end:]) {
		return nil, damaged("damaged: the checksum does not fit")
	}
	body = body[:len(body)-sha256.Size]
	size := int64(binary.LittleEndian.Uint32(body))
	if size > int64(len(body)-4) {
		return nil, damaged("truncated header")
	}
	var h checkpointHeader
	if err := json.Unmarshal(body[4:4+size], &h); err != nil {
		return nil, damaged("header: " + err.Error())
	}
	if err := t.sameRun(&h); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCheckpoint, t.settings.Checkpoint, err)
	}
	if h.Stage < 0 || h.Stage >= len(t.stages) || h.Epoch < 0 || h.Epoch > t.settings.Epochs || h.Step < 0 || h.Step > t.stepsIn(h.Stage) ||
		len(h.BestEpochs) != h.Stage {
		return nil, damaged(fmt.Sprintf("stage %d, epoch %d, step %d", h.Stage, h.Epoch, h.Step))
	}
	scored := 0
	for _, s := range t.stages[:h.Stage] {
		scored += len(s.held)
	}
	losses := 0 // of this stage
	for _, e := range h.History {
		if e.Stage == h.Stage+1 {
			losses++
		}
	}
	if losses != h.Epoch || len(h.Scores) != scored {
		return nil, damaged(fmt.Sprintf("got %d losses and %d scores, want %d and %d", losses, len(h.Scores), h.Epoch, scored))
	}
	if h.Block != t.block {
		t.settings.Logf("%s was written on another kind of processor: the last digits will not be those it would have given", t.settings.Checkpoint)
	}
	st := t.fresh(h.Stage, nil)
	st.Epoch, st.Step = h.Epoch, h.Step
	st.LossSum, st.NormSum, st.Seconds = math.Float64frombits(h.LossSum), math.Float64frombits(h.NormSum), math.Float64frombits(h.Seconds)
	st.BestVal, st.BestEpoch, st.BestEpochs = math.Float64frombits(h.BestVal), h.BestEpoch, h.BestEpochs
	if t.keep {
		for range st.Stage {
			st.done = append(st.done, zerosLike(st.weights))
		}
	}
	for _, e := range h.History {
		st.History = append(st.History, e.epoch())
	}
	for _, s := range h.Scores {
		st.Scores = append(st.Scores, math.Float64frombits(s))
	}
	for _, s := range h.Pseudo {
		st.Pseudo = append(st.Pseudo, math.Float64frombits(s))
	}
	return st, readTensors(body[4+size:], h.Tensors, st, damaged)
}

func readTensors(data []byte, headers []tensorHeader, st *state, damaged func(string) error) error {
	want := 0
	dst := map[string]*graph.Tensor{}
	for group, tensors := range st.groups() {
		for name, w := range tensors {
			dst[group+" "+name] = w
			want += w.Len()
		}
	}
	if len(data) != 4*want || len(headers) != len(dst) {
		return damaged(fmt.Sprintf("got %d tensors of %d bytes, want %d of %d", len(headers), len(data), len(dst), 4*want))
	}
	for _, h := range headers {
		w := dst[h.Name]
		if w == nil || !slices.Equal(w.Shape(), h.Shape) {
			return damaged(fmt.Sprintf("tensor %q of shape %v", h.Name, h.Shape))
		}
		delete(dst, h.Name)
		for i := range graph.Data[float32](w) {
			graph.Data[float32](w)[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		data = data[4*w.Len():]
	}
	return nil
}

// sameRun reports in what the run of a checkpoint differs from this one.
func (t *trainer) sameRun(h *checkpointHeader) error {
	differs := func(what string, got, want any) error {
		return fmt.Errorf("is of another run: %s: got %v, want %v", what, got, want)
	}
	switch {
	case h.Spec != t.net.Spec():
		return differs("network", h.Spec, t.net.Spec())
	case h.Data != t.hash:
		return differs("images", fmt.Sprintf("%d with hash %.12s", h.Images, h.Data), fmt.Sprintf("%d with hash %.12s", t.images, t.hash))
	case h.Stages != len(t.stages):
		return differs("networks", h.Stages, len(t.stages))
	case h.Provider != t.settings.Provider:
		return differs("provider", h.Provider, t.settings.Provider)
	}
	got, err := settingsFields(h.Settings)
	if err != nil {
		return err
	}
	want, err := settingsFields(t.settings)
	if err != nil {
		return err
	}
	delete(want, "threshold_rule") // which the networks do not depend on, and
	delete(want, "false_reject")   // may be set anew
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if g, w := string(got[name]), string(want[name]); g != w {
			return differs(name, g, w)
		}
	}
	return nil
}

// settingsFields returns the settings that the result depends on, as JSON by name.
func settingsFields(s Settings) (map[string]json.RawMessage, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	return fields, json.Unmarshal(b, &fields)
}

func pixelHash(pixels []uint8) string {
	sum := sha256.Sum256(pixels)
	return hex.EncodeToString(sum[:])
}
