package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
)

// settings are the flags.
type settings struct {
	anomaly string  // the command
	data    string  // folder of all data sets
	out     string  // folder of models, measurements and figures
	page    string  // file to write
	share   float64 // of the article's epochs that networks are trained for
	only    string  // names of sets, separated by commas; "" is all, "none" trains nothing
}

// descent is how often AE-Grad moves an image.
const descent = 25

func main() {
	s := settings{}
	flag.StringVar(&s.anomaly, "anomaly", "bin/anomaly", "the `command`")
	flag.StringVar(&s.data, "data", "../shared/data", "`folder` of all data sets")
	flag.StringVar(&s.out, "out", "article", "`folder` of models, measurements and figures")
	flag.StringVar(&s.page, "page", "docs/article.md", "`file` to write")
	flag.Float64Var(&s.share, "share", 1, "`share` of the article's epochs")
	flag.StringVar(&s.only, "only", "", "train `sets` alone, separated by commas; none trains nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, "article:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) error {
	if !(s.share > 0 && s.share <= 1) {
		return fmt.Errorf("share: got %v, want a number above 0, up to 1", s.share)
	}
	for name := range strings.SplitSeq(s.only, ",") {
		if name != "" && name != "none" && !slices.ContainsFunc(sets, func(set set) bool { return set.name == name }) {
			return fmt.Errorf("only: got %q, want names of sets", name)
		}
	}
	if err := os.MkdirAll(s.out, 0o777); err != nil {
		return err
	}
	var rows []row
	for i := range sets {
		set := &sets[i]
		var trained []string // losses
		for _, loss := range losses {
			r, err := s.row(ctx, set, loss)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", set.name, loss, err)
			}
			rows = append(rows, r)
			if r.Epochs > 0 {
				trained = append(trained, loss)
			}
		}
		if len(trained) > 0 {
			if err := s.figure(ctx, set, trained); err != nil {
				return fmt.Errorf("%s: figure: %w", set.name, err)
			}
		}
	}
	return s.write(rows)
}

// model returns the path of the model of a set and a loss.
func (s *settings) model(set *set, loss string) string {
	return filepath.Join(s.out, set.name+"-"+loss+".onnx")
}

// A row is what came of a network. Of one that was not trained Epochs is 0.
type row struct {
	set     *set
	loss    string
	Epochs  int
	plain   *figures
	descent *figures // by AE-Grad; nil where it is not tried
}

// figures are what `anomaly eval --json` measures; NaN is what it did not.
type figures struct {
	Image number
	Pixel number
	PRO   number
	Kinds map[string]float64 // image AUROC
}

type number = float64

// row trains and measures what is not there yet.
func (s *settings) row(ctx context.Context, set *set, loss string) (row, error) {
	r := row{set: set, loss: loss}
	model := s.model(set, loss)
	if !there(model) {
		if s.only != "" && !slices.Contains(strings.Split(s.only, ","), set.name) {
			return r, nil
		}
		epochs := max(1, int(math.Round(float64(set.epochs)*s.share)))
		if err := s.run(ctx, nil, set.train(s.data, loss, epochs, model)...); err != nil {
			return r, err
		}
	}
	b, err := os.ReadFile(model + ".config.json")
	if err != nil {
		return r, err
	}
	var config struct{ Epochs int }
	if err := json.Unmarshal(b, &config); err != nil {
		return r, fmt.Errorf("%s.config.json: %w", model, err)
	}
	r.Epochs = config.Epochs
	if r.plain, err = s.measure(ctx, set, model); err != nil || !set.aegrad {
		return r, err
	}
	moved := strings.TrimSuffix(model, ".onnx") + "-aegrad.onnx"
	if !there(moved) {
		if err := s.run(ctx, nil, "export", "--aegrad", fmt.Sprint(descent), "--out", moved, model); err != nil {
			return r, err
		}
	}
	r.descent, err = s.measure(ctx, set, moved)
	return r, err
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// run runs the command, its results to stdout, nil for none.
func (s *settings) run(ctx context.Context, stdout *[]byte, args ...string) error {
	fmt.Fprintln(os.Stderr, "anomaly", strings.Join(args, " "))
	c := exec.CommandContext(ctx, s.anomaly, args...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) } // it saves its state
	c.Stderr = os.Stderr
	b, err := c.Output()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("anomaly %s: %w", strings.Join(args, " "), err)
	}
	if stdout != nil {
		*stdout = b
	}
	return nil
}

// measure returns the figures of a model, which are kept beside it.
func (s *settings) measure(ctx context.Context, set *set, model string) (*figures, error) {
	kept := strings.TrimSuffix(model, ".onnx") + ".eval.json"
	b, err := os.ReadFile(kept)
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.run(ctx, &b, append(append([]string{"eval", "--json"}, set.eval(s.data)...), model)...); err != nil {
			return nil, err
		}
		err = atomicfile.WriteBytes(kept, b)
	}
	if err != nil {
		return nil, err
	}
	return readFigures(b)
}

// readFigures reads the last line of what `anomaly eval --json` prints.
func readFigures(b []byte) (*figures, error) {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	var e struct {
		Image *struct{ AUROC float64 }
		Pixel *struct{ AUROC, AUPRO30 float64 }
		Kinds map[string]struct {
			Image struct{ AUROC float64 }
		}
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		return nil, fmt.Errorf("eval --json: %w", err)
	}
	if e.Image == nil {
		return nil, fmt.Errorf("eval --json: got no metrics in %.80q", b)
	}
	f := &figures{Image: e.Image.AUROC, Pixel: math.NaN(), PRO: math.NaN(), Kinds: map[string]float64{}}
	if e.Pixel != nil {
		f.Pixel, f.PRO = e.Pixel.AUROC, e.Pixel.AUPRO30
	}
	for kind, k := range e.Kinds {
		f.Kinds[kind] = k.Image.AUROC
	}
	return f, nil
}
