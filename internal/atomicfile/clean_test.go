package atomicfile

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestClean(t *testing.T) {
	dir := t.TempDir()
	keep := []string{".a.b", ".a.b.12x", ".a.b.c.34", ".aab.12", "a.b", "a.b.12"}
	for _, name := range append([]string{".a.b.12", ".a.b.99999"}, keep...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := Clean(filepath.Join(dir, "a.b")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, keep) {
		t.Errorf("got %v left, want %v", got, keep)
	}
	if err := CleanFolder(dir, ".b", ".x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.b.12")); err != nil {
		t.Error("a file of the user's is gone: ", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".c.b.7"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CleanFolder(dir, ".b"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".c.b.7")); err == nil {
		t.Error("what was left of c.b is there still")
	}
	for _, name := range []string{".1.b.7", ".2.b.7", ".1.b7", "1.b.7"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := CleanNames(dir, func(name string) bool { return name == "1.b" }); err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{".1.b.7": false, ".2.b.7": true, ".1.b7": true, "1.b.7": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != there {
			t.Errorf("%s: got %v, want it there %v", name, err, there)
		}
	}
	if err := Clean(filepath.Join(dir, "no", "x")); err == nil {
		t.Error("an absent folder: got no error")
	}
}
