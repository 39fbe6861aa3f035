package ortlib

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Cache returns the user's cache folder of this project, "" where the system
// names none.
func Cache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "anomaly")
}

// CacheFolders returns the folders below a cache folder that hold builds, in the
// order in which a provider that any of them has takes them: of one build the
// newest version first.
func CacheFolders(cache string) []string {
	var dirs []string
	for _, b := range []Build{Plain, GPU, OpenVINO, DirectML} {
		found, _ := filepath.Glob(filepath.Join(cache, string(b)+"-[0-9]*"))
		slices.Reverse(found) // sorted: versions have numbers of two digits
		dirs = append(dirs, found...)
	}
	return dirs
}

// SitePackages returns patterns of the folders in which Python packages lie:
// those of the active environment, then the user's, then the system's.
func SitePackages() []string {
	var dirs []string
	for _, variable := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if prefix := os.Getenv(variable); prefix != "" {
			dirs = append(dirs, filepath.Join(prefix, "lib", "python3*", "site-packages"), filepath.Join(prefix, "Lib", "site-packages"))
		}
	}
	if home, err := os.UserHomeDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, ".local", "lib", "python3*", "site-packages"))
	}
	if runtime.GOOS == "windows" {
		return dirs
	}
	return append(dirs, "/usr/local/lib/python3*/site-packages", "/usr/local/lib/python3*/dist-packages", "/usr/lib/python3/dist-packages")
}

// AskPython returns the folders in which `python3 -m pip install` puts packages,
// none where there is no Python. It starts one, once.
var AskPython = sync.OnceValue(func() []string {
	out, err := exec.Command("python3", "-c", "import site; print(*site.getsitepackages(), site.getusersitepackages(), sep='\\n')").Output()
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
})
