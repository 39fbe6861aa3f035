package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"

	"github.com/anomaly-go/anomaly/internal/npy"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// childCommand is the argument by which this program is a side of its own: a process
// loads one ONNX Runtime, and provider openvino has another than provider cpu.
const childCommand = "detector"

// A request to a child is one to peer.py, of its one kind.
type request struct {
	Prepare            string
	Model, Images, Map string // files: images [N,H,W,C] of its size, the map that is written
	Provider           anrt.Provider
	Run                string
	Times              int
}

// startChild starts one.
func (b *bench) startChild(ctx context.Context) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return start(b.dir, "detector.log", exec.CommandContext(ctx, self, childCommand))
}

// child answers requests until there are no more.
func child(ctx context.Context, in io.Reader, out io.Writer) error {
	requests, replies := json.NewDecoder(bufio.NewReader(in)), json.NewEncoder(out)
	var d *detecting
	for {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			if d != nil {
				return d.close()
			}
			return nil
		} else if err != nil {
			return err
		}
		var reply any
		err := func() (err error) {
			if r.Prepare != "" {
				d, err = r.prepare(ctx)
				if err == nil {
					reply = map[string]any{"result": d.scores}
				}
				return err
			}
			if d == nil {
				return errors.New("there is nothing to run")
			}
			ms, err := d.run(ctx, r.Times)
			reply = map[string]any{"ms": ms}
			return err
		}()
		if err != nil {
			reply = map[string]any{"error": err.Error()}
		}
		if err := replies.Encode(reply); err != nil {
			return err
		}
	}
}

func (r *request) prepare(ctx context.Context) (*detecting, error) {
	model, err := os.ReadFile(r.Model)
	if err != nil {
		return nil, err
	}
	shape, pix, err := npy.Load[uint8](r.Images)
	if err != nil {
		return nil, err
	}
	if len(shape) != 4 {
		return nil, fmt.Errorf("images: got %v, want [N,H,W,C]", shape)
	}
	d, err := detector(ctx, &file{bytes: model}, r.Provider, pix, shape[0])
	if err != nil {
		return nil, err
	}
	return d, writeArray(r.Map, []int{len(d.maps)}, d.maps)
}
