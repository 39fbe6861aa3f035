//go:build cgo && linux

package engine

/*
#cgo LDFLAGS: -ldl
#include <dlfcn.h>
#include <stdlib.h>

// What went wrong is known to the thread that it went wrong on.
static const char *load_library(const char *name) {
	return dlopen(name, RTLD_NOW | RTLD_GLOBAL) ? NULL : dlerror();
}
*/
import "C"

import (
	"debug/elf"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"unsafe"

	"github.com/anomaly-go/anomaly/internal/ortlib"
)

// preload loads the libraries that a shared library needs, and the others named,
// and returns those it does not find. It asks the system's loader, then looks
// where pip puts NVIDIA's, which the loader does not know: once loaded they are
// found by name. What is found beside the library itself is left to the loader.
func preload(library string, others []string) (missing []string, err error) {
	f, err := elf.Open(library)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	var own []string // folders that the library names
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		paths, _ := f.DynString(tag)
		for _, p := range paths {
			own = append(own, filepath.SplitList(strings.ReplaceAll(p, "$ORIGIN", filepath.Dir(library)))...)
		}
	}
	pending := slices.DeleteFunc(slices.Concat(needed, others), func(name string) bool {
		return slices.ContainsFunc(own, func(dir string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil })
	})
	// One may need another further down the list: as long as some are found, go on.
	for found := true; found; {
		n := len(pending)
		missing = missing[:0]
		pending = slices.DeleteFunc(pending, func(name string) bool {
			problem := dlopen(name)
			for _, path := range pipFiles(library, name) {
				if problem == "" {
					break
				}
				problem = dlopen(path)
			}
			if problem != "" {
				missing = append(missing, problem)
			}
			return problem == ""
		})
		found = len(pending) < n && len(pending) > 0
	}
	slices.Sort(missing)
	return slices.Compact(missing), nil
}

// pipFiles returns the files of a name where pip puts NVIDIA's libraries, those
// beside the Python package that library is of first.
func pipFiles(library, name string) []string {
	var files []string
	for _, dir := range slices.Concat([]string{filepath.Join(filepath.Dir(library), "..", "..")}, ortlib.SitePackages(), ortlib.AskPython()) {
		for _, where := range []string{"nvidia/*/lib", "tensorrt_libs"} {
			found, _ := filepath.Glob(filepath.Join(dir, where, name))
			files = append(files, found...)
		}
	}
	return files
}

// dlopen loads a library for good. It returns "", or the name of what is missing,
// which may be another that it needs, or what else is wrong.
func dlopen(name string) (problem string) {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	goruntime.LockOSThread() // until the message is copied
	defer goruntime.UnlockOSThread()
	problem = C.GoString(C.load_library(c))
	if lib, _, ok := strings.Cut(problem, ": cannot open shared object file"); ok {
		return lib
	}
	return problem
}
