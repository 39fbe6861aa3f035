//go:build !edge && !js

package feedback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// file returns the n-th image file.
func file(n int) []byte {
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	for i := range img.Pix {
		img.Pix[i] = uint8(n >> (8 * (i % 4)))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func open(t *testing.T, dir string, o *Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func add(t *testing.T, s *Store, n int, model string, mark Mark) (*Entry, bool) {
	t.Helper()
	e, added, err := s.Add(t.Context(), Entry{Model: model, Mark: mark, Name: fmt.Sprint(n)}, file(n))
	if err != nil {
		t.Fatal(err)
	}
	return e, added
}

func list(t *testing.T, s *Store) []Entry {
	t.Helper()
	entries, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestAdd(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	score := float32(.3)
	first, added, err := s.Add(t.Context(), Entry{Model: "part", Mark: FalseAlarm, Version: "3", Hash: "ab", Name: "a.png", Score: &score, By: "eva"}, file(1))
	if err != nil || !added {
		t.Fatalf("got added %v, %v", added, err)
	}
	if again, added := add(t, s, 1, "part", FalseAlarm); added || again.Name != "a.png" || again.At != first.At {
		t.Errorf("said again: got added %v, %+v, want what there was", added, again)
	}
	add(t, s, 1, "other", Miss)
	add(t, s, 2, "part", Miss)
	s.Close()
	s = open(t, dir, &Options{Logf: t.Errorf})
	entries := list(t, s)
	if len(entries) != 3 {
		t.Fatalf("got %d entries, want 3: %+v", len(entries), entries)
	}
	for _, e := range entries {
		b, err := os.ReadFile(e.Path)
		if err != nil || int64(len(b)) != e.Bytes {
			t.Errorf("%s: got %d bytes, %v, want %d", e.Path, len(b), err, e.Bytes)
		}
		if e.Name == "a.png" && (e.Score == nil || *e.Score != score || e.By != "eva" || e.Version != "3" || e.Threshold != nil) {
			t.Errorf("got %+v, want what was stored", e)
		}
	}
	if _, added := add(t, s, 1, "part", Miss); !added {
		t.Error("the contrary is not stored")
	}
	for _, e := range list(t, s) {
		if e.Model == "part" && e.Mark != Miss {
			t.Errorf("got %+v beside the contrary, want that alone", e)
		}
	}
}

func TestRefused(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := Open(t.Context(), absent, &Options{Existing: true}); !errors.Is(err, ErrIndex) {
		t.Errorf("a folder that is none: got %v, want %v", err, ErrIndex)
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Error("a folder was made that was to exist")
	}
	s := open(t, t.TempDir(), &Options{MaxBytes: int64(len(file(1)) + len(file(2)))})
	for _, e := range []Entry{{Model: "part", Mark: "good"}, {Model: "part"}, {Mark: Miss}, {Model: "../part", Mark: Miss}, {Model: "..", Mark: Miss}} {
		if _, _, err := s.Add(t.Context(), e, file(1)); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: got %v, want %v", e, err, ErrInput)
		}
	}
	for _, b := range []string{"", "no image", "GIF"} {
		if _, _, err := s.Add(t.Context(), Entry{Model: "part", Mark: Miss}, []byte(b)); !errors.Is(err, ErrInput) {
			t.Errorf("%q: got %v, want %v", b, err, ErrInput)
		}
	}
	add(t, s, 1, "part", Miss)
	add(t, s, 2, "part", Miss)
	if _, _, err := s.Add(t.Context(), Entry{Model: "part", Mark: Miss}, file(3)); !errors.Is(err, ErrFull) {
		t.Errorf("beyond the budget: got %v, want %v", err, ErrFull)
	}
	add(t, s, 1, "other", Miss) // whose image is there
	if n := len(list(t, s)); n != 3 {
		t.Errorf("got %d entries, want 3", n)
	}
}

func TestRemove(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	e, _ := add(t, s, 1, "part", Miss)
	add(t, s, 1, "other", Miss)
	kept, _ := add(t, s, 2, "part", Miss)
	for image, want := range map[string]error{"": ErrInput, "%": ErrInput, e.Image[:7]: ErrInput, strings.Repeat("0", 64): ErrNone} {
		if _, err := s.Remove(t.Context(), image, ""); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", image, err, want)
		}
	}
	add(t, s, 1, "third", FalseAlarm)
	if removed, err := s.Remove(t.Context(), e.Image, "third"); err != nil || len(removed) != 1 || removed[0].Model != "third" {
		t.Errorf("of one model: got %+v, %v", removed, err)
	}
	if _, err := s.Remove(t.Context(), e.Image, "third"); !errors.Is(err, ErrNone) {
		t.Errorf("of a model that says nothing of it: got %v, want %v", err, ErrNone)
	}
	if _, err := os.Stat(e.Path); err != nil {
		t.Errorf("the image of other marks is gone: %v", err)
	}
	removed, err := s.Remove(t.Context(), strings.ToUpper(e.Image[:12]), "")
	if err != nil || len(removed) != 2 {
		t.Fatalf("got %+v, %v, want both marks", removed, err)
	}
	if _, err := os.Stat(e.Path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the image is still there: %v", err)
	}
	if left := list(t, s); len(left) != 1 || left[0].Image != kept.Image {
		t.Errorf("got %+v left", left)
	}
}

// TestReconcile takes each of the two sides away from the other.
func TestReconcile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, nil)
	gone, _ := add(t, s, 1, "part", Miss)
	cut, _ := add(t, s, 2, "part", Miss)
	kept, _ := add(t, s, 3, "part", Miss)
	s.Close()
	stray := filepath.Join(dir, imagesFolder, strings.Repeat("0", 64)+".png")
	for _, err := range []error{os.Remove(gone.Path), os.Truncate(cut.Path, 7), os.WriteFile(stray, file(4), 0o666)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	said := 0
	s = open(t, dir, &Options{Logf: func(string, ...any) { said++ }})
	if left := list(t, s); len(left) != 1 || left[0].Image != kept.Image {
		t.Errorf("got %+v left, want %s", left, kept.Image)
	}
	if _, err := os.Stat(filepath.Join(dir, strayedFolder, filepath.Base(stray))); err != nil {
		t.Error(err)
	}
	if said != 4 { // two marks, and two images
		t.Errorf("it said %d things, want 4", said)
	}
	s.Close()

	index := filepath.Join(dir, indexName)
	if err := os.WriteFile(index, bytes.Repeat([]byte("no database "), 1000), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, nil); !errors.Is(err, ErrIndex) {
		t.Errorf("a damaged index: got %v, want %v", err, ErrIndex)
	}
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir, nil); !errors.Is(err, ErrIndex) {
		t.Errorf("no index: got %v, want %v", err, ErrIndex)
	}
	if _, err := os.Stat(kept.Path); err != nil {
		t.Errorf("without an index images are touched: %v", err)
	}
}

// TestTogether adds from several stores of one folder at once.
func TestTogether(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			s, err := Open(t.Context(), dir, &Options{Logf: t.Errorf})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			for n := range 10 {
				if _, _, err := s.Add(t.Context(), Entry{Model: "part", Mark: Miss}, file(n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := len(list(t, open(t, dir, &Options{Logf: t.Errorf}))); n != 10 {
		t.Errorf("got %d entries, want 10", n)
	}
}

const killedDir = "ANOMALY_TEST_FEEDBACK"

// TestKill kills a process that adds, again and again: what it has acknowledged is
// there, and folder and index agree.
func TestKill(t *testing.T) {
	if dir := os.Getenv(killedDir); dir != "" {
		s, err := Open(context.Background(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for n := len(list(t, s)); ; n++ {
			e, _, err := s.Add(context.Background(), Entry{Model: "part", Mark: Miss}, file(n))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Println("added", e.Image)
		}
	}
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	acknowledged := map[string]bool{}
	for range 5 {
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env, cmd.Stdout = append(os.Environ(), killedDir+"="+dir), &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(100+random.IntN(200)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		for line := range strings.Lines(out.String()) {
			if hash, ok := strings.CutPrefix(strings.TrimSpace(line), "added "); ok && len(hash) == 64 {
				acknowledged[hash] = true
			}
		}
		s := open(t, dir, &Options{Logf: t.Logf})
		there := map[string]bool{}
		for _, e := range list(t, s) {
			there[e.Image] = true
			if info, err := os.Stat(e.Path); err != nil || info.Size() != e.Bytes {
				t.Errorf("%s: got %v, %v", e.Image, info, err)
			}
		}
		for hash := range acknowledged {
			if !there[hash] {
				t.Errorf("%s was acknowledged and is lost", hash)
			}
		}
		if files, err := s.files(); err != nil || len(files) != len(there) {
			t.Errorf("got %d files, %v, want those of %d marks", len(files), err, len(there))
		}
		s.Close()
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was ever acknowledged: no test")
	}
	t.Logf("%d marks were acknowledged over 5 kills", len(acknowledged))
}
