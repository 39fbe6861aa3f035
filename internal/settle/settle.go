package settle

import (
	"maps"
	"os"
)

// Files remembers how files were at the last two looks, and when they were taken.
// It is used by one goroutine; the zero value has seen nothing.
type Files struct {
	// Identity counts another file of the same size and time, renamed into place,
	// as a change. Some network file systems number their files anew without one.
	Identity bool

	now, before map[string]os.FileInfo // nil where there is no such file
	taken       map[string]os.FileInfo
}

// Look looks at files. What is not among them is forgotten, as taken too.
func (f *Files) Look(paths []string) {
	f.before, f.now = f.now, make(map[string]os.FileInfo, len(paths))
	for _, path := range paths {
		f.now[path] = stat(path)
	}
	maps.DeleteFunc(f.taken, func(path string, _ os.FileInfo) bool {
		_, ok := f.now[path]
		return !ok
	})
}

// Again makes the next look the first, but for what was taken.
func (f *Files) Again() { f.now = nil }

// Info returns what the last look saw of a file, nil where there was none.
func (f *Files) Info(path string) os.FileInfo { return f.now[path] }

// Settled reports whether the last two looks saw the same of a file, its absence
// included.
func (f *Files) Settled(path string) bool { return f.is(f.before, path, f.now[path]) }

// Still reports whether a file is now as at the last look.
func (f *Files) Still(path string) bool { return f.is(f.now, path, stat(path)) }

// Taken reports whether a file is as it was when it was taken.
func (f *Files) Taken(path string) bool { return f.is(f.taken, path, f.now[path]) }

// Take takes a file as the last look saw it.
func (f *Files) Take(path string) {
	if f.taken == nil {
		f.taken = map[string]os.FileInfo{}
	}
	f.taken[path] = f.now[path]
}

// is reports whether files has one of path that is as info says.
func (f *Files) is(files map[string]os.FileInfo, path string, info os.FileInfo) bool {
	was, ok := files[path]
	if !ok || was == nil || info == nil {
		return ok && was == nil && info == nil
	}
	return was.Size() == info.Size() && was.ModTime().Equal(info.ModTime()) && (!f.Identity || os.SameFile(was, info))
}

func stat(path string) os.FileInfo {
	info, err := os.Stat(path)
	if err != nil {
		return nil
	}
	return info
}
