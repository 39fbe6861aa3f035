package judge

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestInbox(t *testing.T) {
	dir := t.TempDir()
	var said []string
	for _, name := range []string{"a", "b", "b/c"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b, err := NewInbox([]string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "b", "*.png")}, InboxOptions{
		Results: filepath.Join(dir, "b", "out"), Wrong: func(text string) { said = append(said, text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	touch := func(name string, content string, after time.Duration) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at.Add(after), at.Add(after)); err != nil {
			t.Fatal(err)
		}
	}
	looks := func(want ...string) {
		t.Helper()
		got := []string{}
		for _, s := range b.look() {
			got = append(got, s.Name)
		}
		if !slices.Equal(got, append([]string{}, want...)) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	looks() // a folder without images is no mistake
	touch("a/1.png", "x", 2*time.Second)
	touch("b/1.png", "x", time.Second)
	touch("b/c/2.png", "", 0)
	looks()
	looks("b/1.png", "a/1.png") // the oldest first, each once
	looks()
	touch("b/1.png", "xy", time.Second) // grows
	touch("b/c/2.png", "x", 0)
	looks()
	touch("b/1.png", "xyz", time.Second)
	looks("b/c/2.png")
	looks("b/1.png")
	if err := os.Remove(filepath.Join(dir, "a", "1.png")); err != nil {
		t.Fatal(err)
	}
	looks()
	touch("a/1.png", "x", 2*time.Second) // gone and here again
	looks()
	looks("a/1.png")
	if err := os.Mkdir(filepath.Join(dir, "b", "out"), 0o700); err != nil {
		t.Fatal(err)
	}
	touch("b/out/x.png", "x", 0)
	looks()
	looks()
	if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		looks()
	}
	if len(said) != 1 || !strings.Contains(said[0], filepath.Join(dir, "a")) {
		t.Errorf("a folder that has gone: said %q, want one line of it", said)
	}
}
