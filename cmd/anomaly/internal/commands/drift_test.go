//go:build !edge

package commands

import (
	"bytes"
	"fmt"
	"image"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

const driftWindow = 20 // images

// driftModel writes a model, bottle.onnx, which was trained on images whose brightness was
// about usual.
func driftModel(t *testing.T, usual float64) string {
	t.Helper()
	net, err := models.Open(models.Spec{Height: 16, Width: 16, Filters: 8}, nil)
	must(t, err)
	m, err := onnxexport.Build(net, net.Init(1), &onnxexport.Options{Threshold: .99})
	must(t, err)
	m.Metadata["anomaly.data.images"] = "100"
	m.Metadata["anomaly.normal.quantiles"] = fmt.Sprintf(`{"levels":[0,0.05,0.5,0.95,1],"brightness":[%g,%g,%g,%g,%g],"sharpness":[0,0,0,0,0]}`, usual-.1, usual-.09, usual, usual+.09, usual+.1)
	b, err := onnxexport.Marshal(m)
	must(t, err)
	path := filepath.Join(t.TempDir(), "bottle.onnx")
	must(t, os.WriteFile(path, b, 0o644))
	return path
}

// driftImages writes a window of images, each of one level from the first on.
func driftImages(t *testing.T, dir string, first, step uint8) (paths []string) {
	t.Helper()
	for i := range uint8(driftWindow) {
		img := image.NewGray(image.Rect(0, 0, 16, 16))
		for at := range img.Pix {
			img.Pix[at] = first + step*i
		}
		paths = append(paths, filepath.Join(dir, fmt.Sprintf("%d-%02d.png", first, i)))
		must(t, writePNG(paths[i], img))
	}
	return paths
}

// checkDrifts checks what a hook was told: that it became darker, and is as before.
func checkDrifts(t *testing.T, h *hook, hashes ...any) {
	t.Helper()
	h.got(2)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.bodies) != 2 {
		t.Fatalf("got %v, want a drift that begins and ends", h.bodies)
	}
	for i, b := range h.bodies {
		if b["kind"] != "drift" || b["model_name"] != "bottle" || b["quantity"] != "brightness" || b["drifted"] != (i == 0) || b["images"] != float64(driftWindow) {
			t.Errorf("message %d: got %v", i, b)
		}
		if want := hashes[min(i, len(hashes)-1)]; b["model_hash"] != want {
			t.Errorf("message %d: got model_hash %v, want %v", i, b["model_hash"], want)
		}
	}
	if first := h.bodies[0]; !strings.Contains(fmt.Sprint(first["what"]), "darker than in training") || first["usual"] != .5 || !(first["median"].(float64) < .4) || !(first["distance"].(float64) >= first["limit"].(float64)) {
		t.Errorf("got %v", first)
	}
}

// TestWatchDrift: images become darker, which ends by a model that was trained on such.
func TestWatchDrift(t *testing.T) {
	dir := t.TempDir()
	live, images := filepath.Join(dir, "bottle.onnx"), filepath.Join(dir, "images")
	bright, dark := driftModel(t, .5), driftModel(t, .35)
	place(t, live, bright)
	h := newHook(t)
	h.arrive()
	must(t, os.MkdirAll(images, 0o755))
	w := startWatching(t, "--json", "--drift-window", fmt.Sprint(driftWindow), "--spool", filepath.Join(dir, "spool"), "--output", h.url()+"?only=drift", live, images)
	windows := 0
	send := func(first, step uint8) {
		t.Helper()
		driftImages(t, images, first, step)
		windows++
		w.awaitLines(windows * driftWindow)
	}
	send(104, 2) // about 0.41 to 0.56
	if strings.Contains(w.log.String(), "drift") {
		t.Errorf("as in training: got %s", &w.log)
	}
	send(80, 1)
	w.awaitLog("msg=drift model=bottle quantity=brightness")
	send(81, 1)
	place(t, live, dark)
	w.awaitLog("now using " + live)
	send(82, 1)
	w.awaitLog("drift has ended")
	h.got(2)
	if code := w.end(); code != 0 {
		t.Errorf("got exit code %d, want 0: %s", code, &w.log)
	}
	if n := strings.Count(w.log.String(), "msg=drift "); n != 1 {
		t.Errorf("drift is said %d times, want once: %s", n, &w.log)
	}
	checkDrifts(t, h, anrt.Hash(mustRead(t, bright)), anrt.Hash(mustRead(t, dark)))
}

// TestServeDrift: images become darker, and are as before.
func TestServeDrift(t *testing.T) {
	dir, model := t.TempDir(), driftModel(t, .5)
	h := newHook(t)
	h.arrive()
	s := startService(t, "--drift-window", fmt.Sprint(driftWindow), "--spool", filepath.Join(dir, "spool"), "--output", h.url()+"?only=drift", model)
	for _, first := range []uint8{104, 80, 105} {
		for _, path := range driftImages(t, dir, first, 1+first/100) {
			a, err := http.Post(s.url+"/v1/models/bottle/images", "image/png", bytes.NewReader(mustRead(t, path)))
			must(t, err)
			a.Body.Close()
		}
	}
	s.end(t)
	checkDrifts(t, h, anrt.Hash(mustRead(t, model)))
}

// TestWorkerDrift: the same by way of a queue.
func TestWorkerDrift(t *testing.T) {
	dir, model := t.TempDir(), driftModel(t, .5)
	h := newHook(t)
	h.arrive()
	w := startWorker(t, "--drift-window", fmt.Sprint(driftWindow), "--spool", filepath.Join(dir, "spool"), "--output", h.url()+"?only=drift", model)
	for i, first := range []uint8{104, 80, 105} {
		images := filepath.Join(dir, fmt.Sprint(first))
		driftImages(t, images, first, 1+first/100)
		mustRun(t, 0, "submit", "--nats", w.url, images)
		if i == 0 && strings.Contains(w.out.String(), "drift") {
			t.Errorf("as in training: got %s", &w.out)
		}
	}
	for _, want := range []string{`"level":"WARN","msg":"drift","model":"` + anrt.Hash(mustRead(t, model)), `"name":"bottle","quantity":"brightness","what":"brightness: darker`, `"msg":"drift has ended"`} {
		if n := strings.Count(w.out.String(), want); n != 1 {
			t.Errorf("%s is logged %d times, want once: %s", want, n, &w.out)
		}
	}
	w.end(t)
	checkDrifts(t, h, anrt.Hash(mustRead(t, model)))
}

// TestDriftUsage: what is wrong with its flags is said before anything is done.
func TestDriftUsage(t *testing.T) {
	for _, command := range [][]string{{"run", "--watch", tinyModel(t), t.TempDir()}, {"serve", "absent"}, {"worker", "--nats", "nats://127.0.0.1:1"}} {
		for flags, want := range map[string]string{
			"--drift-window 19":      "--drift-window: got 19, want 20 to 10000",
			"--drift-false-alarms 1": "--drift-false-alarms: got 1, want a share between 0 and 1",
		} {
			if _, stderr := mustRun(t, exitUsage, append(command[:len(command):len(command)], strings.Fields(flags)...)...); !strings.Contains(stderr, want) {
				t.Errorf("%s %s: got %s, want %q", command[0], flags, stderr, want)
			}
		}
	}
	if _, stderr := mustRun(t, exitUsage, "run", "--drift-window", "50", tinyModel(t), t.TempDir()); !strings.Contains(stderr, "--drift-window needs --watch") {
		t.Errorf("without --watch: got %s", stderr)
	}
}
