package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/runtime"
	"github.com/nats-io/nats.go/jetstream"
)

// startServer starts a server for a test.
func startServer(t testing.TB) *Server {
	t.Helper()
	s, err := StartServer(&ServerOptions{Store: t.TempDir(), Listen: "127.0.0.1:0", Logf: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// open opens a queue for a test; limits that are 0 are short.
func open(t testing.TB, s *Server, l Limits) *Queue {
	t.Helper()
	if l.AckWait == 0 {
		l.AckWait = 300 * time.Millisecond
	}
	q, err := Open(t.Context(), "nats://"+s.Addr(), &Options{Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Close)
	return q
}

// A fake gives images scores by their bytes and its model's.
type fake struct {
	model   string
	examine func(ctx context.Context, file []byte) error // nil: nothing goes wrong
	calls   atomic.Int64
	closed  atomic.Bool
}

type fakeExaminer struct{ *fake }

func (f fakeExaminer) compare(*judge.Finding) []drift.Report { return nil }

func (f fakeExaminer) Close() error { f.closed.Store(true); return nil }

func (f fakeExaminer) examine(ctx context.Context, file []byte, _ *dataset.Decoding) (*judge.Finding, error) {
	if f.closed.Load() {
		return nil, errors.New("used after it was closed")
	}
	f.calls.Add(1)
	if f.fake.examine != nil {
		if err := f.fake.examine(ctx, file); err != nil {
			return nil, err
		}
	}
	return &judge.Finding{Score: float32(len(file)) + float32(f.model[0])}, nil
}

// work starts a worker whose models are those of open, and returns what ends it and
// waits for it.
func work(t testing.TB, q *Queue, o *WorkerOptions, open func(hash string) (*fake, error)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := *o
	c.open = func(_ context.Context, hash string) (examiner, error) {
		f, err := open(hash)
		if err != nil {
			return nil, err
		}
		return fakeExaminer{f}, nil
	}
	done := make(chan error, 1)
	go func() { done <- q.Work(ctx, &c) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// always returns the same fake for every model.
func always(f *fake) func(string) (*fake, error) {
	return func(hash string) (*fake, error) { f.model = hash; return f, nil }
}

// files writes n files, each of another length, and returns their samples.
func files(t testing.TB, n int) []dataset.Sample {
	t.Helper()
	dir := t.TempDir()
	var samples []dataset.Sample
	for i := range n {
		samples = append(samples, file(t, dir, fmt.Sprintf("%04d.png", i), bytes.Repeat([]byte{byte(i)}, i+1)))
	}
	return samples
}

func file(t testing.TB, dir, name string, b []byte) dataset.Sample {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return dataset.Sample{Name: name, Path: path, Row: -1}
}

func announce(t testing.TB, q *Queue, model string) Announcement {
	t.Helper()
	a, err := q.Announce(t.Context(), []byte(model), model+".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// submit submits samples and returns a line for each: its path, then its score or its error.
func submit(t testing.TB, q *Queue, samples []dataset.Sample) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var lines []string
	if err := q.Submit(ctx, samples, &SubmitOptions{Logf: t.Logf}, func(f *judge.Finding) error {
		line := fmt.Sprintf("%s %v", f.Path, f.Score)
		if f.Err != nil {
			line = fmt.Sprintf("%s %v", f.Path, f.Err)
		}
		lines = append(lines, line)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return lines
}

// wanted is what submit returns where nothing goes wrong.
func wanted(model string, samples []dataset.Sample) []string {
	var lines []string
	for i, s := range samples {
		lines = append(lines, fmt.Sprintf("%s %v", s.Name, float32(i+1)+float32(runtime.Hash([]byte(model))[0])))
	}
	return lines
}

func check(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\ngot  %q\nwant %q", what, got, want)
	}
}

// messages is how many messages a stream has.
func messages(t testing.TB, s jetstream.Stream) uint64 {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Msgs
}

func TestSubmit(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	samples := files(t, 30)
	if err := q.Submit(t.Context(), samples, nil, nil); !errors.Is(err, ErrNoModel) {
		t.Errorf("without a model: got error %v, want ErrNoModel", err)
	}
	announce(t, q, "a")
	f := &fake{}
	work(t, open(t, s, Limits{}), &WorkerOptions{Concurrent: 3}, always(f))
	check(t, "first", submit(t, q, samples), wanted("a", samples))
	check(t, "again", submit(t, q, samples), wanted("a", samples))
	if n := f.calls.Load(); n != 30 {
		t.Errorf("got %d images judged, want 30, once each", n)
	}
	copied := file(t, t.TempDir(), "copy.png", bytes.Repeat([]byte{200}, 5))
	same := copied
	same.Name = "same.png"
	gone := dataset.Sample{Name: "gone.png", Path: filepath.Join(t.TempDir(), "gone.png"), Row: -1}
	score := 5 + float32(runtime.Hash([]byte("a"))[0])
	check(t, "copies and files that are not there", submit(t, q, []dataset.Sample{copied, gone, same}), []string{
		fmt.Sprintf("copy.png %v", score), fmt.Sprintf("gone.png dataset: %q: open %s: no such file or directory", gone.Name, gone.Path), fmt.Sprintf("same.png %v", score)})
	if n := f.calls.Load(); n != 31 {
		t.Errorf("got %d images judged, want 31: copies are one image", n)
	}
	for deadline := time.Now().Add(10 * time.Second); messages(t, q.jobs) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) { // a worker is done with an image some time after its finding is there
			t.Fatalf("got %d images in the queue, want 0", messages(t, q.jobs))
		}
	}
}

// A worker that is not told from another gives an image that was judged already a
// second finding, which is refused.
func TestOneFinding(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	a := announce(t, q, "a")
	j := newJob(a.Hash, "x.png", []byte("x"), nil)
	w := &worker{Queue: q, log: slog.New(slog.DiscardHandler)}
	for i, score := range []float32{1, 1, 2} {
		var log bytes.Buffer
		w.log = slog.New(slog.NewJSONHandler(&log, nil))
		if !w.publish(t.Context(), j, &judge.Finding{Score: score}) {
			t.Fatalf("finding %d: not stored", i)
		}
		if says := strings.Contains(log.String(), "judged differently"); says != (score == 2) {
			t.Errorf("finding %d: got log %s", i, log.String())
		}
	}
	if n := messages(t, q.findings); n != 1 {
		t.Errorf("got %d findings, want 1", n)
	}
	b, err := q.finding(t.Context(), j)
	if err != nil || !strings.Contains(string(b), `"score":1,`) {
		t.Errorf("got finding %s, %v, want the first", b, err)
	}
}

func TestParked(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	announce(t, q, "a")
	dir := t.TempDir()
	samples := []dataset.Sample{file(t, dir, "bad.png", []byte("unreadable")), file(t, dir, "good.png", []byte("good")), file(t, dir, "fails.png", []byte("fails"))}
	var broken atomic.Bool
	broken.Store(true)
	f := &fake{examine: func(_ context.Context, file []byte) error {
		switch {
		case string(file) == "unreadable":
			return unreadable{errors.New("dataset: no image")}
		case string(file) == "fails" && broken.Load():
			return errors.New("out of\norder")
		}
		return nil
	}}
	work(t, q, &WorkerOptions{Tries: 3}, always(f))
	good := float32(runtime.Hash([]byte("a"))[0])
	check(t, "first", submit(t, q, samples), []string{`bad.png dataset: "bad.png": no image`, fmt.Sprintf("good.png %v", 4+good), "fails.png parked after 3 tries: out of order"})
	if n := f.calls.Load(); n != 1+1+3 {
		t.Errorf("got %d tries, want 5: a file that is no image is tried once", n)
	}
	list := func() (lines []string) {
		if err := q.Parked(t.Context(), func(p *Parked) error {
			lines = append(lines, fmt.Sprintf("%s %d %s", p.Name, p.Tries, p.Reason))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return lines
	}
	check(t, "list", list(), []string{"bad.png 1 dataset: no image", "fails.png 3 out of order"})
	broken.Store(false)
	if n, err := q.Retry(t.Context()); n != 2 || err != nil {
		t.Errorf("retry: got %d, %v, want 2", n, err)
	}
	check(t, "once it is repaired", submit(t, q, samples[1:]), []string{fmt.Sprintf("good.png %v", 4+good), fmt.Sprintf("fails.png %v", 5+good)})
	for range 100 {
		if len(list()) > 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	check(t, "list after the retry", list(), []string{"bad.png 1 dataset: no image"})
	// Another program's message is put aside, and nothing stops.
	if _, err := q.js.Publish(t.Context(), q.jobSubject(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if len(list()) > 1 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if l := list(); len(l) != 2 || !strings.Contains(l[1], "a message that is no image") {
		t.Errorf("a message of another program: got %q parked", l)
	}
}

// An image that was begun twice is judged alone, so that only its own tries are
// counted when it ends workers; after them it is parked.
func TestBegunOften(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{AckWait: time.Second})
	announce(t, q, "a")
	var now, most, suspects atomic.Int64
	f := &fake{examine: func(ctx context.Context, file []byte) error {
		n := now.Add(1)
		defer now.Add(-1)
		if len(file) == 5 {
			suspects.Add(1)
			time.Sleep(50 * time.Millisecond)
			if n != 1 || now.Load() != 1 {
				most.Store(max(n, now.Load()))
			}
		} else {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}}
	samples := files(t, 40)
	go func() { // workers that take all images, and die: with two of them in their hands, again and again
		seen, left := map[string]bool{}, map[string]int{"0004.png": 2, "0007.png": 4}
		for len(seen) < len(samples) || left["0004.png"]+left["0007.png"] > 0 {
			m, err := q.consumer.Next(jetstream.FetchMaxWait(time.Second))
			if err != nil {
				continue
			}
			name := m.Headers().Get(nameHeader)
			seen[name] = true
			if left[name] > 0 {
				left[name]--
				m.Nak()
			}
		}
		work(t, q, &WorkerOptions{Concurrent: 8}, always(f))
	}()
	want := wanted("a", samples)
	want[7] = "0007.png parked after 5 tries: 5 workers began it and none answered: it ends the process that judges it, or its machine"
	check(t, "findings", submit(t, q, samples), want)
	if most.Load() > 0 {
		t.Errorf("an image that was begun three times was judged beside %d others, want alone", most.Load()-1)
	}
	if suspects.Load() == 0 {
		t.Error("the image that was begun three times was not judged")
	}
}

func TestFull(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{Images: 4})
	announce(t, q, "a")
	samples := files(t, 25)
	full := make(chan string, 1)
	go func() {
		<-full
		if n := messages(t, q.jobs); n != 4 {
			t.Errorf("a queue of 4: got %d images", n)
		}
		work(t, q, &WorkerOptions{}, always(&fake{}))
	}()
	var n int
	if err := q.Submit(t.Context(), samples, &SubmitOptions{Logf: func(format string, args ...any) {
		select {
		case full <- fmt.Sprintf(format, args...):
		default:
		}
	}}, func(f *judge.Finding) error { n++; return f.Err }); err != nil || n != 25 {
		t.Errorf("got %d findings, %v, want 25", n, err)
	}
}

func TestLarge(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	announce(t, q, "a")
	big := bytes.Repeat([]byte("0123456789abcdef"), MaxInline/16+1)
	samples := []dataset.Sample{file(t, t.TempDir(), "big.png", big)}
	var size atomic.Int64
	work(t, q, &WorkerOptions{}, always(&fake{examine: func(_ context.Context, file []byte) error {
		size.Store(int64(len(file)))
		if !bytes.Equal(file, big) {
			return errors.New("other bytes")
		}
		return nil
	}}))
	submit(t, q, samples)
	if size.Load() != int64(len(big)) {
		t.Errorf("got %d bytes, want %d", size.Load(), len(big))
	}
	for range 100 {
		if _, err := q.images.List(t.Context()); errors.Is(err, jetstream.ErrNoObjectsFound) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the image is in the object store, want nothing there: it is judged")
}

// An object that is removed while it is fetched, by a worker that was given the same
// image and was faster, keeps nobody waiting.
func TestRemovedMeanwhile(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	big := bytes.Repeat([]byte("0123456789abcdef"), 64<<20/16) // more than is on its way at a time
	if err := put(t.Context(), q.images, "x", big); err != nil {
		t.Fatal(err)
	}
	fetched := make(chan error, 1)
	go func() {
		b, err := get(t.Context(), removing{q.images}, "x")
		if err == nil {
			err = fmt.Errorf("got %d bytes of it", len(b))
		}
		fetched <- err
	}()
	select {
	case err := <-fetched:
		if !errors.Is(err, jetstream.ErrObjectNotFound) {
			t.Errorf("got error %v, want ErrObjectNotFound", err)
		}
	case <-time.After(transferTime / 5):
		t.Error("an object that was removed is still waited for")
	}
}

// removing removes an object as soon as it is being fetched.
type removing struct{ jetstream.ObjectStore }

func (r removing) Get(ctx context.Context, name string, o ...jetstream.GetObjectOpt) (jetstream.ObjectResult, error) {
	object, err := r.ObjectStore.Get(ctx, name, o...)
	if err == nil {
		time.Sleep(50 * time.Millisecond) // some of it is on its way, the rest waits to be read
		err = r.Delete(context.WithoutCancel(ctx), name)
	}
	return object, err
}

// Images are judged by the model that was in use when they were submitted, whatever
// workers have open.
func TestSwap(t *testing.T) {
	s := startServer(t)
	q := open(t, s, Limits{})
	samples := files(t, 60)
	a := announce(t, q, "a")
	opened := make(chan string, 100)
	var fail atomic.Bool
	openModel := func(hash string) (*fake, error) {
		if fail.Load() {
			return nil, errors.New("the self-test failed")
		}
		opened <- hash
		return &fake{model: hash, examine: func(context.Context, []byte) error { time.Sleep(time.Millisecond); return nil }}, nil
	}
	for range 2 {
		work(t, open(t, s, Limits{}), &WorkerOptions{Concurrent: 4}, openModel)
	}
	if got := <-opened; got != a.Hash {
		t.Errorf("got model %s opened, want %s", got, a.Hash)
	}
	var all sync.WaitGroup
	for i, name := range []string{"a", "b", "c", "a", "d"} {
		announce(t, q, name)
		all.Add(1)
		started := make(chan bool)
		go func() {
			defer all.Done()
			first := sync.OnceFunc(func() { close(started) })
			var lines []string
			if err := q.Submit(t.Context(), samples, nil, func(f *judge.Finding) error {
				first()
				lines = append(lines, fmt.Sprintf("%s %v", f.Path, f.Score))
				return f.Err
			}); err != nil {
				t.Errorf("submission %d: %v", i, err)
				first()
			}
			check(t, name, lines, wanted(name, samples))
		}()
		<-started // so that it is for this model
	}
	all.Wait()
	if n := messages(t, q.findings); n != 4*60 {
		t.Errorf("got %d findings, want 240: one of each image and model", n)
	}
	// What cannot be opened takes no images: they are not to blame.
	fail.Store(true)
	announce(t, q, "e")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := q.Submit(ctx, samples[:1], nil, func(f *judge.Finding) error { return errors.New("got a finding") }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of a model that is not opened: got %v, want the deadline", err)
	}
	fail.Store(false)
	check(t, "repaired", submit(t, q, samples[:1]), wanted("e", samples[:1]))
}

// What was taken is answered for at the end, and a server that goes away and comes
// back loses nothing.
func TestDrainAndReturn(t *testing.T) {
	dir := t.TempDir()
	start := func(listen string) *Server {
		s, err := StartServer(&ServerOptions{Store: dir, Listen: listen, Logf: t.Logf})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start("127.0.0.1:0")
	listen := s.Addr()
	q := open(t, s, Limits{AckWait: time.Second})
	announce(t, q, "a")
	samples := files(t, 40)
	pause := func(context.Context, []byte) error { time.Sleep(20 * time.Millisecond); return nil }
	slow, next := &fake{examine: pause}, &fake{examine: pause}
	stop := work(t, open(t, s, Limits{}), &WorkerOptions{Concurrent: 4}, always(slow))
	got := make(chan []string)
	go func() { got <- submit(t, q, samples) }()
	for slow.calls.Load() < 8 {
		time.Sleep(time.Millisecond)
	}
	stop()
	began := slow.calls.Load()
	if n := messages(t, q.findings); n != uint64(began) {
		t.Errorf("a worker that ended had begun %d images and gave %d findings", began, n)
	}
	s.Close()
	s = start(listen)
	t.Cleanup(func() { s.Close() })
	work(t, open(t, s, Limits{}), &WorkerOptions{Concurrent: 4}, always(next))
	check(t, "after the end of a worker and a restart of the server", <-got, wanted("a", samples))
	if n := slow.calls.Load() + next.calls.Load(); n != 40 {
		t.Errorf("got %d images judged, want 40", n)
	}
}

func TestHealth(t *testing.T) {
	h := &Health{}
	ask := func(path string) string {
		r := httptest.NewRecorder()
		h.ServeHTTP(r, httptest.NewRequest("GET", path, nil))
		return fmt.Sprint(r.Code, " ", strings.TrimSpace(r.Body.String()))
	}
	check(t, "not begun", []string{ask("/livez"), ask("/readyz"), ask("/other")}, []string{"200 ok", "503 not begun", "404 404 page not found"})
	s := startServer(t)
	q := open(t, s, Limits{})
	stop := work(t, q, &WorkerOptions{Health: h}, always(&fake{}))
	await := func(want string) {
		t.Helper()
		got := ""
		for range 200 {
			if got = ask("/readyz"); got == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("got %q, want %q", got, want)
	}
	await("503 the queue has no model")
	announce(t, q, "a")
	await("200 ok")
	stop()
	await("503 ending")
}

func TestServerRefuses(t *testing.T) {
	dir := t.TempDir()
	s, err := StartServer(&ServerOptions{Store: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, test := range []struct {
		o    ServerOptions
		says string
	}{
		{ServerOptions{}, "want a folder"},
		{ServerOptions{Store: dir, Listen: "127.0.0.1"}, "want HOST:PORT"},
		{ServerOptions{Store: dir, Listen: "127.0.0.1:70000"}, "want HOST:PORT"},
		{ServerOptions{Store: dir, Listen: ":0"}, "want a token"},
		{ServerOptions{Store: dir, Listen: "0.0.0.0:0"}, "want a token"},
		{ServerOptions{Store: dir, Listen: "127.0.0.1:0"}, "queues"},
		{ServerOptions{Store: t.TempDir(), Listen: s.Addr()}, "address already in use"},
	} {
		if other, err := StartServer(&test.o); err == nil || !strings.Contains(err.Error(), test.says) {
			if err == nil {
				other.Close()
			}
			t.Errorf("%+v: got error %v, want %q", test.o, err, test.says)
		}
	}
}

func TestToken(t *testing.T) {
	s, err := StartServer(&ServerOptions{Store: t.TempDir(), Listen: "127.0.0.1:0", Token: "secret-word"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	q, err := Open(t.Context(), "", &Options{Server: s})
	if err != nil {
		t.Fatalf("in the process: %v", err)
	}
	q.Close()
	for url, want := range map[string]bool{"nats://secret-word@" + s.Addr(): true, "nats://" + s.Addr(): false, "nats://wrong-word@" + s.Addr(): false, "nats://wrong-word@%zz": false} {
		q, err := Open(t.Context(), url, nil)
		if err == nil {
			q.Close()
		}
		if (err == nil) != want || err != nil && (!errors.Is(err, ErrQueue) && !errors.Is(err, ErrInput) || strings.Contains(err.Error(), "word")) {
			t.Errorf("%s: got error %v", url, err)
		}
	}
	for _, o := range []Options{{Queue: "a.b"}, {Queue: "*"}, {Limits: Limits{Images: -1}}, {Limits: Limits{AckWait: 1}}, {Limits: Limits{Replicas: 7}}, {NKey: "absent"}} {
		if _, err := Open(t.Context(), "nats://secret-word@"+s.Addr(), &o); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: got error %v, want ErrInput", o, err)
		}
	}
}

// A job is what it was after it has travelled, and the way it is decoded is part of it.
func TestJob(t *testing.T) {
	hash := runtime.Hash([]byte("a"))
	plain := newJob(hash, "a\nb.png", []byte("file"), &dataset.Decoding{Background: dataset.Black})
	other := newJob(hash, "b.png", []byte("file"), &dataset.Decoding{Background: dataset.White, Levels: 12})
	if plain.image != runtime.Hash([]byte("file")) || other.image == plain.image {
		t.Errorf("got images %s and %s, want the file's hash, and another", plain.image, other.image)
	}
	m := other.message("jobs")
	back, err := readJob(m.Header, m.Data)
	if err != nil || back.image != other.image || back.model != hash || back.background != dataset.White || back.levels != 12 || string(back.file) != "file" {
		t.Errorf("got %+v, %v, want %+v", back, err, other)
	}
	m = plain.message("jobs")
	if got := m.Header.Get(nameHeader); got != "a b.png" {
		t.Errorf("got name %q, want one line", got)
	}
	for header, value := range map[string]string{imageHeader: "../x", modelHeader: strings.Repeat("*", 64), levelsHeader: "many", backgroundHeader: "pink"} {
		m := plain.message("jobs")
		m.Header.Set(header, value)
		if _, err := readJob(m.Header, m.Data); !errors.Is(err, ErrInput) {
			t.Errorf("%s %q: got error %v, want ErrInput", header, value, err)
		}
	}
}
