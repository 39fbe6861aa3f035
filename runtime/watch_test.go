package runtime

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/anomaly-go/anomaly/graph"
	"github.com/anomaly-go/anomaly/internal/onnxpb"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
)

// A plain network reconstructs every image as one grey value.
type plain struct {
	value         float64
	height, width int
}

func (p plain) Forward(x *graph.Value) models.Outputs {
	g := x.Graph()
	return models.Outputs{Reconstruction: graph.Add(graph.Mul(x, g.Scalar(0)), g.Scalar(p.value))}
}

func (p plain) InputSize() (channels, height, width int) { return 1, p.height, p.width }

// plainModel scores a uniform image of grey value v as |v/255-value|.
func plainModel(t testing.TB, p plain, threshold float32) []byte {
	t.Helper()
	return stamped(t, p, nil, &onnxexport.Options{Map: residual.Options{Kind: residual.L1Map}, Threshold: threshold})
}

// uniform is an image of one grey value.
func uniform(v uint8) image.Image {
	img := image.NewGray(image.Rect(0, 0, 20, 10))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

// A watched is a detector with a Watch, and what the Watch has told.
type watched struct {
	*Detector
	t      *testing.T
	ended  chan error
	cancel context.CancelFunc

	mu      sync.Mutex
	swapped []string // hashes
	failed  []error
}

const watchInterval = 5 * time.Millisecond

// watch opens the model that path stands for now and watches it.
func watch(t *testing.T, path string, gate func(ctx context.Context, current, candidate *Detector) error) *watched {
	t.Helper()
	file, err := Latest(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(file, &Options{SessionOptions: SessionOptions{Provider: Go}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{Detector: d, t: t, ended: make(chan error, 1), cancel: cancel}
	go func() {
		w.ended <- d.Watch(ctx, path, &WatchOptions{
			Interval: watchInterval, Gate: gate,
			Swapped: func(_ string, _, info ModelInfo) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.swapped = append(w.swapped, info.Hash)
			},
			Failed: func(_ string, err error) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.failed = append(w.failed, err)
			},
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-w.ended
		d.Close()
	})
	return w
}

// await returns when so many swaps and errors have been told.
func (w *watched) await(swaps, errs int) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(watchInterval) {
		w.mu.Lock()
		s, f := len(w.swapped), slices.Clone(w.failed)
		w.mu.Unlock()
		if s == swaps && len(f) == errs {
			return
		}
		if s > swaps || len(f) > errs || time.Now().After(deadline) {
			w.t.Fatalf("got %d swaps and errors %v, want %d and %d", s, f, swaps, errs)
		}
	}
}

// rest lets some looks go by, and checks that nothing more has been told.
func (w *watched) rest(swaps, errs int) {
	w.t.Helper()
	time.Sleep(8 * watchInterval)
	w.await(swaps, errs)
}

// is checks which model is in use: its result of a black image.
func (w *watched) is(value float32) {
	w.t.Helper()
	if got := detect(w.t, w.Detector, uniform(0))[0]; !(got.Score > value-1e-4 && got.Score < value+1e-4) || got.Model != w.Info().Hash {
		w.t.Errorf("score: got %v of model %s, want %v of %s", got.Score, got.Model, value, w.Info().Hash)
	}
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// put renames a new file to path.
func put(t *testing.T, path string, b []byte) {
	t.Helper()
	writeFile(t, path+".new", b)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	one := plainModel(t, plain{.25, 8, 16}, .1)
	two := plainModel(t, plain{.5, 16, 24}, .1)
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, one)
	w := watch(t, path, nil)
	w.is(.25)
	swaps, errs := 0, 0

	put(t, path, two)
	swaps++
	w.await(swaps, errs)
	w.is(.5)

	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	w.rest(swaps, errs) // touched
	put(t, path, two)
	w.rest(swaps, errs) // the same again

	for _, bad := range [][]byte{[]byte("rubbish"), nil, one[:len(one)/2], one[:len(one)-1]} {
		put(t, path, bad)
		errs++
		w.await(swaps, errs)
		w.rest(swaps, errs) // told once
		w.is(.5)
	}
	later = later.Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	w.rest(swaps, errs) // touched, and still bad
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	errs++
	w.await(swaps, errs)
	w.rest(swaps, errs)
	w.is(.5)
	put(t, path, two) // as it was
	w.rest(swaps, errs)
	put(t, path, one)
	swaps++
	w.await(swaps, errs)
	w.is(.25)
	for i, err := range w.failed {
		if !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), path) {
			t.Errorf("error %d: got %v, want ErrModel of %s", i, err, path)
		}
	}

	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if err := <-w.ended; !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
	w.ended <- nil
}

// Rights that are given late change neither size nor time.
func TestWatchRights(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, plainModel(t, plain{.25, 8, 8}, .1))
	w := watch(t, path, nil)
	next := path + ".next"
	writeFile(t, next, plainModel(t, plain{.5, 8, 8}, .1))
	if err := errors.Join(os.Chmod(next, 0), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
	w.await(0, 1)
	w.rest(0, 1)
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	w.await(1, 1)
	w.is(.5)
}

func TestWatchEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, plainModel(t, plain{.25, 8, 8}, .1))
	w := watch(t, path, nil)
	w.cancel()
	if err := <-w.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	w.ended <- nil
	w.is(.25)
	if err := w.Watch(t.Context(), path, &WatchOptions{Interval: -1}); !errors.Is(err, ErrInput) {
		t.Errorf("interval: got %v, want ErrInput", err)
	}
}

// A model that is copied into place piece by piece is not used before it is whole,
// however long the pauses.
func TestWatchSlowCopy(t *testing.T) {
	one, two := plainModel(t, plain{.25, 8, 8}, .1), plainModel(t, plain{.5, 8, 8}, .1)
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, one)
	w := watch(t, path, nil)
	f, err := os.Create(path) // what a copy does first
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, piece := range slices.Collect(slices.Chunk(two, len(two)/6)) {
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i%2*6+1) * watchInterval)
		if i < 5 {
			w.is(.25)
		}
	}
	for len(w.hashes()) == 0 {
		time.Sleep(watchInterval)
	}
	if got, want := w.hashes(), []string{Hash(two)}; !slices.Equal(got, want) {
		t.Errorf("got swaps to %v, want %v", got, want)
	}
	w.is(.5)
}

func (w *watched) hashes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.swapped)
}

// As Kubernetes changes a ConfigMap: the file is a link through a link to a
// folder, which is set anew by a rename. Size and time of the files are the same.
func TestWatchLinks(t *testing.T) {
	dir := t.TempDir()
	one, two := plainModel(t, plain{.25, 8, 8}, .1), plainModel(t, plain{.75, 8, 8}, .1)
	size := max(len(one), len(two)) + 2
	for _, b := range []*[]byte{&one, &two} { // filled up with field 10 of a ModelProto, which there is none of
		n := size - len(*b) - 2
		*b = append(append(*b, 0x52, byte(n)), make([]byte, n)...)
	}
	at := time.Unix(1e9, 0)
	for name, b := range map[string][]byte{"..v1": one, "..v2": two} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name, "model.onnx")
		writeFile(t, file, b)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to, name string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(dir, "new")); err != nil {
			t.Skip("no symbolic links: ", err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..v1", "..data")
	link(filepath.Join("..data", "model.onnx"), "model.onnx")
	w := watch(t, dir, nil) // as a folder, where all but the link is hidden
	w.is(.25)
	link("..v2", "..data")
	w.await(1, 0)
	w.is(.75)
	link("..v1", "..data")
	w.await(2, 0)
	w.is(.25)
}

func TestWatchFolder(t *testing.T) {
	dir := t.TempDir()
	model := func(value float64) []byte { return plainModel(t, plain{value, 8, 8}, .1) }
	writeFile(t, filepath.Join(dir, "part-v9.onnx"), model(.5))
	writeFile(t, filepath.Join(dir, "part-v8.onnx"), model(.25))
	w := watch(t, dir, nil)
	w.is(.5)
	put(t, filepath.Join(dir, "part-v10.onnx"), model(.75))
	w.await(1, 0)
	w.is(.75)
	if err := os.Remove(filepath.Join(dir, "part-v10.onnx")); err != nil {
		t.Fatal(err)
	}
	w.await(2, 0)
	w.is(.5)
	writeFile(t, filepath.Join(dir, ".part-v11.onnx"), model(.25)) // as rsync and ours write before they rename
	writeFile(t, filepath.Join(dir, "part-v11.onnx.part"), model(.25))
	w.rest(2, 0)
	for _, name := range []string{"part-v9.onnx", "part-v8.onnx"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// One look may have come between the two, and its second before the other.
	for len(w.errors()) == 0 {
		time.Sleep(watchInterval)
	}
	time.Sleep(8 * watchInterval)
	if last := w.errors()[len(w.errors())-1]; !errors.Is(last, ErrModel) || !strings.Contains(last.Error(), dir) {
		t.Errorf("empty folder: got %v, want ErrModel of %s", last, dir)
	}
}

func (w *watched) errors() []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.failed)
}

func TestLatest(t *testing.T) {
	dir := t.TempDir()
	if got, err := Latest(dir); !errors.Is(err, ErrModel) {
		t.Errorf("empty folder: got %q, %v, want ErrModel", got, err)
	}
	if got, err := Latest(filepath.Join(dir, "x")); !errors.Is(err, ErrModel) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: got %q, %v, want ErrModel and ErrNotExist", got, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "z.onnx"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m-2.onnx", "m-010.onnx", "M-99.ONNX", "m-10.onnx", ".z9.onnx", "z.onnx.0001-abc"} {
		writeFile(t, filepath.Join(dir, name), nil)
	}
	if got, err := Latest(dir); err != nil || filepath.Base(got) != "m-10.onnx" {
		t.Errorf("got %q, %v, want m-10.onnx", got, err)
	}
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"a", "a", 0}, {"a", "b", -1}, {"a9", "a10", -1}, {"a09", "a9", -1}, {"a1b2", "a1b10", -1}, {"a", "a1", -1},
		{"2024-05-02", "2024-11-30", -1}, {"v1.9", "v1.10", -1}, {"a10b", "a9c", 1}, {"99999999999999999999999", "100000000000000000000000", -1},
	} {
		if got := compareNames(tt.a, tt.b); got != tt.want {
			t.Errorf("compareNames(%q, %q): got %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := compareNames(tt.b, tt.a); got != -tt.want {
			t.Errorf("compareNames(%q, %q): got %d, want %d", tt.b, tt.a, got, -tt.want)
		}
	}
}

func TestWatchGate(t *testing.T) {
	one, two := plainModel(t, plain{.25, 8, 8}, .1), plainModel(t, plain{.5, 16, 8}, .1)
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, one)
	refusal := errors.New("it is worse")
	var open sync.Mutex // guards pass
	pass := false
	w := watch(t, path, func(ctx context.Context, current, candidate *Detector) error {
		open.Lock()
		defer open.Unlock()
		a, err := current.Detect(ctx, uniform(255))
		if err != nil {
			return err
		}
		b, err := candidate.Detect(ctx, uniform(255))
		if err != nil {
			return err
		}
		if a[0].Score != .75 || b[0].Score != .5 {
			return fmt.Errorf("got scores %v and %v, want .75 and .5", a[0].Score, b[0].Score)
		}
		if !pass {
			return refusal
		}
		return nil
	})
	put(t, path, two)
	w.await(0, 1)
	w.rest(0, 1)
	w.is(.25)
	if err := w.errors()[0]; !errors.Is(err, refusal) {
		t.Errorf("got %v, want %v", err, refusal)
	}
	open.Lock()
	pass = true
	open.Unlock()
	w.rest(0, 1) // nobody has asked again
	put(t, path, two)
	w.await(1, 1)
	w.is(.5)
}

// A gate that closes, swaps or keeps what it is lent does no harm but to itself.
func TestWatchGateMisbehaves(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other.onnx")
	writeFile(t, other, plainModel(t, plain{.75, 8, 8}, .1))
	var kept *Detector
	for _, tt := range []struct {
		name  string
		gate  func(ctx context.Context, current, candidate *Detector) error
		swaps int
	}{
		{"closes", func(_ context.Context, _, candidate *Detector) error { return candidate.Close() }, 0},
		{"swaps", func(ctx context.Context, _, candidate *Detector) error { return candidate.Swap(ctx, other) }, 0},
		{"keeps", func(_ context.Context, _, candidate *Detector) error { kept = candidate; return nil }, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.onnx")
			writeFile(t, path, plainModel(t, plain{.25, 8, 8}, .1))
			w := watch(t, path, tt.gate)
			put(t, path, plainModel(t, plain{.5, 8, 8}, .1))
			w.await(tt.swaps, 1-tt.swaps)
			w.is(map[int]float32{0: .25, 1: .5}[tt.swaps])
			if kept != nil {
				if _, err := kept.Detect(t.Context(), uniform(0)); !errors.Is(err, ErrClosed) {
					t.Errorf("got %v, want ErrClosed", err)
				}
			}
		})
	}
}

// A model is known by its file, however it is run.
func TestWatchHalf(t *testing.T) {
	needProvider(t, CPU)
	s := newSketch(14)
	s.input("input", float16, "n", 3, 16, 24)
	s.mean("input", "anomaly_map", float16, 1)
	s.output("anomaly_map", float16, "n", 1, 16, 24)
	b := s.bytes(t)
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, b)
	d := openDetector(t, b, &Options{SessionOptions: SessionOptions{Provider: CPU}})
	if got, want := d.Info().Hash, Hash(b); got != want {
		t.Errorf("hash: got %s, want the file's, %s", got, want)
	}
	w := &watcher{detector: d, path: path, options: (&WatchOptions{
		Swapped: func(string, ModelInfo, ModelInfo) { t.Error("swapped for itself") },
		Failed:  func(_ string, err error) { t.Error(err) },
	}).withDefaults(nil)}
	for range 6 { // enough to settle, with what may lie beside it
		if err := w.look(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Swap and Watch refuse a model whose self-test fails.
func TestWatchSelfTest(t *testing.T) {
	good := selfTested(t, models.Spec{Height: 16, Width: 16, Filters: 4, Channels: 1}, 1, nil)
	damaged := edit(t, good, func(g *onnxpb.GraphProto) {
		for _, w := range g.Initializer {
			if len(w.GetDims()) == 4 {
				clear(w.RawData)
				return
			}
		}
	})
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, plainModel(t, plain{.25, 8, 8}, .1))
	w := watch(t, path, nil)
	put(t, path, damaged)
	w.await(0, 1)
	w.is(.25)
	if err := w.errors()[0]; !strings.Contains(err.Error(), "self-test") {
		t.Errorf("got %v, want an error of the self-test", err)
	}
	if err := w.Swap(t.Context(), path); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "self-test") {
		t.Errorf("Swap: got %v, want an error of the self-test", err)
	}
	w.is(.25)
	put(t, path, good)
	w.await(1, 1)
	// Nothing else than a model without one is used as it is.
	put(t, path, detectorModel(t, models.Spec{Height: 16, Filters: 4}, nil))
	w.await(2, 1)
}

// A model's weights in another file are part of its content.
func TestWatchExternal(t *testing.T) {
	spec := models.Spec{Height: 16, Width: 16, Filters: 4, Channels: 1}
	split := func(seed uint64) (model, weights []byte) {
		whole := selfTested(t, spec, seed, nil)
		model = edit(t, whole, func(g *onnxpb.GraphProto) {
			for _, w := range g.Initializer {
				if len(w.GetDims()) != 4 {
					continue
				}
				for k, v := range map[string]string{"location": "weights.bin", "offset": itoa(len(weights)), "length": itoa(len(w.RawData))} {
					w.ExternalData = append(w.ExternalData, &onnxpb.StringStringEntryProto{Key: proto.String(k), Value: proto.String(v)})
				}
				slices.SortFunc(w.ExternalData, func(a, b *onnxpb.StringStringEntryProto) int {
					return strings.Compare(a.GetKey(), b.GetKey())
				})
				weights = append(weights, w.RawData...)
				w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
			}
		})
		return model, weights
	}
	dir := t.TempDir()
	path, beside := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "weights.bin")
	model, weights := split(1)
	writeFile(t, path, model)
	writeFile(t, beside, weights)
	w := watch(t, path, nil)
	first := w.Info().Hash
	w.rest(0, 0)

	// The second model's file with the first one's weights is caught by its
	// self-test; with half of its own it is no model; with all of them it is used.
	model2, weights2 := split(2)
	if bytes.Equal(weights, weights2) {
		t.Fatal("both models have the same weights")
	}
	put(t, path, model2)
	w.await(0, 1)
	put(t, beside, weights2[:len(weights2)/2])
	w.await(0, 2)
	w.rest(0, 2)
	put(t, beside, weights2)
	w.await(1, 2)
	if w.Info().Hash == first {
		t.Error("the hash is that of the first model")
	}
	for i, want := range []string{"self-test", "weight"} {
		if err := w.errors()[i]; !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %d: got %v, want ErrModel with %q", i, err, want)
		}
	}
}

// Results are those of one model each while a watched file goes back and forth.
func TestWatchUnderLoad(t *testing.T) {
	one, two := plainModel(t, plain{.25, 8, 16}, .1), plainModel(t, plain{.5, 24, 8}, .6)
	path := filepath.Join(t.TempDir(), "model.onnx")
	writeFile(t, path, one)
	w := watch(t, path, nil)
	scores := map[string]float32{Hash(one): .25, Hash(two): .5}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := w.Detect(t.Context(), uniform(0), uniform(0))
				if err != nil {
					t.Error(err)
					return
				}
				for _, r := range r {
					if want := scores[r.Model]; r.Score != want || r.Anomalous != (want == .25) {
						t.Errorf("got score %v, anomalous %v of model %.8s, want %v", r.Score, r.Anomalous, r.Model, want)
					}
				}
			}
		})
	}
	for i := range 6 {
		put(t, path, [][]byte{two, one}[i%2])
		w.await(i+1, 0)
	}
	cancel()
	wg.Wait()
}

// Swap says which model took over from which.
func TestSwapSays(t *testing.T) {
	spec := models.Spec{Height: 16, Filters: 2, Depth: 1}
	a, b := detectorModel(t, spec, &onnxexport.Options{Threshold: .1}), detectorModel(t, spec, &onnxexport.Options{Threshold: .2})
	path := filepath.Join(t.TempDir(), "b.onnx")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var said []string
	det, err := OpenBytes(a, &Options{SessionOptions: SessionOptions{Provider: Go, Logf: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}})
	if err != nil {
		t.Fatal(err)
	}
	defer det.Close()
	said = nil
	if err := det.Swap(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("now using %s (%.12s), in place of %.12s", path, Hash(b), Hash(a))
	if len(said) == 0 || said[len(said)-1] != want {
		t.Errorf("got %q, want %q", said, want)
	}
}
