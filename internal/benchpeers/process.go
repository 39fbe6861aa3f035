package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

//go:embed peer.py
var peerSource []byte

// A process is peer.py at work, or this program's own [child].
type process struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	replies *json.Decoder
	log     *os.File // its standard error
	closed  bool
}

func startPeer(ctx context.Context, python, dir string) (*process, error) {
	if _, err := exec.LookPath(python); err != nil {
		return nil, fmt.Errorf("no Python with the peers: %w (scripts/setup peers makes one)", err)
	}
	script := filepath.Join(dir, "peer.py")
	if err := os.WriteFile(script, peerSource, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, python, "-u", script)
	// As on our side, threads without work do not wait busily: where there is other work to do, PyTorch takes two and a half times as long if they do.
	cmd.Env = append(os.Environ(), "OMP_WAIT_POLICY=PASSIVE", "OMP_NUM_THREADS="+strconv.Itoa(cores()), "TORCHINDUCTOR_CACHE_DIR="+filepath.Join(dir, "inductor"))
	return start(dir, "peer.log", cmd)
}

// start starts a command that answers requests; what else it says goes to a file.
func start(dir, log string, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	var err error
	if p.log, err = os.Create(filepath.Join(dir, log)); err != nil {
		return nil, err
	}
	p.cmd.Stderr = p.log
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.replies = json.NewDecoder(bufio.NewReader(out))
	return p, p.cmd.Start()
}

// ask sends a request and reads the reply.
func (p *process) ask(request map[string]any, reply any) error {
	b, err := json.Marshal(request)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if _, err = p.in.Write(append(b, '\n')); err == nil {
		err = p.replies.Decode(&raw)
	}
	if err != nil {
		return fmt.Errorf("%s ended: %w; it said:\n%s", filepath.Base(p.cmd.Path), err, p.said())
	}
	var failed struct{ Error string }
	if err := json.Unmarshal(raw, &failed); err != nil {
		return err
	}
	if failed.Error != "" {
		return fmt.Errorf("%s failed: %s", filepath.Base(p.cmd.Path), strings.TrimSpace(failed.Error))
	}
	return json.Unmarshal(raw, reply)
}

// said is the end of its standard error.
func (p *process) said() string {
	const most = 2000
	b, _ := os.ReadFile(p.log.Name())
	return string(b[max(0, len(b)-most):])
}

// close ends it, once.
func (p *process) close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	defer p.log.Close()
	p.in.Close()
	return p.cmd.Wait()
}

// peers are the packages that are compared with.
var peers = []string{"torch", "onnxruntime", "opencv-python-headless", "scikit-image", "numpy"}

// versions returns what is installed of the peers, in words.
func (p *process) versions() (string, error) {
	var reply struct{ Versions map[string]string }
	if err := p.ask(map[string]any{"versions": peers}, &reply); err != nil {
		return "", err
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(reply.Versions)) {
		words = append(words, name+" "+reply.Versions[name])
	}
	return strings.Join(words, ", "), nil
}

// prepare makes work of a kind ready and returns it with what it computes.
func (p *process) prepare(kind string, arguments map[string]any) (*remote, []float64, error) {
	request := map[string]any{"prepare": kind}
	maps.Copy(request, arguments)
	var reply struct{ Result []float64 }
	if err := p.ask(request, &reply); err != nil {
		return nil, nil, err
	}
	return &remote{p, kind}, reply.Result, nil
}

// A remote is a side in peer.py: one at a time.
type remote struct {
	*process
	kind string
}

func (r *remote) run(ctx context.Context, times int) ([]float64, error) {
	var reply struct{ MS []float64 }
	if err := r.ask(map[string]any{"run": r.kind, "times": times}, &reply); err != nil {
		return nil, err
	}
	if len(reply.MS) != times {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("the peer timed %d runs, want %d", len(reply.MS), times))
	}
	return reply.MS, nil
}

// close leaves the process to the next work.
func (r *remote) close() error { return nil }
