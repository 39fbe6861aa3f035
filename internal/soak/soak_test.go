package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// The soak itself, but short: what it says of requests and swaps must hold in
// seconds too. Memory is for the long one.
func TestShort(t *testing.T) {
	if _, err := resident(); err != nil {
		t.Skip(err)
	}
	report := anrt.Diagnose(nil)
	for _, a := range report.Providers {
		if a.Provider == anrt.CPU && !a.Usable {
			t.Skip("provider cpu cannot be used: ", a.Problem)
		}
	}
	dir := t.TempDir()
	s := settings{provider: anrt.CPU, swaps: len(variants), clients: 4, pause: 5 * time.Millisecond, settle: 200 * time.Millisecond, opens: 10, out: dir}
	err := run(t.Context(), s, "go test")
	if err != nil && !strings.HasPrefix(err.Error(), "memory") && !strings.Contains(err.Error(), "memory from") {
		t.Error(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "soak.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| requests lost | 0 |", "![Resident memory over time](soak.png)"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("got %s, want it to say %q", b, want)
		}
	}
	for _, name := range []string{"soak.png", "soak-open.png"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() < 1000 {
			t.Errorf("%s: got %v, %v", name, info, err)
		}
	}
}

// The checks themselves can fail.
func TestAccount(t *testing.T) {
	img := pictures()
	file, _, err := writeVariants(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	two := file[3:4]
	want, err := expectations(append(two, file[1]), img[:2], &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: anrt.Go}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name        string
		results     []anrt.Result
		first, last int64
		lost, mixed int64
	}{
		{"the model in use", want[0], 0, 0, 0, 0},
		{"the one swapped in meanwhile", want[1], 0, 1, 0, 0},
		{"one that is in use no more", want[0], 1, 1, 0, 1},
		{"one that is not yet in use", want[1], 0, 0, 0, 1},
		{"two models", []anrt.Result{want[0][0], want[1][1]}, 0, 1, 0, 1},
		{"images changed places", []anrt.Result{want[0][1], want[0][0]}, 0, 1, 0, 1},
		{"too few", want[0][:1], 0, 1, 1, 0},
	} {
		l := &line{want: want}
		l.served = make([]int64, len(variants))
		l.account(t.Context(), false, []int{0, 1}, tt.results, nil, tt.first, tt.last)
		if l.lost != tt.lost || l.mixed != tt.mixed {
			t.Errorf("%s: got %d lost, %d mixed, want %d, %d", tt.name, l.lost, l.mixed, tt.lost, tt.mixed)
		}
	}
}
