package main

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/npy"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// tiny is of work that takes no time.
func tiny(t *testing.T) settings {
	dir := t.TempDir()
	s := settings{
		size: 64, features: 64, unet: 32, images: 4, batch: 2, most: 4, largest: 64, many: []int{3, 5}, turn: time.Millisecond, rounds: 2, limit: time.Second,
		data: filepath.Join(dir, "none"), page: filepath.Join(dir, "page.md"), json: filepath.Join(dir, "bench", "results.json"), plot: filepath.Join(dir, "plot.png"),
	}
	if err := os.WriteFile(s.page, []byte("before\n"+beginning+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// The names and targets that others read results by.
func TestRows(t *testing.T) {
	want := map[string]float64{
		"train/mse": .65, "train/ssim": .65, "train/unet": .8, "infer/b1": 1, "infer/b16": 1, "infer/features": 1, "infer/reduced": .4,
		"files/loop": .55, "files/pool": .85, "files/pictures": .5, "files/decode": 1.25, "go/infer": 2, "go/features": 2.5, "go/train": 3,
	}
	got := map[string]float64{}
	for _, r := range rows {
		got[r.name] = r.target
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The program that rows start for a side of their own is, in a test, this one.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == childCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// A process of our own computes and times what it is asked to, says what it cannot, and
// ends when nothing more is asked.
func TestChild(t *testing.T) {
	b := &bench{settings: tiny(t), dir: t.TempDir(), made: map[string]any{}}
	needCPU(t)
	f, err := b.reduced(t.Context(), onnxexport.Int8)
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.startChild(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	images, maps := filepath.Join(b.dir, "images.npy"), filepath.Join(b.dir, "maps.npy")
	pix := pictures(3, f.height, f.width)
	if err := writeArray(images, []int{3, f.height, f.width, 3}, pix); err != nil {
		t.Fatal(err)
	}
	ask := func(provider anrt.Provider) (*remote, []float64, error) {
		return c.prepare(childCommand, map[string]any{"model": f.path, "images": images, "map": maps, "provider": provider})
	}
	if _, _, err := ask("nonsense"); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a provider that there is not: got %v", err)
	}
	r, scores, err := ask(anrt.Go)
	if err != nil {
		t.Fatal(err)
	}
	d, err := detector(t.Context(), f, anrt.Go, pix, 3)
	if err != nil {
		t.Fatal(err)
	}
	_, got, err := npy.Load[float32](maps)
	if err != nil || apart(scores, d.scores) > mapTol || apart(got, d.maps) > mapTol {
		t.Errorf("got scores %v, want %v; %v", scores, d.scores, err)
	}
	if ms, err := r.run(t.Context(), 2); err != nil || len(ms) != 2 || !(ms[0] > 0) {
		t.Errorf("got times %v, %v", ms, err)
	}
	if err := errors.Join(d.close(), c.close()); err != nil {
		t.Error(err)
	}
}

// needCPU skips where there is no ONNX Runtime.
func needCPU(t *testing.T) {
	for _, a := range anrt.Diagnose(nil).Providers {
		if a.Provider == anrt.CPU && !a.Usable {
			t.Skip("provider cpu cannot be used: ", a.Problem)
		}
	}
}

// Rows without Python compute the same on both sides, and are timed.
func TestOurs(t *testing.T) {
	needCPU(t)
	b := &bench{settings: tiny(t), dir: t.TempDir(), made: map[string]any{}}
	for _, name := range []string{"go/infer", "go/train"} {
		r := rows[slices.IndexFunc(rows, func(r row) bool { return r.name == name })]
		m, err := b.measure(t.Context(), r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !(m.ours.best > 0 && m.ours.best <= m.ours.median && m.peer.best > 0 && m.peer.best <= m.peer.median) {
			t.Errorf("%s: got %+v", name, m)
		}
	}
}

// The whole of it, small, where there are the peers.
func TestPeers(t *testing.T) {
	needCPU(t)
	s := tiny(t)
	s.python = filepath.Join(testenv.Root(), ".venv-peers", "bin", "python")
	if _, err := os.Stat(s.python); err != nil {
		t.Skip("no peers: ", err, " (scripts/setup peers)")
	}
	s.binary = filepath.Join(t.TempDir(), "anomaly")
	if out, err := exec.Command("go", "build", "-o", s.binary, "github.com/anomaly-go/anomaly/cmd/anomaly").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := run(t.Context(), s); err != nil {
		t.Error(err)
	}
	b, err := os.ReadFile(s.json)
	if err != nil {
		t.Fatal(err)
	}
	var results []result
	if err := json.Unmarshal(b, &results); err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if results[i].Name != r.name {
			t.Errorf("got %s, want %s", results[i].Name, r.name)
		}
	}
	page, err := os.ReadFile(s.page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n" + beginning, "| `train/mse` | training step", "made-up PNG", "other work took", "| image files of one run |", "](plot.png)", end + "after\n"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("got\n%s\nwant it to say %q", page, want)
		}
	}
	f, err := os.Open(s.plot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, kind, err := image.DecodeConfig(f); err != nil || kind != "png" {
		t.Errorf("plot: got %s, %v", kind, err)
	}
}

// counted is a side that takes as long as it is told and notes who worked when.
type counted struct {
	name  string
	takes float64
	log   *[]string
}

func (c counted) run(_ context.Context, times int) ([]float64, error) {
	*c.log = append(*c.log, c.name)
	return slices.Repeat([]float64{c.takes}, times), nil
}
func (counted) close() error { return nil }

// Sides work in turn, each as often as its time allows.
func TestAlternate(t *testing.T) {
	var log []string
	b := &bench{settings: settings{turn: 100 * time.Millisecond, rounds: 3, limit: time.Minute}}
	one, two, err := b.alternate(t.Context(), counted{"a", 10, &log}, counted{"b", 200, &log})
	if err != nil {
		t.Fatal(err)
	}
	if len(one) != 30 || len(two) != 3 {
		t.Errorf("got %d and %d runs, want 30 and 3", len(one), len(two))
	}
	if got, want := strings.Join(log, ""), "ab"+"aab"+"baa"+"aab"; got != want {
		t.Errorf("got the order %s, want %s", got, want)
	}
}

// A row whose sides differ is an error, and so is a number that is none.
func TestDifferent(t *testing.T) {
	b := &bench{settings: settings{turn: time.Millisecond, rounds: 1}}
	for _, tt := range []struct {
		difference float64
		fails      bool
	}{{.01, false}, {.02, true}, {math.NaN(), true}, {math.Inf(1), true}} {
		var log []string
		r := row{tolerance: .01, open: func(context.Context, *bench) (*pair, error) {
			return &pair{ours: counted{"a", 6, &log}, peer: counted{"b", 3, &log}, units: 2, difference: tt.difference}, nil
		}}
		m, err := b.measure(t.Context(), r)
		if failed := err != nil; failed != tt.fails || failed != (len(log) == 0) {
			t.Errorf("difference %v: got %v after %d turns", tt.difference, err, len(log))
		}
		if err == nil && (m.ours.best != 3 || m.peer.median != 1.5 || m.ratio() != 2) {
			t.Errorf("got %+v", m)
		}
	}
}

func TestApart(t *testing.T) {
	for _, tt := range []struct {
		got, want []float64
		apart     float64
	}{
		{[]float64{1, 4}, []float64{1, 4}, 0},
		{[]float64{1, 5}, []float64{1, 4}, .25},
		{[]float64{0}, []float64{0}, 0},
		{[]float64{1}, []float64{1, 4}, math.Inf(1)},
		{nil, nil, math.Inf(1)},
		{[]float64{math.NaN()}, []float64{1}, math.Inf(1)},
	} {
		if got := apart(tt.got, tt.want); got != tt.apart {
			t.Errorf("%v and %v: got %v, want %v", tt.got, tt.want, got, tt.apart)
		}
	}
}

// Results have the fields that are promised, null where nothing was measured.
func TestResults(t *testing.T) {
	p := page{measured: []measured{
		{row: row{name: "a", with: "x", target: .5}, ours: times{1.23456, 2}, peer: times{2, 3}},
		{row: row{name: "b", with: "y", target: 1}, why: "nothing to do it with"},
	}}
	b, err := json.Marshal(p.results())
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"a","ours_ms":1.235,"peer":"x","peer_ms":2,"ratio":0.6173,"target":0.5},{"name":"b","ours_ms":null,"peer":"y","peer_ms":null,"ratio":null,"target":1}]`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	if _, err := p.into("a page without the marks"); err == nil {
		t.Error("a page without the marks: got no error")
	}
}

// What a run that is stopped, or has no peers, says.
func TestRunErrors(t *testing.T) {
	s := tiny(t)
	s.python = filepath.Join(t.TempDir(), "python")
	if err := run(t.Context(), s); err == nil || !strings.Contains(err.Error(), "scripts/setup peers") {
		t.Errorf("no Python: got %v", err)
	}
	if b, err := os.ReadFile(s.page); err != nil || !strings.Contains(string(b), "old") {
		t.Errorf("the page: got %s, %v", b, err)
	}
}

// A side of training ends with an error where training does, and when it is closed.
func TestFitting(t *testing.T) {
	b := &bench{settings: tiny(t)}
	if _, err := b.startFitting(t.Context(), trained{loss: "none"}, anrt.Go); err == nil {
		t.Error("no such loss: got no error")
	}
	f, err := b.startFitting(t.Context(), trained{loss: "mse"}, anrt.Go)
	if err != nil {
		t.Fatal(err)
	}
	ms, err := f.run(t.Context(), epochSteps+2) // into the next epoch
	if err != nil || len(ms) != epochSteps+2 || slices.Min(ms) <= 0 {
		t.Errorf("got %v, %v", ms, err)
	}
	if !(f.first[2] < f.first[0]) {
		t.Errorf("losses of the first steps: got %v, want them to fall", f.first)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.run(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := f.close(); err != nil {
		t.Error(err)
	}
}

// The memory of a process that is being watched is its own, not that of this one.
func TestWatchMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("the system does not say: ", err)
	}
	ballast := make([]byte, 200<<20)
	for i := 0; i < len(ballast); i += 4096 {
		ballast[i] = 1
	}
	cmd := exec.Command("sleep", ".2")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	most := watchMemory(cmd.Process.Pid)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if mb := most(); !(mb > 0 && mb < 100) {
		t.Errorf("got %v MB of a process that sleeps beside one of %d MB", mb, len(ballast)>>20)
	}
	own := watchMemory(os.Getpid())
	if mb := own(); mb < 200 {
		t.Errorf("got %v MB of this process, want more than its ballast", mb)
	}
	goruntime.KeepAlive(ballast)
}

func TestSum(t *testing.T) {
	grey, rgba := image.NewGray(image.Rect(0, 0, 2, 1)), image.NewRGBA(image.Rect(0, 0, 2, 1))
	grey.SetGray(1, 0, color.Gray{7})
	rgba.SetRGBA(1, 0, color.RGBA{1, 2, 3, 255})
	if g, c := sum(grey), sum(rgba); g != 21 || c != 6 {
		t.Errorf("got %v and %v, want 21 and 6", g, c)
	}
	if s := sum(image.NewGray16(grey.Rect)); !math.IsNaN(s) {
		t.Errorf("16 bits: got %v, want NaN", s)
	}
}
