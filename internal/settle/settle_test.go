package settle

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFiles(t *testing.T) {
	at := time.Unix(1e9, 0)
	path := filepath.Join(t.TempDir(), "a")
	write := func(name, content string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	replace := func() { // by another file of the same size and time
		write(path+"~", "zz", at.Add(time.Second))
		if err := os.Rename(path+"~", path); err != nil {
			t.Fatal(err)
		}
	}
	sizes := Files{}
	files := Files{Identity: true}
	nothing := func() {}
	for _, c := range []struct {
		what           string
		change         func()
		settled, taken bool // with Identity
		sized, same    bool // without
	}{
		{"no file", nothing, false, false, false, false},
		{"no file still", nothing, true, false, true, false},
		{"a file", func() { write(path, "x", at) }, false, false, false, false},
		{"still", nothing, true, false, true, false},
		{"taken", func() { files.Take(path); sizes.Take(path) }, true, true, true, true},
		{"grown", func() { write(path, "xy", at) }, false, false, false, false},
		{"touched", func() { write(path, "xy", at.Add(time.Second)) }, false, false, false, false},
		{"still touched", nothing, true, false, true, false},
		{"taken again", func() { files.Take(path); sizes.Take(path) }, true, true, true, true},
		{"another file", replace, false, false, true, true},
		{"looked at again", func() { files.Again(); sizes.Again() }, false, false, false, true},
		{"gone", func() { os.Remove(path) }, false, false, false, false},
	} {
		c.change()
		files.Look([]string{path})
		sizes.Look([]string{path})
		if settled, taken := files.Settled(path), files.Taken(path); settled != c.settled || taken != c.taken {
			t.Errorf("%s: got settled %v, taken %v, want %v, %v", c.what, settled, taken, c.settled, c.taken)
		}
		if settled, taken := sizes.Settled(path), sizes.Taken(path); settled != c.sized || taken != c.same {
			t.Errorf("%s, sizes: got settled %v, taken %v, want %v, %v", c.what, settled, taken, c.sized, c.same)
		}
	}
	write(path, "x", at)
	if files.Look([]string{path}); files.Info(path).Size() != 1 || !files.Still(path) {
		t.Error("a file that is as the look saw it: got another")
	}
	write(path, "xy", at)
	if files.Still(path) {
		t.Error("a file that grew after the look: got none")
	}
	files.Take(path)
	files.Look(nil)
	files.Look([]string{path})
	if files.Taken(path) {
		t.Error("a file that was not looked at: got taken still")
	}
}
