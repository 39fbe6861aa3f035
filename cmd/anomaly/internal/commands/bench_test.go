package commands

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

func TestBench(t *testing.T) {
	model, set := tinyModel(t), testSet(t, false)
	for _, images := range [][]string{nil, {set}} {
		args := append([]string{"bench", "--provider", "go", "--duration", "50ms", "--batch", "2,5", "--rate", "100", "--json", model}, images...)
		out, _ := mustRun(t, 0, args...)
		var b benchmark
		if err := json.Unmarshal([]byte(out), &b); err != nil {
			t.Fatal(err)
		}
		if b.Kind != anrt.KindDetector || b.Provider != anrt.Go || b.Height != 16 || b.Width != 16 || b.Channels != 1 || !b.Completed || (b.Images > 0) != (images != nil) {
			t.Errorf("%q: got %+v", images, b)
		}
		if len(b.Throughput) != 2 || b.Throughput[0].Batch != 2 || b.Throughput[1].Batch != 5 {
			t.Errorf("%q: got throughput %+v", images, b.Throughput)
		}
		for _, m := range b.Throughput {
			if m.Images < m.Batch || !(m.PerSecond > 0) {
				t.Errorf("%q: got throughput %+v", images, m)
			}
		}
		if b.AtRate == nil || b.AtRate.Rate != 100 || b.AtRate.Images != 5 {
			t.Errorf("%q: got %+v, want 5 images in 50 ms", images, b.AtRate)
		}
		for _, l := range []*judge.Latency{b.OneByOne, b.AtRate} {
			if l == nil || l.Images < 1 || !(0 < l.P50 && l.P50 <= l.P99 && l.P99 <= l.P999 && l.P999 <= l.Max) {
				t.Errorf("%q: got latency %+v", images, l)
			}
		}
	}
	table, _ := mustRun(t, 0, "bench", "--provider", "go", "--duration", "20ms", "--batch", "3", model)
	for _, want := range []string{"detector, 16x16, grey; provider go", "images/s", "one after the other", "a second", "p99.9"} {
		if !strings.Contains(table, want) {
			t.Errorf("got %s, want it to have %q", table, want)
		}
	}
}

// Ctrl-C prints what there is.
func TestBenchInterrupted(t *testing.T) {
	model := tinyModel(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Second, cancel)
	code, out, stderr := anomaly(ctx, "bench", "--provider", "go", "--duration", "1h", "--batch", "1", "--json", model)
	var b benchmark
	if err := json.Unmarshal([]byte(out), &b); code != exitInterrupted || err != nil || b.Completed || len(b.Throughput) != 1 || b.Throughput[0].Images < 1 || b.OneByOne != nil {
		t.Errorf("got exit code %d, %+v, %v, %s", code, b, err, stderr)
	}
}

// Images that nobody waits for pile up: it says so.
func TestBenchTooFast(t *testing.T) {
	out, stderr := mustRun(t, exitFailure, "bench", "--provider", "go", "--duration", "1s", "--batch", "1", "--rate", "1e6", "--json", tinyModel(t))
	var b benchmark
	if err := json.Unmarshal([]byte(out), &b); err != nil || b.AtRate == nil || !b.AtRate.TooFast || b.AtRate.Images < judge.MostWaiting {
		t.Errorf("got %+v, %v", b.AtRate, err)
	}
	if !strings.Contains(stderr, "1000000 images a second are too many") {
		t.Errorf("got %s", stderr)
	}
}

func TestBenchUsage(t *testing.T) {
	model := tinyModel(t)
	for _, args := range [][]string{
		{}, {model, "--batch", "0"}, {model, "--batch", "1,x"}, {model, "--batch", ""}, {model, "--rate", "-1"}, {model, "--rate", "NaN"},
		{model, "--rate", "1e9"}, {model, "--duration", "0s"}, {model, "--duration", "-1s"}, {model, "--batch-window", "-1ms"}, {model, "--threads", "-1"},
	} {
		mustRun(t, exitUsage, append([]string{"bench", "--provider", "go"}, args...)...)
	}
	mustRun(t, exitFailure, "bench", "--provider", "go", model, "nowhere")
}
