package outputs

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/heatmap"
	"github.com/anomaly-go/anomaly/internal/testenv"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
)

const testSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" // the specification's example

// testEvent is the event of a path, anomalous or not.
func testEvent(path string, anomalous bool) *judge.Event {
	threshold, verdict := float32(.3), runtime.Good
	if anomalous {
		verdict = runtime.Anomalous
	}
	return &judge.Event{
		ModelName: "bottle", ModelHash: strings.Repeat("ab", 32),
		Finding: &judge.Finding{Path: path, Score: .41, Threshold: &threshold, Anomalous: &anomalous, Verdict: verdict, Regions: []heatmap.Region{}},
	}
}

// testOptions deliver at once and log to a buffer.
func testOptions(t *testing.T) (*Options, *testenv.Buffer) {
	log := &testenv.Buffer{}
	return &Options{Spool: t.TempDir(), Logger: slog.New(slog.NewJSONHandler(log, nil)), firstWait: time.Millisecond}, log
}

func open(t *testing.T, o *Options, urls ...string) *Outputs {
	t.Helper()
	outs, err := Open(urls, o)
	if err != nil {
		t.Fatal(err)
	}
	return outs
}

// closed closes outputs once all is delivered.
func closed(t *testing.T, outs *Outputs) {
	t.Helper()
	until(t, "all is delivered", func() bool {
		for _, s := range outs.Stats() {
			if s.Waiting > 0 {
				return false
			}
		}
		return true
	})
	if left := outs.Close(t.Context()); left != 0 {
		t.Fatalf("got %d messages left, want none", left)
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for begin := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("not after 20 s: %s", what)
		}
	}
}

// A receiver takes webhooks.
type receiver struct {
	mu     sync.Mutex
	heads  []http.Header
	bodies []string
	status func(n int) int // of the n-th request, from 0; nil is 200
	n      int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, _ := io.ReadAll(q.Body)
	status := 200
	if r.status != nil {
		status = r.status(r.n)
	}
	r.n++
	if status == 200 {
		r.heads, r.bodies = append(r.heads, q.Header), append(r.bodies, string(body))
	}
	w.WriteHeader(status)
}

// paths are those of the messages that were received.
func (r *receiver) paths(t *testing.T) []string {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	return pathsOf(t, r.bodies)
}

func pathsOf(t *testing.T, bodies []string) (list []string) {
	t.Helper()
	for _, b := range bodies {
		var m struct{ Path string }
		if err := json.Unmarshal([]byte(b), &m); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		list = append(list, m.Path)
	}
	return list
}

func numbered(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("%03d.png", i))
	}
	return list
}

func TestWebhook(t *testing.T) {
	r := &receiver{status: func(n int) int { return []int{503, 429, 404, 200}[min(n, 3)] }}
	server := httptest.NewServer(r)
	defer server.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(testSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOK_TOKEN", "open-sesame")
	o, log := testOptions(t)
	outs := open(t, o, "webhook+"+server.URL+"/hook/T0P?line=3&secret-file="+secret+"&token-env=HOOK_TOKEN")
	for _, path := range numbered(5) {
		outs.Send(testEvent(path, false))
	}
	failed := &judge.Event{Finding: &judge.Finding{Path: "torn.png", Err: errors.New("torn")}}
	outs.Send(failed)
	closed(t, outs)
	if got, want := r.paths(t), append(numbered(5), "torn.png"); !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	var m map[string]any
	if err := json.Unmarshal([]byte(r.bodies[0]), &m); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"path": "000.png", "anomalous": false, "model_name": "bottle", "model_hash": strings.Repeat("ab", 32)} {
		if m[key] != want {
			t.Errorf("%s: got %v, want %v", key, m[key], want)
		}
	}
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(m["time"])); err != nil || len(fmt.Sprint(m["id"])) != 36 {
		t.Errorf("got time %v and id %v", m["time"], m["id"])
	}
	if !strings.Contains(r.bodies[5], `"error":"torn"`) {
		t.Errorf("got %s", r.bodies[5])
	}
	checkSignature(t, r.heads[0], r.bodies[0], m["id"])
	if got := r.heads[0].Get("Authorization"); got != "Bearer open-sesame" {
		t.Errorf("got Authorization %q", got)
	}
	if s := outs.Stats()[0]; s.Failures != 3 || s.Delivered != 6 {
		t.Errorf("got %d failures and %d delivered, want 3 and 6", s.Failures, s.Delivered)
	}
	for _, word := range []string{"open-sesame", testSecret, "T0P"} {
		if strings.Contains(log.String(), word) {
			t.Errorf("the log has %q: %s", word, log)
		}
	}
	for _, want := range []string{"output is away", "output is back"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("got %q %d times, want once: %s", want, n, log)
		}
	}
}

// checkSignature checks that testSecret has signed a message as the specification has it:
// of id, time and body, joined by points.
func checkSignature(t *testing.T, head http.Header, body string, id any) {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(testSecret, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	if head.Get("webhook-id") != id {
		t.Errorf("got webhook-id %q, want %v", head.Get("webhook-id"), id)
	}
	mac := hmac.New(sha256.New, key)
	io.WriteString(mac, head.Get("webhook-id")+"."+head.Get("webhook-timestamp")+"."+body)
	if got, want := head.Get("webhook-signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
		t.Errorf("got signature %q, want %q", got, want)
	}
}

func TestRefused(t *testing.T) {
	r := &receiver{status: func(n int) int { return []int{422, 200}[min(n, 1)] }}
	server := httptest.NewServer(r)
	defer server.Close()
	o, _ := testOptions(t)
	outs := open(t, o, "webhook+"+server.URL+"?only=rejects")
	for i, path := range numbered(4) {
		outs.Send(testEvent(path, i != 2))
	}
	closed(t, outs)
	if got, want := r.paths(t), []string{"001.png", "003.png"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := outs.Stats()[0]; s.Dropped != 1 {
		t.Errorf("got %d dropped, want 1", s.Dropped)
	}
}

// TestBudget: beyond the budget the oldest go, and are counted.
func TestBudget(t *testing.T) {
	r := &receiver{}
	l := laterServer(t)
	o, log := testOptions(t)
	o.Budget = 10 * blockBytes
	outs := open(t, o, "webhook+http://"+l.address)
	for _, path := range numbered(30) {
		outs.Send(testEvent(path, false))
	}
	l.serve(t, r)
	closed(t, outs)
	// One that was being delivered when others were dropped is kept.
	got := r.paths(t)
	if want := numbered(30)[20:]; len(got) != 10 || !slices.Equal(got[1:], want[1:]) {
		t.Errorf("got %v, want 10, of which the last %v", got, want[1:])
	}
	if s := outs.Stats()[0]; s.Dropped != 20 {
		t.Errorf("got %d dropped, want 20", s.Dropped)
	}
	if !strings.Contains(log.String(), "messages dropped") {
		t.Errorf("got %s", log)
	}
}

// A later is a server's address before it is there.
type later struct{ address string }

func laterServer(t *testing.T) later {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return later{l.Addr().String()}
}

// listen takes the address.
func (l later) listen(t *testing.T) net.Listener {
	t.Helper()
	var listener net.Listener
	until(t, "the address is free", func() bool {
		var err error
		listener, err = net.Listen("tcp", l.address)
		return err == nil
	})
	return listener
}

func (l later) serve(t *testing.T, h http.Handler) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Listener.Close()
	server.Listener = l.listen(t)
	server.Start()
	t.Cleanup(server.Close)
}

// TestKilled: what a process that was killed had sent is delivered by the next, in
// order, without what was half written.
func TestKilled(t *testing.T) {
	if spool := os.Getenv("OUTPUTS_TEST_SPOOL"); spool != "" {
		outs, err := Open([]string{os.Getenv("OUTPUTS_TEST_URL")}, &Options{Spool: spool})
		if err != nil {
			panic(err)
		}
		for _, path := range numbered(200) {
			outs.Send(testEvent(path, false))
		}
		process, _ := os.FindProcess(os.Getpid())
		process.Kill()
		select {}
	}
	l := laterServer(t)
	o, _ := testOptions(t)
	url := "webhook+http://" + l.address + "/hook"
	child := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	child.Env = append(os.Environ(), "OUTPUTS_TEST_SPOOL="+o.Spool, "OUTPUTS_TEST_URL="+url)
	if out, err := child.CombinedOutput(); err == nil {
		t.Fatalf("got no kill: %s", out)
	}
	folders, err := filepath.Glob(filepath.Join(o.Spool, "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("got %v and %v, want one folder", folders, err)
	}
	for name, text := range map[string]string{spoolBeside + "1": "half", fmt.Sprintf("%020d%s", 201, spoolSuffix): `{"id": "torn", "js`} {
		if err := os.WriteFile(filepath.Join(folders[0], name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := &receiver{}
	outs := open(t, o, url)
	outs.Send(testEvent("after.png", false))
	l.serve(t, r)
	closed(t, outs)
	if got, want := r.paths(t), append(numbered(200), "after.png"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if s := outs.Stats()[0]; s.Dropped != 2 {
		t.Errorf("got %d dropped, want the 2 half written", s.Dropped)
	}
}

// TestAgain: a receiver that takes a message and dies before it says so gets it
// again, by the same id.
func TestAgain(t *testing.T) {
	var ids []string
	var n atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		ids = append(ids, q.Header.Get("webhook-id"))
		if n.Add(1) == 1 {
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	o, _ := testOptions(t)
	outs := open(t, o, "webhook+"+server.URL)
	outs.Send(testEvent("a.png", false))
	closed(t, outs)
	if len(ids) != 2 || ids[0] != ids[1] {
		t.Errorf("got ids %v, want one twice", ids)
	}
}

// TestClose: what cannot be delivered at the end is left, and an output's spool
// belongs to one process.
func TestClose(t *testing.T) {
	l := laterServer(t)
	o, _ := testOptions(t)
	url := "webhook+http://" + l.address
	outs := open(t, o, url)
	if _, err := Open([]string{url}, o); err == nil {
		t.Error("got no error of a spool in use")
	}
	outs.Send(testEvent("a.png", false))
	if left := outs.Close(t.Context()); left != 1 {
		t.Errorf("got %d left, want 1", left)
	}
	hanging := make(chan struct{})
	l.serve(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.Copy(io.Discard, q.Body)
		<-hanging
	}))
	defer close(hanging)
	outs = open(t, o, url)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if left := outs.Close(ctx); left != 1 {
		t.Errorf("got %d left, want 1", left)
	}
}

func pngFile(t *testing.T, size int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, size, size))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestRejects(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bad", "ones")
	file := pngFile(t, 8)
	o, _ := testOptions(t)
	url := fmt.Sprintf("rejects:%s?budget=%d", dir, 6*blockBytes) // three of them
	outs := open(t, o, url)
	read := 0
	send := func(path string, anomalous bool) {
		e := testEvent(path, anomalous)
		e.Image = func() ([]byte, error) { read++; return file, nil }
		outs.Send(e)
	}
	send("good.png", false)
	for _, path := range numbered(5) {
		send(path, true)
	}
	closed(t, outs)
	kept := func() (paths []string) {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, pathsOf(t, []string{string(b)})...)
			img, err := os.ReadFile(strings.TrimSuffix(f, ".json") + ".png")
			if err != nil || !bytes.Equal(img, file) {
				t.Errorf("%s: got another image, or %v", f, err)
			}
		}
		return paths
	}
	if got, want := kept(), numbered(5)[2:]; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if read != 5 {
		t.Errorf("got %d images read, want the 5 rejects", read)
	}
	// What is there counts for the next process, what a killed one has left half written
	// goes, and what is somebody else's stays.
	whole, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	half := []string{"." + filepath.Base(whole[0]) + ".123", "." + strings.TrimSuffix(filepath.Base(whole[0]), ".json") + ".png.9"}
	others := []string{"notes.json", ".notes.json.5", "." + filepath.Base(whole[0]) + ".swp"}
	for _, name := range slices.Concat(half, others) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(`{"path":"notes"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	outs = open(t, o, url)
	send("next.png", true)
	closed(t, outs)
	for _, name := range others {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if got, want := kept(), append(numbered(5)[3:], "next.png"); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	files, _ := os.ReadDir(dir)
	if len(files) != 6 {
		t.Errorf("got %d files, want 6", len(files))
	}
}

// TestRejectsAway: as long as the folder cannot be made, rejects wait.
func TestRejectsAway(t *testing.T) {
	mount := filepath.Join(t.TempDir(), "mount")
	if err := os.WriteFile(mount, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o, _ := testOptions(t)
	outs := open(t, o, "rejects:"+filepath.Join(mount, "bad"))
	outs.Send(testEvent("a.png", true))
	until(t, "it fails", func() bool { return outs.Stats()[0].Away })
	if err := os.Remove(mount); err != nil {
		t.Fatal(err)
	}
	closed(t, outs)
	if files, _ := filepath.Glob(filepath.Join(mount, "bad", "*.json")); len(files) != 1 {
		t.Errorf("got %v, want one message", files)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Setenv("SHORT", "short")
	o, _ := testOptions(t)
	for url, want := range map[string]string{
		"ftp://host/x":                                     "want webhook+https://",
		"https://host/x":                                   "want webhook+https://",
		"webhook+https://":                                 "want a host",
		"webhook+https://user:hunter2@host/x":              "password in the URL",
		"webhook+https://host/x#part":                      "no #",
		"webhook+https://host/x?secret-env=SHORT":          "want 24 or more",
		"webhook+https://host/x?secret-env=NOWHERE":        "got nothing",
		"webhook+https://host/x?secret-file=/nowhere":      "/nowhere",
		"webhook+https://host/x?only=good":                 "only",
		"webhook+https://host/x?secret-env=A&secret-env=B": "given twice",
		"rejects:x?only=drift":                             "only=drift leaves nothing",
		"rejects:":                                         "want a folder",
		"rejects:x?budget=some":                            "budget",
		"rejects:x?budget=0":                               "budget",
		"rejects:x?bugdet=1GB":                             `unknown option "bugdet"`,
	} {
		_, err := Open([]string{url}, o)
		if !errors.Is(err, ErrInput) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error has the password: %v", url, err)
		}
	}
	if _, err := Open([]string{"rejects:x", "rejects:x"}, o); !errors.Is(err, ErrInput) {
		t.Errorf("got %v of an output twice", err)
	}
	if _, err := Open(nil, nil); !errors.Is(err, ErrInput) {
		t.Errorf("got %v without a spool", err)
	}
}
