package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A version of a model as it lies on disk.
type version struct {
	name  string // a whole number; "1" for a plain file
	path  string // of the ONNX file
	plain bool   // a file of the repository, which has no other versions
	stamp stamp
}

// A stamp is what tells one state of a model's files from another without reading
// them: of the file and, in a version's folder, of those beside it.
type stamp struct {
	files int
	bytes int64
	last  time.Time // of a change
}

const (
	modelFile  = "model.onnx" // of a version
	choiceFile = ".use"       // in a model's folder: the version to use
)

// modelName is what models may be called: names are part of paths, headers, labels
// of metrics and logs.
var modelName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// survey returns what lies in a repository, or the one model of a file: versions by
// the name of their model, the newest first. Problems are of entries that look like
// models and are none.
func survey(root string) (models map[string][]version, problems []error, err error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, nil, err
	}
	models = map[string][]version{}
	if !info.IsDir() {
		v, err := plain(root)
		if err != nil {
			return nil, nil, err
		}
		name := strings.TrimSuffix(filepath.Base(root), filepath.Ext(root))
		if !modelName.MatchString(name) {
			name = "model"
		}
		models[name] = []version{v}
		return models, nil, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		path := filepath.Join(root, e.Name())
		info, err := os.Stat(path)
		if strings.HasPrefix(e.Name(), ".") || err != nil {
			continue
		}
		name, versions := e.Name(), []version(nil)
		switch {
		case info.IsDir():
			versions, err = numbered(path)
		case info.Mode().IsRegular() && strings.EqualFold(filepath.Ext(path), ".onnx"):
			name = strings.TrimSuffix(name, filepath.Ext(name))
			var v version
			v, err = plain(path)
			versions = []version{v}
		default:
			continue
		}
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone again
		case err != nil:
			return nil, nil, err
		case len(versions) == 0: // a folder of other things
		case !modelName.MatchString(name):
			problems = append(problems, fmt.Errorf("%w: %q is no name: want letters, digits, '.', '_' and '-', at most 128", ErrModel, name))
		case models[name] != nil:
			problems = append(problems, fmt.Errorf("%w: %s is both a file and a folder, of which the first counts", ErrModel, name))
		default:
			models[name] = versions
		}
	}
	return models, problems, nil
}

// plain returns the one version of a model that is a file.
func plain(path string) (version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return version{}, err
	}
	return version{"1", path, true, stamp{1, info.Size(), info.ModTime()}}, nil
}

// numbered returns the versions in a model's folder, the newest first.
func numbered(dir string) ([]version, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	numbers := map[uint64]version{}
	for _, e := range entries {
		n, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil || strconv.FormatUint(n, 10) != e.Name() {
			continue
		}
		v := version{name: e.Name(), path: filepath.Join(dir, e.Name(), modelFile)}
		if info, err := os.Stat(v.path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		files, err := os.ReadDir(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		for _, f := range files {
			if info, err := os.Stat(filepath.Join(dir, e.Name(), f.Name())); err == nil && info.Mode().IsRegular() {
				v.stamp.files++
				v.stamp.bytes += info.Size()
				if info.ModTime().After(v.stamp.last) {
					v.stamp.last = info.ModTime()
				}
			}
		}
		numbers[n] = v
	}
	newest := slices.SortedFunc(maps.Keys(numbers), func(a, b uint64) int { return cmp.Compare(b, a) })
	var versions []version
	for _, n := range newest {
		versions = append(versions, numbers[n])
	}
	return versions, nil
}

func (s stamp) equal(t stamp) bool {
	return s.files == t.files && s.bytes == t.bytes && s.last.Equal(t.last)
}
