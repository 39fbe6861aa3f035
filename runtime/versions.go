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
	// error; current is nil where there is none in place, or none that can be used.
	Gate func(ctx context.Context, current, candidate *Detector) error
	// Keep is how many earlier models stay beside the file; 0 is 5.
	Keep int
}

func (o *DeployOptions) withDefaults() DeployOptions {
	c := DeployOptions{}
	if o != nil {
		c = *o
	}
	detector := c.Detector.withDefaults()
	c.Detector = &detector
	c.Keep = cmp.Or(c.Keep, 5)
	return c
}

// A Deployment says what [Deploy] or [Rollback] did.
type Deployment struct {
	Hash     string // of the model that is in place now
	Replaced string // hash of the one that it took the place of; "" where there was none
	Kept     string // where Deploy keeps that; "" for none
	Already  bool   // the model was in place before: nothing was done
	Tested   bool   // the model has a self-test, which passed
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
// goes back to the newest.
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
	versions, err := Versions(live)
	if err != nil {
		return nil, err
	}
	for _, v := range versions[:max(len(versions)-c.Keep, 0)] {
		if err := os.Remove(v.Path); err != nil {
			return nil, err
		}
	}
	return d, nil
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
	old, err := regular.Read(live)
	switch {
	case err == nil:
		d.Replaced = Hash(old)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if d.Already = d.Replaced == d.Hash; d.Already {
		return d, nil
	}
	if o.Gate != nil {
		if err := o.pass(ctx, old, next); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	isNew := false
	if d.Replaced != "" {
		if d.Kept, isNew, err = keepVersion(live, old); err != nil {
			return nil, fmt.Errorf("%s is left as it was: %w", live, err)
		}
	}
	if err := atomicfile.WriteBytes(live, b); err != nil {
		if isNew {
			os.Remove(d.Kept)
		}
		return nil, fmt.Errorf("%s is left as it was: %w", live, err)
	}
	return d, nil
}

// pass puts a candidate through the gate, beside the model in place, nil for none.
func (o *DeployOptions) pass(ctx context.Context, old []byte, next *Detector) error {
	var current *Detector
	if old != nil {
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

// A Version is a model that [Deploy] has kept.
type Version struct {
	Path   string
	Number int    // counts up
	Hash   string // the first 12 digits of its hash
}

// HashDigits of a hash are what is shown of it, and in the names of versions.
const HashDigits = 12

var versionSuffix = regexp.MustCompile(`^\.([0-9]{4,})-([0-9a-f]{12})$`)

// Versions lists the models that were kept beside a file, the oldest first.
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
		versions = append(versions, Version{filepath.Join(dir, e.Name()), n, m[2]})
	}
	slices.SortFunc(versions, func(a, b Version) int { return cmp.Compare(a.Number, b.Number) })
	return versions, nil
}

// keepVersion keeps the file that is at live, of the bytes b, as the newest
// version, which may be there already: of a deploy that was cut short.
func keepVersion(live string, b []byte) (path string, isNew bool, err error) {
	versions, err := Versions(live)
	if err != nil {
		return "", false, err
	}
	number, hash := 1, Hash(b)[:HashDigits]
	if len(versions) > 0 {
		last := versions[len(versions)-1]
		if last.Hash == hash {
			return last.Path, false, nil
		}
		number = last.Number + 1
	}
	path = fmt.Sprintf("%s.%04d-%s", live, number, hash)
	return path, true, atomicfile.WriteBytes(path, b)
}

// Rollback makes the newest of the models that [Deploy] has kept beside live the
// model in place, by one rename. The one that was in place is gone.
func Rollback(live string) (*Deployment, error) {
	release, err := reserve(live)
	if err != nil {
		return nil, err
	}
	defer release()
	versions, err := Versions(live)
	if err != nil {
		return nil, err
	}
	d := &Deployment{}
	now, err := regular.Read(live)
	switch {
	case err == nil:
		d.Replaced = Hash(now)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	for _, v := range slices.Backward(versions) {
		b, err := regular.Read(v.Path)
		if err != nil {
			return nil, err
		}
		d.Hash = Hash(b)
		if d.Hash == d.Replaced { // a deploy was cut short before the rename
			if err := os.Remove(v.Path); err != nil {
				return nil, err
			}
			continue
		}
		if got := d.Hash[:HashDigits]; got != v.Hash {
			return nil, fmt.Errorf("%s is left as it was: %s is damaged: its content is %s; remove it to go back further", live, v.Path, got)
		}
		if err := os.Rename(v.Path, live); err != nil {
			return nil, fmt.Errorf("%s is left as it was: %w", live, err)
		}
		return d, nil
	}
	return nil, fmt.Errorf("%w: no earlier model is kept beside %s", ErrModel, live)
}
