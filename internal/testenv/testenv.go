package testenv

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Root returns the module's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Shared returns the path of ../shared/<elem...> beside the module (or below
// $ANOMALY_SHARED) and skips the test where it is absent.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	base := os.Getenv("ANOMALY_SHARED")
	if base == "" {
		base = filepath.Join(Root(), "..", "shared")
	}
	path := filepath.Join(append([]string{base}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("shared data absent: %v (set ANOMALY_SHARED)", err)
	}
	return path
}

// Python returns the interpreter of the virtual environment that `make setup`
// creates ($ANOMALY_PYTHON overrides it) and skips the test where it is absent.
func Python(t testing.TB) string {
	t.Helper()
	py := os.Getenv("ANOMALY_PYTHON")
	if py == "" {
		py = filepath.Join(Root(), ".venv", "bin", "python")
	}
	if _, err := exec.LookPath(py); err != nil {
		t.Skipf("no Python environment: %v (run make setup)", err)
	}
	return py
}
