//go:build !edge

package commands

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/internal/testenv"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	fleetImages = flag.Int("fleet-images", 120, "how many images TestFleetKilled has judged at least")
	fleetTable  = flag.Bool("update-fleet", false, "measure throughput by workers and write it to docs/fleet.md")
)

func init() {
	processes["worker"] = func() int {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		return Run(ctx, "dev", os.Args, os.Stdout, os.Stderr)
	}
	processes["nats-server"] = natsServer
}

// natsServer is a server, of a cluster where there are others: its name, store, port,
// port for the others and the others' URLs are the arguments.
func natsServer() int {
	o := &server.Options{
		ServerName: os.Args[2], StoreDir: os.Args[3], Host: "127.0.0.1", JetStream: true, NoSigs: true, NoLog: true, MaxPayload: 8 << 20,
	}
	fmt.Sscan(os.Args[4], &o.Port)
	if os.Args[6] != "" {
		o.Cluster, o.Routes = server.ClusterOpts{Name: "test", Host: "127.0.0.1"}, server.RoutesFromStr(os.Args[6])
		fmt.Sscan(os.Args[5], &o.Cluster.Port)
	}
	s, err := server.NewServer(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s.Start()
	s.WaitForShutdown()
	return 0
}

// A process is this test's own program under another name, which can be killed and
// started again.
type process struct {
	t    testing.TB
	args []string
	cmd  *exec.Cmd
	log  string // the file that what it prints is added to

	began int64 // where in that it was started last
}

func startProcess(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{t: t, args: args, log: filepath.Join(t.TempDir(), "log")}
	p.start()
	t.Cleanup(p.kill)
	return p
}

func (p *process) start() {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	if p.began, err = log.Seek(0, io.SeekEnd); err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(self, p.args...)
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if _, err := p.cmd.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// output is what the process has printed since it was started last.
func (p *process) output() []byte {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	return b[p.began:]
}

// lines are what it has logged, ever.
func (p *process) lines() (lines []map[string]any) {
	b, err := os.ReadFile(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var line map[string]any
		if json.Unmarshal(s.Bytes(), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// cluster starts three servers and returns the URLs that clients use.
func cluster(t testing.TB) (servers map[string]*process, urls string) {
	t.Helper()
	var ports []string
	for range 6 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // once all have another one
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	var clients, routes []string
	for i := range 3 {
		clients, routes = append(clients, "nats://127.0.0.1:"+ports[i]), append(routes, "nats://127.0.0.1:"+ports[3+i])
	}
	servers = map[string]*process{}
	start := func() {
		for i, name := range []string{"a", "b", "c"} {
			servers[name] = startProcess(t, "nats-server", name, t.TempDir(), ports[i], ports[3+i], strings.Join(routes, ","))
		}
	}
	defer start() // after the ports are free
	return servers, strings.Join(clients, ",")
}

// fleetFolder writes n images of ten kinds, two of them with a defect; no two files are
// alike, by the number in them, which counts from first.
func fleetFolder(t testing.TB, first, n, width, height int) string {
	t.Helper()
	dir := t.TempDir()
	var kinds [10][]byte
	for kind := range kinds {
		img := image.NewGray(image.Rect(0, 0, width, height))
		for y := range height {
			for x := range width {
				v := 60 + 80*x/width + 60*y/height + kind
				if kind%5 == 4 && x > width/2 && x < 3*width/4 && y > height/3 && y < 2*height/3 {
					v = 0
				}
				img.Pix[y*img.Stride+x] = uint8(v)
			}
		}
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		kinds[kind] = b.Bytes()
	}
	for i := first; i < first+n; i++ {
		text := fmt.Appendf([]byte("tEXt"), "Comment\x00%d", i)
		chunk := append(binary.BigEndian.AppendUint32(nil, uint32(len(text)-4)), text...)
		chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(text))
		file := kinds[i%len(kinds)]
		header := len("\x89PNG\r\n\x1a\n") + 4 + len("IHDR") + 13 + 4
		file = slices.Concat(file[:header], chunk, file[header:])
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.png", i)), file, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestFleetKilled has images judged while workers, and a server of three, are killed
// as kill -9 does: every image gets the finding that run gives it, and there is one of
// each.
func TestFleetKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seven processes")
	}
	share, began, model := *fleetImages/5, time.Now(), tinyModel(t)

	servers, urls := cluster(t)
	var stderr string
	for range 100 { // until they have found each other
		var code int
		if code, _, stderr = anomaly(t.Context(), "submit", "--model", model, "--provider", "go", "--nats", urls); code == 0 {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	conn, err := nats.Connect(urls, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	info := func(stream string) *jetstream.StreamInfo {
		for {
			s, err := js.Stream(t.Context(), stream)
			if err == nil {
				return s.CachedInfo()
			}
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	consumer, err := js.Consumer(t.Context(), "anomaly-jobs", "workers")
	if err != nil {
		t.Fatal(err)
	}
	c := consumer.CachedInfo().Config
	c.AckWait = time.Second // as nats consumer edit does
	if _, err := js.UpdateConsumer(t.Context(), "anomaly-jobs", c); err != nil {
		t.Fatal(err)
	}

	var workers []*process
	for range 3 {
		workers = append(workers, startProcess(t, "worker", "--nats", urls, "--provider", "go", "--threads", "1", "--concurrent", "3"))
	}
	var given atomic.Int64
	news := make(chan struct{}, 1)
	if _, err := conn.Subscribe("anomaly.findings.>", func(*nats.Msg) {
		given.Add(1)
		select {
		case news <- struct{}{}:
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	n := 0
	var submitted sync.WaitGroup
	submit := func() {
		dir := fleetFolder(t, n, share, 1500, 1200)
		n += share
		submitted.Go(func() {
			code, stdout, stderr := anomaly(t.Context(), "submit", "--nats", urls, dir)
			if code != 0 {
				t.Errorf("submit: got exit code %d\n%s", code, stderr)
			}
			if _, want, _ := anomaly(t.Context(), "run", "--json", "--provider", "go", model, dir); stdout != want {
				t.Errorf("got findings\n%s\nwant run's\n%s", stdout, want)
			}
		})
	}
	leader := ""
	for _, step := range []struct {
		what string
		do   func()
	}{
		{"worker 0 is killed", func() { workers[0].kill(); workers[0].start() }},
		{"the server that leads the queue is killed", func() { leader = info("anomaly-jobs").Cluster.Leader; servers[leader].kill() }},
		{"workers 1 and 2 are killed", func() { workers[1].kill(); workers[2].kill(); workers[1].start(); workers[2].start() }},
		{"the server comes back", func() { servers[leader].start() }},
		{"worker 0 is killed again", func() { workers[0].kill(); workers[0].start() }},
	} {
		for { // until it happens while there is work: on a slow machine the last image may be judged before this test hears of the first
			some := n + share/8
			submit()
			for int(given.Load()) < some {
				select {
				case <-news:
				case <-time.After(500 * time.Millisecond): // the connection was to the server that was killed
					given.Store(int64(info("anomaly-findings").State.Msgs))
				}
			}
			if info("anomaly-jobs").State.Msgs > 0 {
				break
			}
		}
		t.Logf("%v: %d of %d findings: %s", time.Since(began).Round(time.Millisecond), given.Load(), n, step.what)
		step.do()
	}
	submitted.Wait()
	t.Logf("%v: all are judged", time.Since(began).Round(time.Millisecond))
	for range 200 { // a worker that was killed may have answered for none of its images
		if info("anomaly-jobs").State.Msgs == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	for stream, want := range map[string]int{"anomaly-findings": n, "anomaly-jobs": 0, "anomaly-parked": 0} {
		if got := int(info(stream).State.Msgs); got != want {
			t.Errorf("%s: got %d messages, want %d", stream, got, want)
		}
	}
	tries := map[float64]int{}
	for _, w := range workers {
		for _, line := range w.lines() {
			switch line["msg"] {
			case "judged":
				tries[line["try"].(float64)]++
			case "judged differently", "parked", "failed":
				t.Errorf("a worker says %v", line)
			}
		}
		for !bytes.Contains(w.output(), []byte("\"model in use\"")) {
			time.Sleep(20 * time.Millisecond)
		}
		w.cmd.Process.Signal(syscall.SIGTERM)
		if err := w.cmd.Wait(); err != nil {
			t.Errorf("SIGTERM: %v\n%s", err, w.output())
		}
	}
	t.Logf("images by the try that was logged: %v", tries)
}

// startWorker starts an `anomaly worker` with a queue of its own, whose url it has.
func startWorker(t *testing.T, args ...string) *service {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	w := &service{stop: stop, code: make(chan int, 1)}
	args = append([]string{"anomaly", "worker", "--provider", "go", "--listen", "127.0.0.1:0", "--store", filepath.Join(t.TempDir(), "queues")}, args...)
	go func() { w.code <- Run(ctx, "dev", args, &w.out, &w.log) }()
	t.Cleanup(stop)
	w.await(t, "a worker to begin", func() bool { return strings.Contains(w.out.String(), "model in use") })
	w.url = regexp.MustCompile(`on (nats://\S+),`).FindStringSubmatch(w.log.String())[1]
	return w
}

// TestToldToEnd: what goes on until it is told to end has not failed where it is told while
// it starts.
func TestToldToEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	worker := func(args ...string) []string {
		return append([]string{"worker", "--provider", "go", "--listen", "127.0.0.1:0", "--store", t.TempDir()}, args...)
	}
	model := tinyModel(t)
	for _, args := range [][]string{
		worker(model), worker(),
		{"serve", "--provider", "go", "--listen", "127.0.0.1:0", "--grpc-listen", "none", model},
		{"run", "--watch", "--provider", "go", model, t.TempDir()},
	} {
		if code, stdout, stderr := anomaly(ctx, args...); code != 0 || !strings.Contains(stderr, "ended while it started") {
			t.Errorf("%v: got exit code %d, want 0: %s%s", args, code, stdout, stderr)
		}
	}
	p := startProcess(t, worker("--health", "127.0.0.1:0", model)...)
	for !bytes.Contains(p.output(), []byte("the queue is on")) {
		time.Sleep(time.Millisecond)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.output())
	}
}

// TestSubmitGate: what a golden set refuses is not put in use, beside another model, none
// and itself; what it lets through is.
func TestSubmitGate(t *testing.T) {
	data, image := testSet(t, false), filepath.Join(t.TempDir(), "a.png")
	must(t, writePNG(image, goodImage(1)))
	best := bestThreshold(t, data)
	strict, near, blind := withThreshold(t, "1e-9"), withThreshold(t, best+"1"), withThreshold(t, ".99")
	w := startWorker(t, withThreshold(t, best))
	submit := func(code int, want string, args ...string) {
		t.Helper()
		if _, stderr := mustRun(t, code, append([]string{"submit", "--provider", "go", "--nats", w.url}, args...)...); !strings.Contains(stderr, want) {
			t.Errorf("submit %v: got %s, want %q", args, stderr, want)
		}
	}
	hash := func(model string) string { return anrt.Hash(mustRead(t, model)) }
	submit(exitFailure, strict+": refused on the golden set "+data, "--model", strict, "--gate", data, image)
	submit(0, "judged by t"+best, image)
	if strings.Contains(w.out.String(), hash(strict)) {
		t.Errorf("the worker has heard of the refused model: %s", &w.out)
	}
	submit(0, "in use: t"+best+"1 (", "--model", near, "--gate", data)
	w.await(t, "the model that was let through", func() bool { return strings.Contains(w.out.String(), `"hash":"`+hash(near)) })

	limit := []string{"--queue", "other", "--model", blind, "--gate", data, "--gate-recall", "0.9"}
	submit(exitFailure, "the limit is 0.9", limit...)
	submit(exitFailure, "has no model", "--queue", "other", image)
	submit(0, "in use: t.99", limit[:4]...)
	submit(exitFailure, "the limit is 0.9", limit...)
	submit(exitFailure, "--gate: ", "--model", near, "--gate", filepath.Join(data, "absent"))
	submit(exitUsage, "--gate needs --model", "--gate", data, image)
	w.end(t)
}

// TestWorkerSigned: a worker opens no model that is not signed, and says so.
func TestWorkerSigned(t *testing.T) {
	private, public := newKeys(t)
	strict := withThreshold(t, "1e-9")
	_, stderr := mustRun(t, exitFailure, "worker", "--provider", "go", "--listen", "127.0.0.1:0", "--store", t.TempDir(), "--require-signature", public, strict)
	if !strings.Contains(stderr, "signature: not signed") {
		t.Errorf("its own model: got %s", stderr)
	}
	w := startWorker(t, "--require-signature", public, signed(t, withThreshold(t, ".99"), private))
	mustRun(t, 0, "submit", "--provider", "go", "--nats", w.url, "--model", strict)
	w.await(t, "a refusal", func() bool {
		return strings.Contains(w.out.String(), `"msg":"model not opened"`) && strings.Contains(w.out.String(), "signature: not signed")
	})
	hash := anrt.Hash(mustRead(t, signed(t, strict, private)))
	mustRun(t, 0, "submit", "--provider", "go", "--nats", w.url, "--model", signed(t, strict, private))
	w.await(t, "the signed one", func() bool {
		return strings.Contains(w.out.String(), `"msg":"model in use","audit":true,"hash":"`+hash)
	})
	w.end(t)
}

// TestFleetTable measures throughput by workers, with one server and with three, and
// writes it to docs/fleet.md.
func TestFleetTable(t *testing.T) {
	if !*fleetTable {
		t.Skip("without -update-fleet nothing is measured")
	}
	const images, width, height = 600, 1500, 1200
	model, dir := tinyModel(t), fleetFolder(t, 0, images, width, height)
	want, _ := mustRun(t, 0, "run", "--json", "--provider", "go", model, dir)
	var table strings.Builder
	fmt.Fprintf(&table, "%d PNG files of %d×%d, grey, a network of 16×16 pixels on provider go, each worker and each server a process on one core of\n%s; `submit` too; the machine has\nother work. All share these cores, of which three servers that each store every image take the larger part: what machines of their own bring is not\nmeasured here.\n\n",
		images, width, height, computer(t.Context(), anrt.Go))
	table.WriteString("| servers | workers | images/s | of one worker's |\n|---|---|---|---|\n")
	for _, servers := range []int{1, 3} {
		one := 0.
		for _, n := range []int{1, 2, 4} {
			var urls string
			if servers == 3 {
				_, urls = cluster(t)
			} else {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				_, port, _ := net.SplitHostPort(l.Addr().String())
				urls = "nats://127.0.0.1:" + port
				l.Close()
				startProcess(t, "nats-server", "a", t.TempDir(), port, "0", "")
			}
			for try := range 100 {
				code, _, stderr := anomaly(t.Context(), "submit", "--model", model, "--provider", "go", "--nats", urls)
				if code == 0 {
					break
				}
				if try == 99 {
					t.Fatal(stderr)
				}
				time.Sleep(200 * time.Millisecond)
			}
			var workers []*process
			for range n {
				workers = append(workers, startProcess(t, "worker", "--nats", urls, "--provider", "go", "--threads", "1"))
			}
			for _, w := range workers {
				for !bytes.Contains(w.output(), []byte("\"model in use\"")) {
					time.Sleep(20 * time.Millisecond)
				}
			}
			began := time.Now()
			if stdout, _ := mustRun(t, 0, "submit", "--nats", urls, dir); stdout != want {
				t.Errorf("%d servers, %d workers: other findings than run's", servers, n)
			}
			rate := images / time.Since(began).Seconds()
			if n == 1 {
				one = rate
			}
			fmt.Fprintf(&table, "| %d | %d | %.0f | %.2f |\n", servers, n, rate, rate/one)
			for _, w := range workers {
				w.kill()
			}
		}
	}
	path := filepath.Join(testenv.Root(), "docs", "fleet.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(b), "## Throughput\n\n")
	if !found {
		t.Fatalf("%s: want the heading Throughput, behind which the table goes", path)
	}
	if err := os.WriteFile(path, []byte(head+"## Throughput\n\n"+table.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
