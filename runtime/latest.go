package runtime

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Latest returns the file that path stands for: itself, or for a folder the .onnx
// file in it whose name is the last, numbers in names compared as numbers:
// part-v10.onnx is later than part-v9.onnx. Names that begin with a dot are left
// out. Names decide and not times, which copying sets as it likes: to go back to
// an older model, remove the newer one. The error wraps ErrModel.
func Latest(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrModel, err)
	}
	if !info.IsDir() {
		return path, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrModel, err)
	}
	last := ""
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !strings.EqualFold(filepath.Ext(name), ".onnx") || compareNames(name, last) <= 0 {
			continue
		}
		if info, err := os.Stat(filepath.Join(path, name)); err == nil && info.Mode().IsRegular() {
			last = name
		}
	}
	if last == "" {
		return "", fmt.Errorf("%w: folder %s: got no .onnx file in it, want one", ErrModel, path)
	}
	return filepath.Join(path, last), nil
}

// compareNames compares names, runs of digits in them as numbers.
func compareNames(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		m, n := digits(x), digits(y)
		if m > 0 && n > 0 {
			p, q := strings.TrimLeft(x[:m], "0"), strings.TrimLeft(y[:n], "0")
			if c := cmp.Or(cmp.Compare(len(p), len(q)), strings.Compare(p, q)); c != 0 {
				return c
			}
			x, y = x[m:], y[n:]
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

// digits returns how many of them s begins with.
func digits(s string) int { return len(s) - len(strings.TrimLeft(s, "0123456789")) }
