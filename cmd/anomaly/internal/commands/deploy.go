package commands

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
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func deployCommand() *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "put a model in the place of another in one step, and keep the other",
		ArgsUsage: "new.onnx live.onnx",
		Description: `The new model is opened and its self-test run; then live.onnx becomes the new model
by one rename: a reader, such as anomaly run --watch live.onnx, finds the old file
or the new one, never a part of either. Weights that lie in other files are moved
into it. On any error, live.onnx is what it was.

The model that was there is kept beside it as live.onnx.0007-3f2a91c04b17: a number
that counts up and the beginning of its SHA-256. anomaly rollback live.onnx goes
back to the newest of them. --keep limits how many there are.

` + gateHelp,
		Flags: append([]cli.Flag{
			gateFlag,
			&cli.IntFlag{Name: "keep", Usage: "`N` earlier models to keep", Value: 5},
		}, detectorFlags...),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() != 2:
				return usagef("deploy takes a new model and the file that it is to become, got %q", c.Args().Slice())
			case c.Int("keep") < 1:
				return usagef("--keep: got %d, want 1 or more", c.Int("keep"))
			case c.IsSet("gate") && c.String("gate") == "":
				return usagef("--gate: want a folder")
			}
			o := &deployOptions{model: c.Args().Get(0), live: c.Args().Get(1), gate: c.String("gate"), keep: c.Int("keep")}
			var err error
			if o.detector, o.maxPixels, err = parseDetector(c); err != nil {
				return err
			}
			return newConsole(c).deploy(c.Context, o)
		},
	}
}

func rollbackCommand() *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "go back to the model that was there before the last deploy",
		ArgsUsage: "live.onnx",
		Description: `The newest of the models that anomaly deploy has kept beside live.onnx takes its
place by one rename. The model that was live.onnx until then is gone. Again, it
goes back one further.`,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("rollback takes one model, got %q", c.Args().Slice())
			}
			return newConsole(c).rollback(c.Args().First())
		},
	}
}

// deployOptions are the arguments and flags of `anomaly deploy`.
type deployOptions struct {
	model, live string
	gate        string // "" for none
	keep        int
	detector    anrt.Options
	maxPixels   int
}

// deploy is `anomaly deploy`.
func (c *console) deploy(ctx context.Context, o *deployOptions) error {
	if err := writable(o.live); err != nil {
		return err
	}
	release, err := lock(o.live)
	if err != nil {
		return err
	}
	defer release()
	var g *judge.Gate
	if o.gate != "" {
		if g, err = c.openGate(o.gate, o.maxPixels); err != nil {
			return err
		}
	}
	next, err := c.openDetector(o.model, &o.detector)
	if err != nil {
		return err
	}
	defer next.Close()
	b, err := anrt.ReadFile(o.model)
	if err != nil {
		return err
	}
	if anrt.Hash(b) != next.Info().Hash {
		return fmt.Errorf("%s changes while it is read: try again when it is complete", o.model)
	}
	tested, err := next.Verify(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", o.model, err)
	}
	if !tested {
		c.notef("%s has no self-test", o.model)
	}
	old, err := regular.Read(o.live)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	isThere := err == nil
	if isThere && anrt.Hash(old) == next.Info().Hash {
		_, err := fmt.Fprintf(c.out, "%s  is %.12s already\n", o.live, next.Info().Hash)
		return err
	}
	if g != nil {
		if err := c.passGate(ctx, g, o, isThere, next); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	var kept string
	isNew := false
	if isThere {
		if kept, isNew, err = keepVersion(o.live, old); err != nil {
			return fmt.Errorf("%s is left as it was: %w", o.live, err)
		}
	}
	if err := atomicfile.WriteBytes(o.live, b); err != nil {
		if isNew {
			os.Remove(kept)
		}
		return fmt.Errorf("%s is left as it was: %w", o.live, err)
	}
	versions, err := findVersions(o.live)
	if err != nil {
		return err
	}
	for _, v := range versions[:max(len(versions)-o.keep, 0)] {
		if err := os.Remove(v.path); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("%s  is %.12s now", o.live, next.Info().Hash)
	if isThere {
		line += fmt.Sprintf(", what it was is %s", kept)
	}
	_, err = fmt.Fprintln(c.out, line)
	return err
}

// passGate compares the new model with that in use, if there is one that works.
func (c *console) passGate(ctx context.Context, g *judge.Gate, o *deployOptions, isThere bool, next *anrt.Detector) error {
	var current *anrt.Detector
	if isThere {
		var err error
		options := o.detector
		options.Provider = next.Info().Provider
		switch current, err = anrt.Open(o.live, &options); {
		case errors.Is(err, anrt.ErrModel):
			c.notef("nothing to compare with: %v", err)
		case err != nil:
			return err
		default:
			defer current.Close()
		}
	}
	if err := g.Check(ctx, current, next); err != nil {
		return fmt.Errorf("%s: %w", o.model, err)
	}
	return nil
}

// An earlier is a model that was deployed before.
type earlier struct {
	path   string
	number int
	hash   string // the first hashDigits of it
}

const hashDigits = 12

var versionSuffix = regexp.MustCompile(`^\.([0-9]{4,})-([0-9a-f]{12})$`)

// findVersions returns the models that were kept beside a file, the oldest first.
func findVersions(live string) ([]earlier, error) {
	dir, base := filepath.Split(live)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	var versions []earlier
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
		versions = append(versions, earlier{filepath.Join(dir, e.Name()), n, m[2]})
	}
	slices.SortFunc(versions, func(a, b earlier) int { return cmp.Compare(a.number, b.number) })
	return versions, nil
}

// keepVersion keeps the file that is at live, of the bytes b, as the newest
// version, which may be there already: of a deploy that was cut short.
func keepVersion(live string, b []byte) (path string, isNew bool, err error) {
	versions, err := findVersions(live)
	if err != nil {
		return "", false, err
	}
	number, hash := 1, anrt.Hash(b)[:hashDigits]
	if len(versions) > 0 {
		last := versions[len(versions)-1]
		if last.hash == hash {
			return last.path, false, nil
		}
		number = last.number + 1
	}
	path = fmt.Sprintf("%s.%04d-%s", live, number, hash)
	return path, true, atomicfile.WriteBytes(path, b)
}

// rollback is `anomaly rollback`.
func (c *console) rollback(live string) error {
	if err := writable(live); err != nil {
		return err
	}
	release, err := lock(live)
	if err != nil {
		return err
	}
	defer release()
	versions, err := findVersions(live)
	if err != nil {
		return err
	}
	was := "nothing"
	now, err := regular.Read(live)
	switch {
	case err == nil:
		was = anrt.Hash(now)[:hashDigits]
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	for _, v := range slices.Backward(versions) {
		b, err := regular.Read(v.path)
		if err != nil {
			return err
		}
		if v.hash == was { // a deploy was cut short before the rename
			if err := os.Remove(v.path); err != nil {
				return err
			}
			continue
		}
		if got := anrt.Hash(b)[:hashDigits]; got != v.hash {
			return fmt.Errorf("%s is left as it was: %s is damaged: its content is %s; remove it to go back further", live, v.path, got)
		}
		if err := os.Rename(v.path, live); err != nil {
			return fmt.Errorf("%s is left as it was: %w", live, err)
		}
		_, err = fmt.Fprintf(c.out, "%s  is %s again, in place of %s\n", live, v.hash, was)
		return err
	}
	return fmt.Errorf("nothing to roll back to: anomaly deploy has kept no earlier model beside %s", live)
}
