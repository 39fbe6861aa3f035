package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	goruntime "runtime"
	"time"
)

// settings are the flags.
type settings struct {
	quick  bool
	only   *regexp.Regexp // names of rows that are measured; nil is all, and growth
	python string         // interpreter that has the peers
	binary string         // the command anomaly
	data   string         // an MVTec category with images of 900×900; where it is not there they are made up
	page   string         // docs/benchmarks.md
	json   string         // bench/results.json
	plot   string         // docs/benchmarks.png

	// What sizes work has; tests take small ones.
	size, features, unet int // sides of images in pixels
	images               int // files
	most                 int // images of the largest batch of growth
	largest              int // side of its largest images
	many                 []int
	batch                int // images of a training step
	turn                 time.Duration
	rounds               int
	limit                time.Duration // of all rounds of a row
}

// sized returns the settings of a run that is quick or not.
func sized(quick bool) settings {
	s := settings{
		quick: quick, size: 128, features: 384, unet: 128, images: 83, batch: 16,
		most: 256, largest: 1024, many: []int{100, 1000, 10000}, turn: time.Second, rounds: 12, limit: time.Minute,
	}
	if quick {
		s.images, s.many, s.turn, s.rounds, s.limit = 40, []int{100, 300, 1000}, 300*time.Millisecond, 4, 8*time.Second
	}
	return s
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == childCommand {
		if err := child(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "benchpeers:", err)
			os.Exit(1)
		}
		return
	}
	quick := flag.Bool("quick", false, "fewer files and rounds: minutes")
	only := flag.String("only", "", "regular expression of the rows that are measured and printed; nothing is written then")
	f := settings{}
	flag.StringVar(&f.python, "python", ".venv-peers/bin/python", "Python that has the packages of scripts/requirements-peers.txt")
	flag.StringVar(&f.binary, "anomaly", "bin/anomaly", "the command")
	flag.StringVar(&f.data, "data", "../shared/data/mvtec/bottle", "MVTec AD's category bottle; without it images are made up")
	flag.StringVar(&f.page, "page", "docs/benchmarks.md", "page whose part is written")
	flag.StringVar(&f.json, "json", "bench/results.json", "file for the results")
	flag.StringVar(&f.plot, "plot", "docs/benchmarks.png", "file for the plots of growth")
	flag.Parse()
	s := sized(*quick)
	s.python, s.binary, s.data, s.page, s.json, s.plot = f.python, f.binary, f.data, f.page, f.json, f.plot
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := func() (err error) {
		if *only != "" {
			if s.only, err = regexp.Compile(*only); err != nil {
				return fmt.Errorf("-only: %w", err)
			}
		}
		return run(ctx, s)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchpeers:", err)
		os.Exit(1)
	}
}

// A bench is one run.
type bench struct {
	settings
	dir    string // for what is written meanwhile
	peer   *process
	files  []string // images that are scored
	good   []string // good ones, which networks are fitted to
	madeUp bool     // all of them

	made map[string]any // what several rows use
}

// run measures everything, writes it down, and returns what was wrong.
func run(ctx context.Context, s settings) error {
	before := load()
	b := &bench{settings: s, made: map[string]any{}}
	var err error
	if b.dir, err = os.MkdirTemp("", "benchpeers"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.binary, err = filepath.Abs(b.binary); err != nil {
		return err
	}
	if err := b.find(); err != nil {
		return err
	}
	if b.peer, err = startPeer(ctx, s.python, b.dir); err != nil {
		return err
	}
	defer b.peer.close()
	p := page{settings: s, files: len(b.files), madeUp: b.madeUp}
	if p.versions, err = b.peer.versions(); err != nil {
		return err
	}
	var wrong []error
	for _, r := range rows {
		if s.only != nil && !s.only.MatchString(r.name) {
			continue
		}
		m, err := b.measure(ctx, r)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var not notMeasured
		switch {
		case errors.As(err, &not):
			m.why = string(not)
		case err != nil:
			m.why = "failed"
			wrong = append(wrong, fmt.Errorf("%s: %w", r.name, err))
		}
		fmt.Fprintln(os.Stderr, m)
		p.measured = append(p.measured, m)
	}
	if err := b.peer.close(); err != nil {
		return err
	}
	if s.only != nil {
		if len(p.measured) == 0 {
			return fmt.Errorf("-only: got %v, which is none of the rows, want a part of such names as %s", s.only, rows[0].name)
		}
		return errors.Join(wrong...)
	}
	if p.growth, err = b.growth(ctx); err != nil {
		return err
	}
	p.conditions = conditions(before)
	return errors.Join(append(wrong, p.write())...)
}

// cores is how many each side uses.
func cores() int { return goruntime.GOMAXPROCS(0) }

// command is what was asked for.
func (s *settings) command() string {
	if s.quick {
		return "make bench-peers QUICK=1"
	}
	return "make bench-peers"
}

// shared returns what build makes under a key, once.
func shared[T any](b *bench, key string, build func() (T, error)) (T, error) {
	if v, ok := b.made[key]; ok {
		return v.(T), nil
	}
	v, err := build()
	if err == nil {
		b.made[key] = v
	}
	return v, err
}

// A notMeasured is why a row is not measured here though nothing is wrong.
type notMeasured string

func (n notMeasured) Error() string { return string(n) }
