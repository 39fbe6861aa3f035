package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
)

var (
	python   = flag.String("python", "", "`PYTHON` with requirements.txt; \"\" leaves FastAPI out")
	duration = flag.Duration("duration", 10*time.Second, "of each measurement")
	provider = flag.String("provider", "auto", "of anomaly serve")
	soak     = flag.Duration("soak", 0, "watch the memory for so long under load, with swaps, and measure nothing else")
	rate     = flag.Float64("rate", 10, "requests a second of the soak")
	size     = flag.Int("size", 128, "side of the model's images")
	clients  = flag.Int("clients", 16, "that ask at once for the throughput")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if !(*rate > 0) {
		log.Fatalf("loadserve: -rate: got %v, want more than 0", *rate)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("loadserve: ", err)
	}
}

// A server is a process that is measured.
type server struct {
	name, url, ready string
	root             string // of anomaly serve, which has more than a url
	process          *exec.Cmd
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "loadserve-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "anomaly")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/anomaly").CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	var files [2][]byte
	for i := range files {
		if files[i], err = modelBytes(uint64(i + 1)); err != nil {
			return err
		}
	}
	repository := filepath.Join(dir, "models")
	if err := os.Mkdir(repository, 0o755); err != nil {
		return err
	}
	model := filepath.Join(repository, "part.onnx")
	if err := os.WriteFile(model, files[0], 0o644); err != nil {
		return err
	}
	file, err := camera()
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	ours := &server{name: "anomaly serve", root: "http://" + address}
	ours.url, ours.ready = ours.root+"/v1/models/part/images", ours.root+"/v2/health/ready"
	ours.process = exec.Command(bin, "serve", "--provider", *provider, "--listen", address, "--grpc-listen", "none", repository)
	if *soak > 0 {
		if err := ours.start(ctx); err != nil {
			return err
		}
		defer ours.end()
		return soakFor(ctx, ours, file, model, files, *rate, *soak)
	}
	servers := []*server{ours}
	if *python != "" {
		theirs := &server{name: "FastAPI", url: "http://127.0.0.1:18082/images", ready: "http://127.0.0.1:18082/ready"}
		theirs.process = exec.Command(*python, "-m", "uvicorn", "fastapi_app:app", "--app-dir", "internal/loadserve", "--port", "18082", "--workers", "2", "--log-level", "warning")
		theirs.process.Env = append(os.Environ(), "MODEL="+model)
		servers = append(servers, theirs)
	}
	for _, s := range servers {
		if err := s.start(ctx); err != nil {
			return err
		}
		defer s.end()
	}
	best := make([]*tally, len(servers))
	used, images := make([]time.Duration, len(servers)), make([]int, len(servers))
	for range 3 { // in turns, for the machine may have other work
		for i, s := range servers {
			before := processor(s.process.Process.Pid)
			t := closed(ctx, s.url, file, *clients, *duration)
			used[i], images[i] = used[i]+processor(s.process.Process.Pid)-before, images[i]+t.answered
			if best[i] == nil || t.rate() > best[i].rate() {
				best[i] = t
			}
		}
	}
	fmt.Printf("| | images/s, %d clients | p50 | p99 | failed | processor time of the server, an image |\n|---|---:|---:|---:|---:|---:|\n", *clients)
	for i, s := range servers {
		t := best[i]
		fmt.Printf("| %s | %.1f | %s | %s | %d | %s |\n", s.name, t.rate(), ms(t.quantile(.5)), ms(t.quantile(.99)), t.failed, each(used[i], images[i]))
	}
	fmt.Printf("\n| images/s asked for | | answered/s | p50 | p99 | 429 | failed |\n|---:|---|---:|---:|---:|---:|---:|\n")
	own, last := best[0].rate(), best[len(best)-1].rate()
	for _, rate := range []float64{1, .5 * last, .9 * last, .9 * own, 3 * own} {
		for _, s := range servers {
			t := open(ctx, s.url, file, rate, max(*duration, time.Duration(5/rate*float64(time.Second))))
			fmt.Printf("| %.1f | %s | %.1f | %s | %s | %d | %d |\n", rate, s.name, t.rate(), ms(t.quantile(.5)), ms(t.quantile(.99)), t.refused, t.failed)
		}
	}
	before, err := ours.figures()
	if err != nil {
		return err
	}
	swapped, lost, took := swaps(ctx, ours, file, model, files)
	after, err := ours.figures()
	if err != nil {
		return err
	}
	fmt.Printf("\n%d swaps in %v under load: %d of %d requests lost; resident %d MiB before, %d MiB after\n", swapped, took.Round(time.Second), lost.failed, lost.answered+lost.failed, int(before.resident)>>20, int(after.resident)>>20)
	return ctx.Err()
}

// freeAddress returns an address of this machine that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// start starts the process and waits until it is ready.
func (s *server) start(ctx context.Context) error {
	s.process.Stderr = os.Stderr
	if err := s.process.Start(); err != nil {
		return err
	}
	for range 300 {
		if a, err := http.Get(s.ready); err == nil {
			a.Body.Close()
			if a.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s is not ready after 30 s", s.name)
}

func (s *server) end() {
	s.process.Process.Signal(os.Interrupt)
	s.process.Wait()
}

// modelBytes returns the file of a network of random weights.
func modelBytes(seed uint64) ([]byte, error) {
	net, err := models.Open(models.Spec{Height: *size, Width: *size, Filters: 16}, nil)
	if err != nil {
		return nil, err
	}
	m, err := onnxexport.Build(net, net.Init(seed), &onnxexport.Options{Threshold: 1})
	if err != nil {
		return nil, err
	}
	return onnxexport.Marshal(m)
}

// camera returns a PNG of 640×480 pixels.
func camera() ([]byte, error) {
	img := image.NewRGBA(image.Rect(0, 0, 640, 480))
	for y := range 480 {
		for x := range 640 {
			noise := uint8((x*7919 + y*104729) % 13)
			img.SetRGBA(x, y, color.RGBA{uint8(128+100*math.Sin(float64(x)/20)) + noise, uint8(y/2) + noise, noise, 255})
		}
	}
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

// swaps changes the model 200 times while 4 clients ask.
func swaps(ctx context.Context, s *server, file []byte, model string, files [2][]byte) (swapped int, t *tally, took time.Duration) {
	asking, stop := context.WithCancel(ctx)
	done := make(chan *tally)
	began := time.Now()
	go func() { done <- closed(asking, s.url, file, 4, time.Hour) }()
	for i := range 200 {
		if err := s.swap(model, files[(i+1)%2]); err != nil {
			log.Printf("swap %d: %v", i, err)
			break
		}
		swapped++
	}
	stop()
	return swapped, <-done, time.Since(began)
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }
