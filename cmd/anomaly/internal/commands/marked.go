package commands

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/serve"
	"github.com/urfave/cli/v2"
)

// A feedbackStore keeps what people say of verdicts: package feedback's Store, where
// the build has it.
type feedbackStore interface {
	serve.Feedback
	Close() error
}

// defaultBudget is how many MiB the images of feedback may take.
const defaultBudget = 10 << 10

// parseBudget reads a flag with the MiB that they may take.
func parseBudget(c *cli.Context, flag string) (feedback.Options, error) {
	n := c.Int(flag)
	if n < 1 || n > 1<<30 {
		return feedback.Options{}, usagef("--%s: got %d, want 1 to %d", flag, n, 1<<30)
	}
	return feedback.Options{MaxBytes: int64(n) << 20}, nil
}

// feedbackFlags are flags of the commands that make use of it.
var feedbackFlags = []cli.Flag{
	&cli.StringFlag{Name: "feedback", Usage: "`DIR` of what people said of verdicts (anomaly serve --feedback, anomaly feedback)"},
	&cli.StringFlag{Name: "feedback-model", Usage: "`NAME` of the model that they said it of", DefaultText: "the file's"},
}

// feedbackOptions are the values of feedbackFlags.
type feedbackOptions struct {
	dir, model string // both "" for none
}

// parseFeedback reads feedbackFlags; file is the model's.
func parseFeedback(c *cli.Context, file string) (feedbackOptions, error) {
	o := feedbackOptions{dir: c.String("feedback"), model: c.String("feedback-model")}
	switch {
	case o.dir == "" && o.model != "":
		return o, usagef("--feedback-model needs --feedback")
	case o.dir != "":
		o.model = cmp.Or(o.model, modelName(file))
	}
	return o, nil
}

// modelName is what is said of the model of a file: its name without .onnx, or that of
// the folder of its versions, as serve names those of a repository. A folder of models,
// which run --watch takes, gives its own.
func modelName(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	dir := filepath.Dir(file)
	if _, err := strconv.ParseUint(filepath.Base(dir), 10, 64); err == nil && filepath.Base(file) == "model.onnx" {
		return filepath.Base(filepath.Dir(dir))
	}
	name := filepath.Base(file)
	if ext := filepath.Ext(name); strings.EqualFold(ext, ".onnx") {
		name = strings.TrimSuffix(name, ext)
	}
	return name
}

// A marked is the images that people marked.
type marked struct {
	falseAlarms, misses []dataset.Sample

	hashes map[string]bool // of their files
	sizes  map[int64]bool  // of their files in bytes
}

// marked returns what people said of a model's verdicts.
func (c *console) marked(ctx context.Context, o feedbackOptions, decoding *dataset.Decoding) (*marked, error) {
	store, err := openFeedback(ctx, o.dir, &feedback.Options{Existing: true, Logf: c.notef})
	if err != nil {
		return nil, fmt.Errorf("--feedback: %w", err)
	}
	defer store.Close()
	entries, err := store.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("--feedback: %w", err)
	}
	m := &marked{hashes: map[string]bool{}, sizes: map[int64]bool{}}
	names := map[string]bool{}
	for _, e := range entries {
		if names[e.Model] = true; e.Model != o.model {
			continue
		}
		samples, err := (&dataset.Options{Decoding: decoding}).Find(e.Path)
		if err != nil {
			return nil, fmt.Errorf("--feedback: %w", err)
		}
		for _, s := range samples {
			s.Name = "feedback/" + s.Name
			if s.Kind, s.Anomalous = dataset.Good, e.Mark == feedback.Miss; s.Anomalous {
				s.Kind = string(e.Mark)
				m.misses = append(m.misses, s)
			} else {
				m.falseAlarms = append(m.falseAlarms, s)
			}
		}
		m.hashes[e.Image], m.sizes[e.Bytes] = true, true
	}
	if len(m.hashes) == 0 {
		of := "nothing at all"
		if len(names) > 0 {
			of = "something of " + strings.Join(slices.Sorted(maps.Keys(names)), ", ")
		}
		return nil, fmt.Errorf("--feedback: %s says nothing of the model %s, and %s: --feedback-model names one", o.dir, printable(o.model), of)
	}
	return m, nil
}

// others returns the samples whose files nobody marked.
func (m *marked) others(samples []dataset.Sample) ([]dataset.Sample, error) {
	var others []dataset.Sample
	for _, s := range samples {
		known, err := m.has(&s)
		if err != nil {
			return nil, err
		}
		if !known {
			others = append(others, s)
		}
	}
	return others, nil
}

// has reports whether somebody marked the file of a sample, wherever it lies.
func (m *marked) has(s *dataset.Sample) (bool, error) {
	f, err := os.Open(s.Path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !m.sizes[info.Size()] {
		return false, err
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return m.hashes[hex.EncodeToString(h.Sum(nil))], nil
}
