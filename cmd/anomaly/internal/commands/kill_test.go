package commands

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/train"
)

var kills = flag.Int("kills", 3, "how often TestKill kills each of its runs")

// A run that is killed at any moment, again and again, and resumed each time
// leaves the same files as one that is not, byte for byte. Kills come after a
// random time, or as soon as the file appears that a checkpoint or the model is
// written to.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "anomaly")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", program, "github.com/anomaly-go/anomaly/cmd/anomaly").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for i := range 24 {
		for _, folder := range []string{"many", "few"} {
			if folder == "few" && i >= 10 {
				continue
			}
			if err := writePNG(filepath.Join(dir, folder, fmt.Sprintf("%02d.png", i)), goodImage(i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	common := "--size 16 --channels 1 --filters 24 --depth 2 --batch 4 --epochs 12 --loss ssim+mse --provider go --threads 1"
	for _, c := range []struct{ name, flags string }{
		{"defaults", "--data many"},
		{"everything on", "--data many --optimizer adamw --schedule onecycle --clip 0.5 --ema 0.9 --patience 4"},
		{"sgd", "--data many --optimizer sgd --schedule cosine --lr 0.05 --patience 4"},
		{"cross-fitting", "--data few --ema 0.9 --patience 3 --epochs 6"},
		{"without suspects", "--data many --drop-suspects --epochs 4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "everything on" {
				t.Skip("-short: another one is run")
			}
			args := append(append([]string{"train"}, strings.Fields(common)...), strings.Fields(c.flags)...)
			run := func(folder string, resume bool) (*exec.Cmd, *bytes.Buffer) {
				t.Helper()
				if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
					t.Fatal(err)
				}
				out := new(bytes.Buffer)
				cmd := exec.Command(program, append(slices.Clone(args), "--out", filepath.Join(folder, "m.onnx"))...)
				if resume {
					cmd.Args = append(cmd.Args, "--resume")
				}
				cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return cmd, out
			}
			whole, killed := c.name+" whole", c.name+" killed"
			started := time.Now()
			if cmd, out := run(whole, false); cmd.Wait() != nil {
				t.Fatal(out)
			}
			took := time.Since(started)
			want := readFiles(t, filepath.Join(dir, whole))
			t.Logf("not killed: %v, %d files", took.Round(time.Millisecond), len(want))

			rng := rand.New(rand.NewPCG(1, uint64(len(c.name))))
			writing := 0 // kills that hit the writing of a checkpoint
			for n := 1; n <= *kills || writing == 0 && n <= 10**kills; n++ {
				var before map[string][]byte
				if n > 1 {
					before = readFiles(t, filepath.Join(dir, killed))
				}
				cmd, out := run(killed, resumable(filepath.Join(dir, killed)))
				ended := make(chan error, 1)
				go func() { ended <- cmd.Wait() }()
				moment := ""
				switch wait := time.Duration(rng.Float64() * .4 * float64(took)); {
				case n == *kills:
					moment = "at the model"
					await(filepath.Join(dir, killed), before, ended, ".m.onnx.", ".m.onnx.ckpt.", ".m.onnx.log.", ".m.onnx.suspects.")
				case n%2 == 1:
					moment = fmt.Sprintf("after %v", wait.Round(time.Millisecond))
					sleep(wait, ended)
				default:
					moment = "at a checkpoint"
					sleep(wait/2, ended)
					await(filepath.Join(dir, killed), before, ended, ".m.onnx.ckpt.")
				}
				cmd.Process.Kill()
				err := <-ended
				if err == nil {
					moment = "not, it had finished"
				} else if runtime.GOOS != "windows" && !strings.Contains(err.Error(), "killed") {
					t.Fatalf("kill %d: %v\n%s", n, err, out)
				}
				left := readFiles(t, filepath.Join(dir, killed))
				var half []string
				for name := range left {
					if strings.HasPrefix(name, ".") {
						half = append(half, name)
					}
					if strings.HasPrefix(name, ".m.onnx.ckpt.") {
						writing++
					}
				}
				if model, ok := left["m.onnx"]; ok && !bytes.Equal(model, want["m.onnx"]) {
					t.Fatalf("kill %d, %s: there is another model", n, moment)
				}
				t.Logf("kill %d, %s: %d epochs in the log, half written: %q", n, moment, bytes.Count(left["m.onnx"+page.LogSuffix], []byte("\n")), half)
			}
			if writing == 0 {
				t.Error("no kill hit the writing of a checkpoint")
			}
			if cmd, out := run(killed, resumable(filepath.Join(dir, killed))); cmd.Wait() != nil {
				t.Fatal(out)
			}
			got := readFiles(t, filepath.Join(dir, killed))
			for name := range want {
				if name != "m.onnx"+page.LogSuffix && !bytes.Equal(got[name], want[name]) {
					t.Errorf("%s differs", name)
				}
			}
			if len(got) != len(want) {
				t.Errorf("got %d files, want %d", len(got), len(want))
			}
			if got, want := epochs(t, got), epochs(t, want); !slices.Equal(got, want) {
				t.Errorf("got log\n%v\nwant\n%v", got, want)
			}
			t.Logf("resumed to the end: model and configuration equal those of the whole run, %d bytes; %d epochs in the log", len(want["m.onnx"]), len(epochs(t, got)))
		})
	}
}

// resumable reports whether a run that was killed left a checkpoint in a folder.
func resumable(folder string) bool {
	return isThere(filepath.Join(folder, "m.onnx"+checkpointSuffix)) || isThere(filepath.Join(folder, "m.onnx"+suspectsSuffix))
}

// epochs returns the log's lines but for the time.
func epochs(t *testing.T, files map[string][]byte) []string {
	t.Helper()
	lines, err := train.ReadLog(bytes.NewReader(files["m.onnx"+page.LogSuffix]))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range lines {
		val := 0.
		if l.Val != nil {
			val = *l.Val
		}
		out = append(out, fmt.Sprintln(l.Stage, l.Stages, l.Epoch, l.Epochs, l.Loss, val, l.LearningRate, l.GradNorm, l.Best))
	}
	return out
}

// sleep waits for a while, or until the process has ended, which it leaves in ended.
func sleep(d time.Duration, ended chan error) {
	select {
	case <-time.After(d):
	case err := <-ended:
		ended <- err
	}
}

// await waits until dir has a file whose name begins so, not like others, and is
// new, or until the process has ended.
func await(dir string, before map[string][]byte, ended chan error, prefix string, others ...string) {
	for {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			begins := func(p string) bool { return strings.HasPrefix(e.Name(), p) }
			if _, old := before[e.Name()]; !old && begins(prefix) && !slices.ContainsFunc(others, begins) {
				return
			}
		}
		select {
		case err := <-ended:
			ended <- err
			return
		default:
		}
	}
}

// readFiles returns the files of a folder by name.
func readFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
