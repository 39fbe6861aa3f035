package train

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A log that is longer or shorter than what the checkpoint knows is put right.
func TestLogIsPutRight(t *testing.T) {
	data := stripes(21, 1, 16, 16)
	dir := t.TempDir()
	s := Settings{Epochs: 4, Batch: 8, Checkpoint: filepath.Join(dir, "c"), Log: filepath.Join(dir, "log"), Provider: "go"}
	ctx, cancel := context.WithCancel(context.Background())
	s.Progress = func(p Progress) {
		if p.Epoch == 2 && p.EpochEnd() {
			cancel()
		}
	}
	if _, err := Fit(ctx, tiny, data, &s); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	two, err := os.ReadFile(s.Log)
	if err != nil || bytes.Count(two, []byte("\n")) != 2 {
		t.Fatalf("got log %q (%v), want two lines", two, err)
	}
	checkpoint, err := os.ReadFile(s.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	s.Progress, s.Resume = nil, true
	for name, log := range map[string]string{
		"as it was":            string(two),
		"an epoch more":        string(two) + `{"stage":1,"stages":1,"epoch":3,"epochs":4}` + "\n",
		"an epoch fewer":       string(two[:bytes.IndexByte(two, '\n')+1]),
		"a line half written":  string(two) + `{"stage":1,"sta`,
		"of another run":       "hello\n",
		"lost":                 "",
		"half of what it knew": string(two[:len(two)-20]),
	} {
		for path, content := range map[string][]byte{s.Log: []byte(log), s.Checkpoint: checkpoint} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		fit(t, tiny, data, s)
		got, err := os.ReadFile(s.Log)
		if err != nil {
			t.Fatal(err)
		}
		lines := readLog(t, s.Log)
		if !bytes.HasPrefix(got, two) || len(lines) != 4 || lines[2].Epoch != 3 || lines[3].Epoch != 4 {
			t.Errorf("%s: got %s, want epochs 1 to 4, the first two as before", name, got)
		}
	}
}

func TestReadLog(t *testing.T) {
	const line = `{"stage":1,"stages":1,"epoch":1,"epochs":4,"loss":0.5,"val":null,"learning_rate":0.001,"grad_norm":2,"seconds":0.25,"best":false}` + "\n"
	lines, err := ReadLog(strings.NewReader(line + `{"stage":1,`))
	if err != nil || len(lines) != 1 || lines[0].Loss != .5 || lines[0].Val != nil {
		t.Errorf("got %v, %v", lines, err)
	}
	for _, bad := range []string{"x\n", "{}\n", line + `{"stage":2,"stages":1,"epoch":1,"epochs":4}` + "\n", `{"epoch":1,"loss":"x"}` + "\n", `{"nosuch":1}` + "\n"} {
		if _, err := ReadLog(strings.NewReader(bad)); !errors.Is(err, ErrLog) {
			t.Errorf("%q: got %v, want an ErrLog", bad, err)
		}
	}
	s := Settings{Epochs: 1, Provider: "go", Log: filepath.Join(t.TempDir(), "no", "log")}
	if _, err := Fit(context.Background(), tiny, stripes(20, 1, 16, 16), &s); !errors.Is(err, ErrLog) {
		t.Errorf("a log in an absent folder: got %v, want an ErrLog", err)
	}
}
