package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/models"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// tiny is a network that trains in milliseconds.
var tiny = network(models.Spec{Channels: 1, Height: 16, Filters: 4, Depth: 1})

// network opens a network that learns by gradient descent.
func network(s models.Spec) models.Trainable {
	net, err := models.Open(s, nil)
	if err != nil {
		panic(err)
	}
	return net.(models.Trainable)
}

// stripes returns n images of stripes whose phase differs: something to learn.
func stripes(n, c, h, w int) *Data {
	d := &Data{}
	for i := range n {
		for y := range h {
			for x := range w {
				for k := range c {
					d.Pixels = append(d.Pixels, uint8(127+100*math.Sin(float64(x+y/2+i+k)/1.7)))
				}
			}
		}
	}
	return d
}

func fit(t *testing.T, net models.Network, data *Data, s Settings) *Result {
	t.Helper()
	s.Provider = "go"
	r, err := Fit(context.Background(), net, data, &s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func sameWeights(a, b map[string]*graph.Tensor) bool {
	for name, w := range a {
		if b[name] == nil || !slices.Equal(graph.Data[float32](w), graph.Data[float32](b[name])) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestFitLearns(t *testing.T) {
	for _, loss := range []string{"mse", "l1", "ssim", "ssim+mse:0.1"} {
		r := fit(t, tiny, stripes(24, 1, 16, 16), Settings{Loss: loss, Epochs: 12, Batch: 4, LearningRate: 1e-2, FalseReject: .01})
		first, last := r.History[0], r.History[len(r.History)-1]
		if len(r.History) != 12 || !(last.Loss < .6*first.Loss) || !(last.Val < first.Val) {
			t.Errorf("%s: got loss %v after the first and %v after the last of %d epochs", loss, first, last, len(r.History))
		}
		if n := len(r.Calibration.Scores); n != 5 {
			t.Errorf("%s: got %d scores of held-back images, want 5", loss, n)
		}
		if c := r.Calibration; !(float64(c.Threshold) >= c.Scores[len(c.Scores)-1]) {
			t.Errorf("%s: got threshold %v below the largest score of %v", loss, c.Threshold, c.Scores)
		}
	}
}

// Neither the number of workers nor a second run changes a bit; another seed does.
func TestFitIsDeterministic(t *testing.T) {
	data := stripes(23, 3, 16, 16)
	net := network(models.Spec{Channels: 3, Height: 16, Filters: 4, Depth: 1})
	s := Settings{Epochs: 2, Batch: 5, Workers: 1}
	a := fit(t, net, data, s)
	s.Workers = 3
	if b := fit(t, net, data, s); !sameWeights(a.Weights, b.Weights) || a.Calibration.Threshold != b.Calibration.Threshold {
		t.Error("3 workers give other weights than 1")
	}
	s.Seed = 2
	if b := fit(t, net, data, s); sameWeights(a.Weights, b.Weights) {
		t.Error("another seed gives the same weights")
	}
}

// Nor does a bit change where workers without an image of their own in a step help the others.
func TestFitIsDeterministicOnManyCores(t *testing.T) {
	data := stripes(12, 3, 32, 32)
	net := network(models.Spec{Model: "unet", Channels: 3, Height: 32, Filters: 8, Depth: 2})
	s := Settings{Epochs: 1, Batch: 2, Workers: 1}
	a := fit(t, net, data, s)
	s.Workers = 7
	if b := fit(t, net, data, s); !sameWeights(a.Weights, b.Weights) || a.Calibration.Threshold != b.Calibration.Threshold {
		t.Error("7 workers give other weights than 1")
	}
}

// Stopped after any step and resumed, a run ends as if it had never stopped.
// An endingContext is cancelled when it is asked for the so many-th time.
type endingContext struct {
	context.Context
	cancel context.CancelFunc
	asks   atomic.Int64 // that are left
}

func (c *endingContext) Err() error {
	if c.asks.Add(-1) < 0 {
		c.cancel()
	}
	return c.Context.Err()
}

// A run that ends between the last step of an epoch, which has fewer images than
// a batch here, and the epoch's end can be resumed like any other.
func TestResumeAfterTheLastStep(t *testing.T) {
	data := stripes(6, 1, 16, 16)
	s := Settings{Epochs: 2, Batch: 16, Loss: "mse"}
	want := fit(t, tiny, data, s)
	between := 0
	for asks := int64(0); between == 0; asks++ {
		s := s
		s.Checkpoint, s.Provider = filepath.Join(t.TempDir(), "c"), "go"
		var last Progress
		s.Progress = func(p Progress) { last = p }
		s.Logf = func(format string, args ...any) {
			if m := fmt.Sprintf(format, args...); strings.HasPrefix(m, "stopped") && strings.Contains(m, "step 1;") {
				between++
			}
		}
		ctx := &endingContext{}
		ctx.Context, ctx.cancel = context.WithCancel(context.Background())
		ctx.asks.Store(asks)
		_, err := Fit(ctx, tiny, data, &s)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("asked %d times: got %v, want context.Canceled", asks, err)
		}
		s.Progress, s.Logf, s.Resume = nil, nil, true
		if got := fit(t, tiny, data, s); !sameWeights(got.Weights, want.Weights) {
			t.Errorf("asked %d times, after epoch %d of network %d: resuming gives another result", asks, last.Epoch, last.Stage)
		}
	}
}

func TestResumeIsBitExact(t *testing.T) {
	type combination struct {
		name     string
		n        int // images: below crossFit several networks are trained
		settings Settings
		steps    []int
	}
	cases := []combination{
		{"one network", 21, Settings{}, []int{1, 4, 5, 7, 11}},
		{"cross-fitting", 6, Settings{}, []int{2, 3, 7, 17}},
		{"cross-fitting, everything on", 6, Settings{Optimizer: OptimizerAdamW, Schedule: ScheduleOneCycle, Clip: new(.1), EMA: .9, Patience: 1}, []int{2, 3, 7, 11}},
	}
	i := 0
	for _, optimizer := range Optimizers() {
		for _, schedule := range Schedules() {
			for options := range 8 {
				s := Settings{Optimizer: optimizer, Schedule: schedule}
				if options&1 != 0 {
					s.Clip = new(.05)
				}
				if options&2 != 0 {
					s.EMA = .7
				}
				if options&4 != 0 {
					s.Patience = 2
				}
				name := fmt.Sprintf("%s, %s, clip %t, ema %v, patience %v", optimizer, schedule, s.Clip != nil, s.EMA, s.Patience)
				i++
				cases = append(cases, combination{name, 21, s, []int{2 + i%10}})
			}
		}
	}
	for _, c := range cases {
		data := stripes(c.n, 1, 16, 16)
		s := c.settings
		s.Epochs, s.Batch, s.Loss, s.LearningRate = 3, 4, "ssim+mse:0.5", 5e-3
		want := fit(t, tiny, data, s)
		for _, stop := range c.steps {
			s := s
			s.Checkpoint, s.Log = filepath.Join(t.TempDir(), "c"), filepath.Join(t.TempDir(), "log")
			s.Provider = "go"
			ctx, cancel := context.WithCancel(context.Background())
			steps := 0
			s.Progress = func(Progress) {
				if steps++; steps == stop {
					cancel()
				}
			}
			if _, err := Fit(ctx, tiny, data, &s); !errors.Is(err, context.Canceled) {
				t.Fatalf("%s, stopped after step %d: got %v, want context.Canceled", c.name, stop, err)
			}
			s.Progress, s.Resume = nil, true
			got := fit(t, tiny, data, s)
			if !sameWeights(got.Weights, want.Weights) || !slices.Equal(got.Calibration.Scores, want.Calibration.Scores) || !slices.Equal(got.Pseudo.Scores, want.Pseudo.Scores) || got.Epoch != want.Epoch {
				t.Errorf("%s, stopped after step %d: resuming gives another result", c.name, stop)
			}
			same := func(a, b Epoch) bool { // but for the time
				a.Seconds, b.Seconds = 0, 0
				return a.bits() == b.bits()
			}
			if !slices.EqualFunc(got.History, want.History, same) {
				t.Errorf("%s, stopped after step %d: got history %v, want %v", c.name, stop, got.History, want.History)
			}
			lines := readLog(t, s.Log)
			last := lines[max(0, len(lines)-len(got.History)):]
			if !slices.EqualFunc(last, got.History, func(l LogLine, e Epoch) bool { return l.Epoch == e.Epoch && l.Stage == e.Stage && l.Loss == e.Loss }) {
				t.Errorf("%s, stopped after step %d: got log %v, want %v", c.name, stop, lines, got.History)
			}
		}
	}
}

func readLog(t *testing.T, path string) []LogLine {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, err := ReadLog(f)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// Every option changes the result, and is part of what makes a run the same.
func TestOptionsMatter(t *testing.T) {
	data := stripes(21, 1, 16, 16)
	path := filepath.Join(t.TempDir(), "c")
	base := Settings{Epochs: 3, Batch: 4, Checkpoint: path}
	plain := fit(t, tiny, data, base)
	for name, edit := range map[string]func(*Settings){
		"optimizer":    func(s *Settings) { s.Optimizer = OptimizerSGD },
		"schedule":     func(s *Settings) { s.Schedule = ScheduleCosine },
		"weight_decay": func(s *Settings) { s.Optimizer, s.WeightDecay = OptimizerAdamW, new(.1) },
		"clip":         func(s *Settings) { s.Clip = new(.01) },
		"ema":          func(s *Settings) { s.EMA = .5 },
	} {
		s := base
		edit(&s)
		s.Checkpoint = ""
		if sameWeights(fit(t, tiny, data, s).Weights, plain.Weights) {
			t.Errorf("%s changes nothing", name)
		}
		s.Checkpoint, s.Resume, s.Provider = path, true, "go"
		if _, err := Fit(context.Background(), tiny, data, &s); !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), "another run") {
			t.Errorf("%s: got %v, want an ErrCheckpoint", name, err)
		}
	}
}

// Training ends when the held-back loss no longer falls and returns the best
// weights: those that the epoch itself would have given.
func TestPatience(t *testing.T) {
	data := stripes(30, 1, 16, 16)
	// Far too high a rate makes the loss go up and down.
	s := Settings{Epochs: 40, Batch: 4, LearningRate: .2, Loss: "mse", Schedule: ScheduleConstant, Patience: 3}
	r := fit(t, tiny, data, s)
	best := 0
	for i, e := range r.History {
		if e.Val < r.History[best].Val {
			best = i
		}
	}
	if len(r.History) == 40 || len(r.History) != best+1+3 || r.Epoch != best+1 {
		t.Fatalf("got %d epochs and the weights of epoch %d, want the weights of epoch %d and 3 epochs more", len(r.History), r.Epoch, best+1)
	}
	s.Patience, s.Epochs = 0, best+1
	if !sameWeights(r.Weights, fit(t, tiny, data, s).Weights) {
		t.Errorf("the weights are not those of epoch %d", best+1)
	}
	// Without held-back images, the last network trains as long as the folds' median.
	s = Settings{Epochs: 20, Batch: 4, LearningRate: .2, Loss: "mse", Schedule: ScheduleConstant, Patience: 2, Log: filepath.Join(t.TempDir(), "log")}
	r = fit(t, tiny, stripes(10, 1, 16, 16), s)
	var bests []int
	for _, l := range readLog(t, s.Log) {
		if l.Best {
			bests = append(bests[:min(len(bests), l.Stage-1)], l.Epoch)
		}
	}
	slices.Sort(bests)
	if len(bests) != folds || len(r.History) != bests[folds/2] || r.Epoch != bests[folds/2] {
		t.Errorf("got %d epochs, want the median of %v", len(r.History), bests)
	}
}

func TestCheckpointErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c")
	data := stripes(20, 1, 16, 16)
	base := Settings{Epochs: 1, Batch: 8, Checkpoint: path, Provider: "go"}
	fit(t, tiny, data, base)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for _, c := range []struct {
		name  string
		bytes []byte
		net   models.Network
		data  *Data
		edit  func(*Settings)
		want  string
	}{
		{"other images", good, tiny, stripes(21, 1, 16, 16), nil, "another run: images: got 20"},
		{"other network", good, network(models.Spec{Channels: 1, Height: 16, Filters: 5, Depth: 1}), data, nil, "another run: network"},
		{"other seed", good, tiny, data, func(s *Settings) { s.Seed = 9 }, "another run: seed: got 1, want 9"},
		{"other loss", good, tiny, data, func(s *Settings) { s.Loss = "l1" }, `another run: loss: got "ssim", want "l1"`},
		{"text", []byte("hello"), tiny, data, nil, "not a checkpoint"},
		{"empty", nil, tiny, data, nil, "not a checkpoint"},
		{"truncated", good[:len(good)-100], tiny, data, nil, "checksum"},
		{"cut in the header", good[:len(checkpointMagic)+10], tiny, data, nil, "truncated"},
		{"a bit flipped", damaged, tiny, data, nil, "checksum"},
	} {
		if err := os.WriteFile(path, c.bytes, 0o644); err != nil {
			t.Fatal(err)
		}
		s := base
		s.Resume = true
		if c.edit != nil {
			c.edit(&s)
		}
		_, err := Fit(context.Background(), c.net, c.data, &s)
		if !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an ErrCheckpoint with %q", c.name, err, c.want)
		}
	}
	// Without a file there is nothing to go on from.
	s := base
	s.Checkpoint, s.Resume = filepath.Join(dir, "absent"), true
	if _, err := Fit(context.Background(), tiny, data, &s); !errors.Is(err, ErrCheckpoint) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no checkpoint: got %v, want an ErrCheckpoint that is fs.ErrNotExist", err)
	}
	// A folder that cannot be written to is an error, not a run without checkpoints.
	s.Checkpoint, s.Resume = filepath.Join(dir, "no", "such", "folder"), false
	if _, err := Fit(context.Background(), tiny, data, &s); !errors.Is(err, ErrCheckpoint) {
		t.Errorf("checkpoint in an absent folder: got %v, want an ErrCheckpoint", err)
	}
}

func TestFitErrors(t *testing.T) {
	data := stripes(4, 1, 16, 16)
	for name, s := range map[string]Settings{
		"loss":           {Loss: "psnr"},
		"epochs":         {Epochs: -1},
		"batch":          {Batch: -1},
		"learning rate":  {LearningRate: math.NaN()},
		"held-back":      {Val: 1},
		"false-reject":   {FalseReject: 2},
		"threshold rule": {ThresholdRule: "mean"},
		"optimizer":      {Optimizer: "lion"},
		"schedule":       {Schedule: "step"},
		"weight decay":   {WeightDecay: new(.1)},
		"momentum":       {Momentum: new(.9)},
		"clip":           {Clip: new(math.NaN())},
		"ema":            {EMA: 1},
		"patience":       {Patience: -1},
		"workers":        {Workers: -1},
		"checkpoint":     {Resume: true},
	} {
		if _, err := Fit(context.Background(), tiny, data, &s); !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, want an ErrSettings that names it", name, err)
		}
	}
	if _, err := Fit(context.Background(), tiny, stripes(1, 1, 16, 16), nil); !errors.Is(err, ErrSettings) {
		t.Errorf("one image: got %v, want an ErrSettings", err)
	}
	if _, err := Fit(context.Background(), tiny, &Data{Pixels: make([]uint8, 1000)}, nil); !errors.Is(err, ErrSettings) {
		t.Errorf("a size that does not divide: got %v, want an ErrSettings", err)
	}
	if _, err := Fit(context.Background(), tiny, data, &Settings{Provider: "nonsense"}); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("provider nonsense: got %v, want an error that names it", err)
	}
}

// Weights that overflow: the error names the step, an image and an operator.
func TestNonFiniteSaysWhere(t *testing.T) {
	data := stripes(20, 1, 16, 16)
	data.Names = make([]string, 20)
	for i := range data.Names {
		data.Names[i] = string(rune('a'+i)) + ".png"
	}
	tr := opened(t, tiny, data, Settings{Loss: "mse"})
	st := tr.fresh(0, nil)
	for i := range graph.Data[float32](st.weights["decoder1.weight"]) {
		graph.Data[float32](st.weights["decoder1.weight"])[i] = 3e38
	}
	loss, grads, err := tr.gradients(context.Background(), st.weights, batch{images: []int{3, 4}})
	if err != nil {
		t.Fatal(err)
	}
	err = tr.checkFinite(context.Background(), st, batch{images: []int{3, 4}}, loss, grads)
	if !errors.Is(err, ErrDiverged) {
		t.Fatalf("got %v, want an ErrDiverged", err)
	}
	for _, want := range []string{"epoch 1, step 1", "d.png", "Conv", "decoder1.weight"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want it to say %q", err, want)
		}
	}
}

func opened(t *testing.T, net models.Network, data *Data, s Settings) *trainer {
	t.Helper()
	s.Provider = "go"
	tr := newTrainer(net, data, &s)
	tr.stages = stages(tr.n, tr.settings.Val, tr.settings.Seed)
	if err := tr.open(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.close)
	return tr
}

func TestStages(t *testing.T) {
	for _, n := range []int{2, 3, 19, 20, 209} {
		ss := stages(n, .1, 1)
		var held []int
		for i, s := range ss {
			all := slices.Sorted(slices.Values(slices.Concat(s.train, s.heldBack)))
			for j, at := range all {
				if at != j {
					t.Fatalf("%d images, stage %d: got %v, want each image once", n, i, all)
				}
			}
			held = append(held, s.heldBack...)
		}
		want := n // with cross-fitting every image is held back once
		if n >= crossFit {
			want = max(fewest, int(math.Round(.1*float64(n))))
		}
		slices.Sort(held)
		if len(slices.Compact(held)) != want || len(held) != want {
			t.Errorf("%d images: got %v held back, want %d different ones", n, held, want)
		}
	}
}

func TestMicroBatch(t *testing.T) {
	for _, c := range []struct {
		size, batch int
		provider    anrt.Provider
		want        int
	}{{128, 16, "cpu", 1}, {256, 16, "cpu", 1}, {32, 128, "cpu", 16}, {32, 16, "cpu", 4}, {32, 1, "go", 1}, {128, 16, "cuda", 16}} {
		if got := microBatch(c.size, c.size, c.batch, c.provider); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

// Half of the epochs bring most of what a network learns; where the second half
// brings much, it was not done.
func TestLateFall(t *testing.T) {
	for _, tt := range []struct {
		losses []float64
		epoch  int // of the weights
		want   float64
	}{
		{[]float64{1, .6, .4}, 3, 1. / 3}, {[]float64{1, .5, .25, .25}, 4, .25 / .75}, {[]float64{1, .2, .2, .2}, 4, 0},
		{[]float64{1, .2, .2, .1, .05}, 3, 0}, {[]float64{1, .5, .6, .7}, 4, 0}, {[]float64{1, 2, 1.5, 1.2}, 4, 0}, {[]float64{1}, 1, 0}, {nil, 0, 0},
	} {
		r := &Result{Epoch: tt.epoch}
		for _, l := range tt.losses {
			r.History = append(r.History, Epoch{Loss: l})
		}
		if got := r.LateFall(); math.Abs(got-tt.want) > 1e-12 {
			t.Errorf("%v: got %v, want %v", tt.losses, got, tt.want)
		}
	}
}
