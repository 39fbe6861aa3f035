//go:build !edge

package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A hook is a receiver of webhooks that can be away.
type hook struct {
	t       *testing.T
	address string

	mu     sync.Mutex
	bodies []map[string]any
}

// newHook returns one that is away, at an address that is free.
func newHook(t *testing.T) *hook {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return &hook{t: t, address: l.Addr().String()}
}

// url is that of an output.
func (h *hook) url() string { return "webhook+http://" + h.address + "/found" }

func (h *hook) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		h.t.Error(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bodies = append(h.bodies, body)
}

// arrive makes it be there until the function that it returns is called.
func (h *hook) arrive() (leave func()) {
	h.t.Helper()
	l, err := net.Listen("tcp", h.address)
	must(h.t, err)
	server := &http.Server{Handler: h}
	go server.Serve(l)
	h.t.Cleanup(func() { server.Close() })
	return func() { server.Close() }
}

// got waits for n messages in all and returns their images' names.
func (h *hook) got(n int) (names []string) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		bodies := slices.Clone(h.bodies)
		h.mu.Unlock()
		if len(bodies) >= n {
			for _, b := range bodies {
				names = append(names, filepath.Base(fmt.Sprint(b["path"])))
			}
			return names
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("got %d messages, want %d: %v", len(bodies), n, bodies)
		}
	}
}

// printed are the names in the objects that a command printed.
func printed(t *testing.T, stdout string) (names []string) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var f struct{ Path string }
		must(t, json.Unmarshal([]byte(line), &f))
		names = append(names, filepath.Base(f.Path))
	}
	return names
}

// TestWatchOutputs: a webhook that is away, goes away again, and is away when the
// command ends and begins anew, gets everything, in order.
func TestWatchOutputs(t *testing.T) {
	dir := t.TempDir()
	images, spool, rejects := filepath.Join(dir, "images"), filepath.Join(dir, "spool"), filepath.Join(dir, "rejects")
	strict := withThreshold(t, "1e-9")
	h := newHook(t)
	n := 0
	save := func() {
		t.Helper()
		must(t, writePNG(filepath.Join(images, fmt.Sprintf("%02d.png", n)), goodImage(n)))
		n++
	}
	save()
	start := func() *watching {
		return startWatching(t, "--json", "--spool", spool, "--output", h.url(), "--output", "rejects:"+rejects, strict, images)
	}
	w := start()
	w.awaitLines(1)
	w.awaitLog("output is away")
	must(t, os.WriteFile(filepath.Join(images, "torn.png"), []byte("torn"), 0o644))
	w.awaitLines(2)
	leave := h.arrive()
	h.got(2)
	w.awaitLog("output is back")
	leave()
	for range 3 {
		save()
		w.awaitLines(n + 1)
	}
	w.await("being away again", func(_, log string) bool { return strings.Count(log, "output is away") == 2 })
	if code := w.end(); code != exitFailure { // for the torn one
		t.Errorf("got exit code %d, want %d: %s", code, exitFailure, &w.log)
	}
	want := printed(t, w.out.String())
	if !strings.Contains(w.log.String(), "3 messages not delivered: kept in "+spool) {
		t.Errorf("it does not say what waits: %s", &w.log)
	}

	must(t, os.RemoveAll(images))
	save()
	h.arrive()
	w = start()
	w.awaitLines(1)
	want = append(want, printed(t, w.out.String())...)
	got := h.got(n + 1)
	w.end()
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v, as it was printed", got, want)
	}
	first, torn := h.bodies[0], h.bodies[1]
	if first["model_name"] != filepath.Base(strings.TrimSuffix(strict, ".onnx")) || first["anomalous"] != true || len(fmt.Sprint(first["model_hash"])) != 64 || torn["error"] == nil {
		t.Errorf("got %v and %v", first, torn)
	}
	kept, err := filepath.Glob(filepath.Join(rejects, "*.png"))
	must(t, err)
	if len(kept) != n {
		t.Errorf("got %v, want %d rejects", kept, n)
	}
	if last := filepath.Join(images, fmt.Sprintf("%02d.png", n-1)); len(kept) > 0 && !bytes.Equal(mustRead(t, kept[len(kept)-1]), mustRead(t, last)) {
		t.Errorf("the last reject is not %s", last)
	}
}

// TestServeOutputs: pictures that are posted, one that is none, and a tensor of pixels.
func TestServeOutputs(t *testing.T) {
	dir := t.TempDir()
	spool, rejects := filepath.Join(dir, "spool"), filepath.Join(dir, "rejects")
	h := newHook(t)
	s := startService(t, "--spool", spool, "--output", h.url(), "--output", "rejects:"+rejects, withThreshold(t, "1e-9"))
	post := func(route, body string, want int) {
		t.Helper()
		a, err := http.Post(s.url+route, "application/octet-stream", strings.NewReader(body))
		must(t, err)
		defer a.Body.Close()
		if b, _ := io.ReadAll(a.Body); a.StatusCode != want {
			t.Fatalf("got status %d, want %d: %s", a.StatusCode, want, b)
		}
	}
	var models []struct{ Name string }
	a, err := http.Get(s.url + "/v1/models")
	must(t, err)
	must(t, json.NewDecoder(a.Body).Decode(&models))
	a.Body.Close()
	name := models[0].Name
	file := filepath.Join(dir, "a.png")
	must(t, writePNG(file, goodImage(1)))
	post("/v1/models/"+name+"/images", string(mustRead(t, file)), http.StatusOK)
	post("/v1/models/"+name+"/images", "rubbish", http.StatusUnsupportedMediaType)
	pixels := strings.TrimSuffix(strings.Repeat("7,", 16*16), ",")
	post("/v2/models/"+name+"/infer", `{"inputs": [{"name": "input", "datatype": "UINT8", "shape": [1,16,16,1], "data": [`+pixels+`]}]}`, http.StatusOK)
	h.arrive()
	h.got(3)
	for i, want := range []string{"anomalous", "error", "anomalous"} {
		if b := h.bodies[i]; b[want] == nil || b["model_name"] != name {
			t.Errorf("message %d: got %v, want %s of %s", i, b, want, name)
		}
	}
	a, err = http.Get(s.url + "/metrics")
	must(t, err)
	metrics, _ := io.ReadAll(a.Body)
	a.Body.Close()
	if !strings.Contains(string(metrics), `anomaly_output_waiting{output="webhook+http://`) {
		t.Errorf("metrics lack the output: %s", metrics)
	}
	s.end(t)
	kept, err := filepath.Glob(filepath.Join(rejects, "*.png"))
	must(t, err)
	if len(kept) != 2 || !bytes.Equal(mustRead(t, kept[0]), mustRead(t, file)) {
		t.Fatalf("got %v, want the file that was posted, and the pixels", kept)
	}
	if size := readPNG(t, kept[1]).Bounds().Size(); size.X != 16 || size.Y != 16 {
		t.Errorf("the pixels: got %v, want 16x16", size)
	}
}

// TestWorkerOutputs: findings and what was parked.
func TestWorkerOutputs(t *testing.T) {
	dir := t.TempDir()
	images, rejects := filepath.Join(dir, "images"), filepath.Join(dir, "rejects")
	must(t, writePNG(filepath.Join(images, "a.png"), goodImage(1)))
	must(t, os.WriteFile(filepath.Join(images, "torn.png"), []byte("torn"), 0o644))
	h := newHook(t)
	h.arrive()
	w := startWorker(t, "--spool", filepath.Join(dir, "spool"), "--output", h.url(), "--output", "rejects:"+rejects, withThreshold(t, "1e-9"))
	submit := func() {
		t.Helper()
		mustRun(t, exitFailure, "submit", "--nats", w.url, images) // for the torn one
	}
	submit()
	got := h.got(2)
	if slices.Sort(got); !slices.Equal(got, []string{"a.png", "torn.png"}) {
		t.Errorf("got %v", got)
	}
	must(t, writePNG(filepath.Join(images, "b.png"), goodImage(2)))
	submit() // a.png has its finding, and is not told again
	h.got(3)
	w.end(t)
	told := map[string]string{}
	for _, b := range h.bodies {
		if name := fmt.Sprint(b["path"]); name != "torn.png" { // which is parked each time that it is submitted
			told[name] += fmt.Sprint(b["anomalous"], ";")
		} else if b["error"] == nil {
			t.Errorf("torn.png: got %v, want an error", b)
		}
	}
	if want := map[string]string{"a.png": "true;", "b.png": "true;"}; !maps.Equal(told, want) {
		t.Errorf("got %v, want %v", told, want)
	}
	kept, err := filepath.Glob(filepath.Join(rejects, "*.png"))
	must(t, err)
	if len(kept) != 2 || !bytes.Equal(mustRead(t, kept[0]), mustRead(t, filepath.Join(images, "a.png"))) {
		t.Errorf("got rejects %v, want a.png and b.png", kept)
	}
}

// TestOutputUsage: what is wrong with outputs is said before anything is done.
func TestOutputUsage(t *testing.T) {
	spool := t.TempDir()
	for _, command := range [][]string{{"run", "--watch", "absent.onnx", "absent"}, {"serve", "absent"}, {"worker", "--nats", "nats://127.0.0.1:1"}} {
		for _, tt := range []struct{ flags, want string }{
			{"--output ftp://host/x", `--output: got "ftp", want webhook+https://…, mqtt://…, opcua://… or rejects:DIR`},
			{"--output mqtt://host", `got topic "", want one behind the host`},
			{"--output webhook+https://u:secret@host/", "got a password in the URL: want it in a file or the environment"},
			{"--output=", "--output: got nothing, want URL"},
			{"--spool x", "--spool needs --output"},
		} {
			args := append(slices.Clone(command), strings.Fields(tt.flags)...)
			if !strings.HasPrefix(tt.flags, "--spool") {
				args = append(args, "--spool", spool)
			}
			if command[0] == "run" {
				args = slices.Concat(args[:2], args[4:], []string{tinyModel(t), spool})
			}
			_, stderr := mustRun(t, exitUsage, args...)
			if !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "secret@") {
				t.Errorf("%s %s: got %s, want %q", command[0], tt.flags, stderr, tt.want)
			}
		}
	}
	_, stderr := mustRun(t, exitUsage, "run", tinyModel(t), spool, "--output", "rejects:x")
	if !strings.Contains(stderr, "--output needs --watch") {
		t.Errorf("without --watch: got %s", stderr)
	}
}
