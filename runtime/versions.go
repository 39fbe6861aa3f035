package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/regular"
)

// DeployOptions are options of [Deploy]; nil is all defaults.
type DeployOptions struct {
	// Detector says how the new model, and for a Gate the one in place, is opened.
	Detector *Options
	// Try, where not nil, is given the new model before this process opens it, as
	// [WatchOptions].Try is.
	Try func(ctx context.Context, model []byte) error
	// Gate, where not nil, may refuse a model that has passed its self-test by an
	// error; current is nil where there is none in place, or none that can be used, and
	// the candidate itself where that is in place already.
	Gate func(ctx context.Context, current, candidate *Detector) error
	// Keep is how many earlier models stay beside the file; 0 is [DefaultKeep].
	Keep int
}

// DefaultKeep is how many earlier models [Deploy] and [Replace] keep.
const DefaultKeep = 5

func (o *DeployOptions) withDefaults() DeployOptions {
	c := DeployOptions{}
	if o != nil {
		c = *o
	}
	detector := c.Detector.withDefaults()
	c.Detector = &detector
	c.Keep = cmp.Or(c.Keep, DefaultKeep)
	return c
}

// A Deployment says what [Deploy], [Replace], [Rollback] or [RollForward] did.
type Deployment struct {
	Hash     string    // of the model that is in place now
	Replaced string    // hash of the one that it took the place of; "" where there was none
	Kept     string    // where that is kept; "" for none
	Dropped  []Version // that are kept no more
	Already  bool      // the model was in place before: nothing was done
	Tested   bool      // the model has a self-test, which passed
	Provider Provider
}

// Deploy puts the model in a file in the place of another, which is kept, in one
// step: the new model is opened and its self-test run, then one rename makes live
// the new model. A reader, such as [Detector.Watch], finds the old file or the new
// one, never a part of either. Weights that lie in other files are moved into it.
// On any error live is what it was.
//
// The model that was there is kept beside it as live.0007-3f2a91c04b17: a number
// that counts up, and the beginning of its hash. [Versions] lists them, [Rollback]
// goes back to the newest, [RollForward] takes that back. Those that are rolled back
// from when another model is deployed go, as do the oldest beyond DeployOptions.Keep.
func Deploy(ctx context.Context, model, live string, o *DeployOptions) (*Deployment, error) {
	c := o.withDefaults()
	if c.Keep < 1 {
		return nil, fmt.Errorf("%w: earlier models: got %d, want 1 or more", ErrInput, c.Keep)
	}
	release, err := reserve(live)
	if err != nil {
		return nil, err
	}
	defer release()
	b, err := ReadFile(model)
	if err != nil {
		return nil, err
	}
	d, err := deploy(ctx, b, live, &c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", model, err)
	}
	return d, nil
}

// Replace writes a model to a file as [Deploy] does, without opening it: what was
// there is kept, and must be a model too, lest another file that was named by mistake
// be replaced. No more than [DefaultKeep] earlier models stay, or as many as there
// were. It takes no lock: nothing else may write the file meanwhile.
func Replace(model []byte, live string) (*Deployment, error) {
	if err := Replaceable(live); err != nil {
		return nil, err
	}
	versions, err := Versions(live)
	if err != nil {
		return nil, err
	}
	old, err := readIfThere(live)
	if err != nil {
		return nil, err
	}
	if len(old) == 0 { // somebody's reservation of the name
		old = nil
	}
	d := &Deployment{Hash: Hash(model)}
	return d, d.place(model, old, live, max(DefaultKeep, len(keptOf(versions))))
}

// Replaceable reports early that [Replace] would refuse to write a file: by an error
// that wraps ErrModel where there is something else than a model in its place.
func Replaceable(live string) error {
	b, err := readIfThere(live)
	if err != nil || len(b) == 0 {
		return err
	}
	if _, err := readModel(b); err != nil {
		return fmt.Errorf("%w: %s is there and is no model: it is not replaced, choose another or remove it", ErrModel, live)
	}
	return nil
}

// readIfThere returns the bytes of a file, none where there is no file.
func readIfThere(path string) ([]byte, error) {
	b, err := regular.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// reserve keeps a model's file to this process until release is called.
func reserve(live string) (release func(), err error) {
	if err := atomicfile.Writable(live); err != nil {
		return nil, err
	}
	return atomicfile.Lock(live)
}

// deploy is [Deploy] of a file's bytes.
func deploy(ctx context.Context, b []byte, live string, o *DeployOptions) (*Deployment, error) {
	if o.Try != nil {
		if err := o.Try(ctx, b); err != nil {
			return nil, err
		}
	}
	f, err := readModel(b)
	if err != nil {
		return nil, err
	}
	next, err := open(ctx, f, o.Detector, caller())
	if err != nil {
		return nil, err
	}
	defer next.Close()
	d := &Deployment{Hash: next.Info().Hash, Provider: next.Info().Provider}
	if d.Tested, err = next.Verify(ctx); err != nil {
		return nil, err
	}
	old, err := readIfThere(live)
	if err != nil {
		return nil, err
	}
	d.Already = old != nil && Hash(old) == d.Hash
	if o.Gate != nil {
		if err := o.pass(ctx, old, next, d.Already); err != nil {
			return nil, err
		}
	}
	if d.Already {
		d.Replaced = d.Hash
		return d, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return d, d.place(b, old, live, o.Keep)
}

// place makes b what is at live and keeps what was there, old, nil for nothing.
func (d *Deployment) place(b, old []byte, live string, keep int) error {
	isNew := false
	if old != nil {
		if d.Replaced = Hash(old); d.Replaced == d.Hash {
			d.Already = true
			return nil
		}
		var err error
		if d.Kept, isNew, err = keepVersion(live, old); err != nil {
			return fmt.Errorf("%s is left as it was: %w", live, err)
		}
	}
	if err := atomicfile.WriteBytes(live, b); err != nil {
		if isNew {
			os.Remove(d.Kept)
		}
		return fmt.Errorf("%s is left as it was: %w", live, err)
	}
	versions, err := Versions(live)
	if err != nil {
		return err
	}
	kept := keptOf(versions)
	for _, v := range slices.Concat(kept[:max(len(kept)-keep, 0)], versions[len(kept):]) {
		if err := os.Remove(v.Path); err != nil {
			return err
		}
		d.Dropped = append(d.Dropped, v)
	}
	return nil
}

// pass puts a candidate through the gate, beside the model in place, nil for none, which
// it may be already.
func (o *DeployOptions) pass(ctx context.Context, old []byte, next *Detector, already bool) error {
	var current *Detector
	switch {
	case old == nil:
	case already:
		current = next
	default:
		options := *o.Detector
		options.Provider = next.Info().Provider
		f, err := readModel(old)
		if err == nil {
			current, err = open(ctx, f, &options, caller())
		}
		switch {
		case errors.Is(err, ErrModel):
			options.Logf("nothing to compare with: the model in place: %v", err)
		case err != nil:
			return err
		default:
			defer current.Close()
		}
	}
	return o.Gate(ctx, current, next)
}

// A Version is a model that is kept beside the file that it was in.
type Version struct {
	Path   string
	Number int       // its place in the order in which they were deployed
	Hash   string    // the first 12 digits of its hash
	Undone bool      // it was rolled back from, and comes after the model in place
	Time   time.Time // when it was put in place
}

// HashDigits of a hash are what is shown of it, and in the names of versions.
const HashDigits = 12

var versionSuffix = regexp.MustCompile(`^\.([0-9]{4,})-([0-9a-f]{12})(\.undone)?$`)

// Versions lists the models that are kept beside a file, in their order: those before
// the one in place, then those that were rolled back from.
func Versions(live string) ([]Version, error) {
	dir, base := filepath.Split(live)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	var versions []Version
	for _, e := range entries {
		if len(e.Name()) <= len(base) || e.Name()[:len(base)] != base {
			continue
		}
		m := versionSuffix.FindStringSubmatch(e.Name()[len(base):])
		if m == nil {
			continue
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			continue // too large to be ours
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		} else if err != nil {
			return nil, err
		}
		versions = append(versions, Version{filepath.Join(dir, e.Name()), n, m[2], m[3] != "", info.ModTime()})
	}
	slices.SortFunc(versions, func(a, b Version) int {
		if a.Undone != b.Undone {
			if a.Undone {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.Number, b.Number)
	})
	return versions, nil
}

// keptOf returns the versions that come before the model in place.
func keptOf(versions []Version) []Version {
	if i := slices.IndexFunc(versions, func(v Version) bool { return v.Undone }); i >= 0 {
		return versions[:i]
	}
	return versions
}

// versionPath names a version of a file.
func versionPath(live string, number int, hash string, undone bool) string {
	path := fmt.Sprintf("%s.%04d-%.*s", live, number, HashDigits, hash)
	if undone {
		path += ".undone"
	}
	return path
}

// keepVersion keeps the file that is at live, of the bytes b, as the newest
// version, which may be there already: of a deploy that was cut short.
func keepVersion(live string, b []byte) (path string, isNew bool, err error) {
	versions, err := Versions(live)
	if err != nil {
		return "", false, err
	}
	kept := keptOf(versions)
	number, hash := 1, Hash(b)
	if len(kept) > 0 {
		last := kept[len(kept)-1]
		if last.Hash == hash[:HashDigits] {
			return last.Path, false, nil
		}
		number = last.Number + 1
	}
	path = versionPath(live, number, hash, false)
	if err := atomicfile.WriteBytes(path, b); err != nil {
		return "", false, err
	}
	if info, err := os.Stat(live); err == nil {
		os.Chtimes(path, time.Time{}, info.ModTime()) // when it was put in place; a file system without is no reason to fail
	}
	return path, true, nil
}

// Rollback makes the newest of the models that are kept beside live the model in
// place, by one rename. [RollForward] goes forth again to the one that was in place.
func Rollback(live string) (*Deployment, error) { return step(live, false) }

// RollForward takes the last [Rollback] back, by one rename.
func RollForward(live string) (*Deployment, error) { return step(live, true) }

// step puts the version before the model in place, or the one behind it, in its place.
func step(live string, forward bool) (*Deployment, error) {
	release, err := reserve(live)
	if err != nil {
		return nil, err
	}
	defer release()
	versions, err := Versions(live)
	if err != nil {
		return nil, err
	}
	n := len(keptOf(versions))
	next, beside := slices.Clone(versions[:n]), 1 // of the model in place, to that which takes it
	slices.Reverse(next)
	if forward {
		next, beside = versions[n:], -1
	}
	d := &Deployment{}
	now, err := readIfThere(live)
	if err != nil {
		return nil, err
	}
	if now != nil {
		d.Replaced = Hash(now)
	}
	for _, v := range next {
		b, err := regular.Read(v.Path)
		if err != nil {
			return nil, err
		}
		d.Hash = Hash(b)
		if d.Hash == d.Replaced { // what was under way was cut short before the rename
			if err := os.Remove(v.Path); err != nil {
				return nil, err
			}
			continue
		}
		if got := d.Hash[:HashDigits]; got != v.Hash {
			return nil, fmt.Errorf("%s is left as it was: %s is damaged: its content is %s; remove it to go further", live, v.Path, got)
		}
		if now != nil {
			d.Kept = versionPath(live, v.Number+beside, d.Replaced, !forward)
			if err := saveAs(live, d.Kept, now); err != nil {
				return nil, fmt.Errorf("%s is left as it was: %w", live, err)
			}
		}
		if err := os.Rename(v.Path, live); err != nil {
			if d.Kept != "" {
				os.Remove(d.Kept)
			}
			return nil, fmt.Errorf("%s is left as it was: %w", live, err)
		}
		return d, nil
	}
	if forward {
		return nil, fmt.Errorf("%w: there is none that %s was rolled back from", ErrModel, live)
	}
	return nil, fmt.Errorf("%w: no earlier model is kept beside %s", ErrModel, live)
}

// saveAs gives a file that is about to be replaced, of the bytes b, another name: it
// needs no room that way. Where files have one name it is copied.
func saveAs(live, path string, b []byte) error {
	if info, err := os.Lstat(live); err == nil && info.Mode().IsRegular() && os.Link(live, path) == nil {
		return nil
	}
	return atomicfile.WriteBytes(path, b)
}
