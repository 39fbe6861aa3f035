package judge

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/anomaly-go/anomaly/dataset"
)

// LeaveOut returns the samples that do not lie below a folder, and how many do: the
// pictures of an earlier run, where dir is what results go to. A folder is known by
// what it is, whatever links lead there; "" leaves nothing out.
func LeaveOut(samples []dataset.Sample, dir string) (rest []dataset.Sample, left int) {
	there, err := os.Stat(dir)
	if err != nil { // nothing can lie in it yet
		return samples, 0
	}
	inside := map[string]bool{} // by folder
	rest = slices.DeleteFunc(slices.Clone(samples), func(s dataset.Sample) bool {
		folder := filepath.Dir(s.Path)
		in, known := inside[folder]
		if !known {
			in = within(folder, there)
			inside[folder] = in
		}
		return in
	})
	return rest, len(samples) - len(rest)
}

// within reports whether a folder is another or lies below it.
func within(folder string, other os.FileInfo) bool {
	folder, err := filepath.EvalSymlinks(folder)
	if err != nil {
		return false
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return false
	}
	for {
		if info, err := os.Stat(folder); err == nil && os.SameFile(info, other) {
			return true
		}
		up := filepath.Dir(folder)
		if up == folder {
			return false
		}
		folder = up
	}
}
