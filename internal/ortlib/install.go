package ortlib

import (
	"archive/tar"
	"archive/zip"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Options are options of [Install]; nil is all defaults.
type Options struct {
	Cache string // folder that gets a folder for each build; "" (default) is Cache()
	// Logf, where not nil, is told what is done.
	Logf func(format string, args ...any)
	// Output, where not nil, gets what pip and npm print: their progress.
	Output io.Writer
}

// Install returns the path of the build's library in the cache folder, and puts
// the build there if need be: out of an installed Python package of the same
// version, else with pip, else with npm, whichever is there first. What is
// pinned is checked; a damaged build is replaced. Interrupted, it leaves nothing.
func Install(ctx context.Context, b Build, o *Options) (string, error) {
	return install(ctx, pins, b, runtime.GOOS+"/"+runtime.GOARCH, o)
}

// Find returns the path of the build's first file in a cache folder, checked; ""
// is Cache(). It is an fs.ErrNotExist where the build is not there.
func Find(b Build, cache string) (string, error) {
	if cache = cmp.Or(cache, Cache()); cache == "" {
		return "", fmt.Errorf("ortlib: the system names no cache folder: %w", fs.ErrNotExist)
	}
	for _, p := range pinsOf(pins, b, runtime.GOOS+"/"+runtime.GOARCH) {
		dir := filepath.Join(cache, p.folder())
		if err := p.check(dir); err == nil {
			return p.library(dir), nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("ortlib: %s: %w", dir, err)
		}
	}
	return "", fmt.Errorf("ortlib: %s is not in %s: %w", b, cache, fs.ErrNotExist)
}

func install(ctx context.Context, pins []pin, b Build, platform string, o *Options) (string, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.Logf == nil {
		opts.Logf = func(string, ...any) {}
	}
	if opts.Cache = cmp.Or(opts.Cache, Cache()); opts.Cache == "" {
		return "", errors.New("ortlib: the system names no cache folder: set HOME or XDG_CACHE_HOME")
	}
	wanted := pinsOf(pins, b, platform)
	if len(wanted) == 0 {
		return "", fmt.Errorf("ortlib: %s: there is none for %s, only for %s", b, platform, platforms(pins, b))
	}
	for _, p := range wanted {
		dir := filepath.Join(opts.Cache, p.folder())
		switch err := p.check(dir); {
		case err == nil:
			return p.library(dir), nil
		case !errors.Is(err, fs.ErrNotExist):
			opts.Logf("%s is replaced: %v", dir, err)
		}
	}
	if err := os.MkdirAll(opts.Cache, 0o755); err != nil {
		return "", fmt.Errorf("ortlib: %w", err)
	}
	sweep(opts.Cache)
	var failed []error
	for _, p := range wanted {
		err := p.install(ctx, &opts)
		if err == nil {
			return p.library(filepath.Join(opts.Cache, p.folder())), nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		failed = append(failed, err)
		if errors.Is(err, errSum) {
			break // what is wrong is not passed over
		}
	}
	return "", fmt.Errorf("ortlib: %s cannot be fetched: %w\n%s", b, errors.Join(failed...), wanted[0].byHand(filepath.Join(opts.Cache, wanted[0].folder())))
}

// byHand says how a person gets the build.
func (p *pin) byHand(dir string) string {
	var names []string
	for _, f := range p.files {
		names = append(names, f.name)
	}
	return fmt.Sprintf("By hand, on any machine with pip: %s\nThen unpack it (it is a zip archive) and put %s of its folder %s into %s",
		strings.Join(slices.Concat([]string{"python3", "-m"}, p.pipArgs(".")), " "), strings.Join(names, ", "), p.within(), dir)
}

// check returns nil if a folder holds the pinned files, an fs.ErrNotExist if it
// holds no library.
func (p *pin) check(dir string) error {
	if _, err := os.Stat(p.library(dir)); err != nil {
		return err
	}
	for _, f := range p.files {
		r, err := os.Open(filepath.Join(dir, f.name))
		if err != nil {
			return errors.New(f.name + " is missing")
		}
		err = f.copy(io.Discard, r)
		r.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

var errSum = errors.New("SHA-256")

// copy copies the file and checks its sum.
func (f *file) copy(w io.Writer, r io.Reader) error {
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, h), r); err != nil {
		return err
	}
	if sum := hex.EncodeToString(h.Sum(nil)); !slices.Contains(f.sums, sum) {
		return fmt.Errorf("%s: %w: got %s, want %s", f.name, errSum, sum, strings.Join(f.sums, " or "))
	}
	return nil
}

const partial = ".partial-"

// sweep removes what a killed process has left, a day later.
func sweep(cache string) {
	left, _ := filepath.Glob(filepath.Join(cache, partial+"*"))
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			os.RemoveAll(dir)
		}
	}
}

// install fetches the build into a folder beside its own and renames that when
// it is whole.
func (p *pin) install(ctx context.Context, o *Options) error {
	tmp, err := os.MkdirTemp(o.Cache, partial)
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	ready, download := filepath.Join(tmp, "ready"), filepath.Join(tmp, "download")
	for _, dir := range []string{ready, download} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if p.npm != "" {
		err = p.fromNPM(ctx, download, ready, o)
	} else if dir := p.fromPython(ready); dir != "" {
		o.Logf("copied %s from %s", p.folder(), dir)
	} else {
		err = p.fromPip(ctx, download, ready, o)
	}
	if err != nil {
		return err
	}
	to := filepath.Join(o.Cache, p.folder())
	if _, err := os.Lstat(to); err == nil {
		// A process that has the old one loaded keeps it, as long as it is renamed.
		if err := os.Rename(to, filepath.Join(tmp, "old")); err != nil {
			return err
		}
	}
	if err := os.Rename(ready, to); err != nil {
		if p.check(to) == nil { // another process was faster
			return nil
		}
		return err
	}
	return nil
}

// fromPython copies the files from an installed Python package that has them,
// and returns its folder.
func (p *pin) fromPython(to string) string {
	for _, pattern := range SitePackages() {
		dirs, _ := filepath.Glob(filepath.Join(pattern, filepath.FromSlash(p.within())))
		for _, dir := range dirs {
			if p.extract(to, func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) }) == nil {
				return dir
			}
		}
	}
	return ""
}

// pipArgs are pip's: it takes the wheel of one Python, whichever runs it.
func (p *pin) pipArgs(dir string) []string {
	if p.tag == anyPlatform {
		return []string{"pip", "download", "--no-deps", "--only-binary=:all:", "--dest", dir, p.requirement()}
	}
	return []string{
		"pip", "download", "--no-deps", "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311",
		"--platform", p.tag, "--dest", dir, p.requirement(),
	}
}

// pips are the ways to call pip.
var pips = [][]string{{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"pip3"}, {"pip"}}

func (p *pin) fromPip(ctx context.Context, download, to string, o *Options) error {
	at := slices.IndexFunc(pips, func(pip []string) bool {
		return exec.CommandContext(ctx, pip[0], append(slices.Clone(pip[1:]), "--version")...).Run() == nil
	})
	if at < 0 {
		return errors.New("there is no pip (python3 -m pip)")
	}
	o.Logf("downloading %s %s with pip", p.build, p.version)
	args := append(slices.Clone(pips[at]), p.pipArgs(download)[1:]...)
	if err := call(ctx, download, o, append(args, "--disable-pip-version-check")); err != nil {
		return err
	}
	wheels, _ := filepath.Glob(filepath.Join(download, "*.whl"))
	if len(wheels) != 1 {
		return fmt.Errorf("pip downloaded %d wheels, want 1", len(wheels))
	}
	z, err := zip.OpenReader(wheels[0])
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(wheels[0]), err)
	}
	defer z.Close()
	return p.extract(to, func(name string) (io.ReadCloser, error) { return z.Open(path.Join(p.within(), name)) })
}

func (p *pin) fromNPM(ctx context.Context, download, to string, o *Options) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return errors.New("there is no npm")
	}
	o.Logf("downloading onnxruntime-node %s with npm", p.version)
	if err := call(ctx, download, o, []string{npm, "pack", p.requirement()}); err != nil {
		return err
	}
	packages, _ := filepath.Glob(filepath.Join(download, "*.tgz"))
	if len(packages) != 1 {
		return fmt.Errorf("npm packed %d packages, want 1", len(packages))
	}
	f, err := os.Open(packages[0])
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(packages[0]), err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			return fmt.Errorf("%s: %s: %w", filepath.Base(packages[0]), p.npm, err)
		}
		if h.Name == p.npm {
			return p.extract(to, func(string) (io.ReadCloser, error) { return io.NopCloser(r), nil })
		}
	}
}

// call runs a client, whose last words are the error.
func call(ctx context.Context, dir string, o *Options, args []string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 5 * time.Second
	var said strings.Builder
	c.Stdout, c.Stderr = &said, &said
	if o.Output != nil {
		c.Stdout, c.Stderr = o.Output, io.MultiWriter(o.Output, &said)
	}
	if err := c.Run(); err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), err, strings.TrimSpace(lines[len(lines)-1]))
	}
	return nil
}

// extract writes the pinned files to a folder and checks them.
func (p *pin) extract(to string, open func(name string) (io.ReadCloser, error)) error {
	for _, f := range p.files {
		r, err := open(f.name)
		if err != nil {
			return fmt.Errorf("%s %s: %w", p.build, p.version, err)
		}
		w, err := os.OpenFile(filepath.Join(to, f.name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
		if err != nil {
			r.Close()
			return err
		}
		err = f.copy(w, r)
		r.Close()
		if err = errors.Join(err, w.Close()); err != nil {
			return fmt.Errorf("%s %s: %w", p.build, p.version, err)
		}
	}
	return nil
}
