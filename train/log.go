package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/anomaly-go/anomaly/internal/atomicfile"
)

// ErrLog is wrapped by errors about a training log.
var ErrLog = errors.New("train: log")

// A LogLine is a line of [Settings.Log]: an epoch.
type LogLine struct {
	Stage        int      `json:"stage"` // the network, from 1
	Stages       int      `json:"stages"`
	Epoch        int      `json:"epoch"` // from 1
	Epochs       int      `json:"epochs"`
	Loss         float64  `json:"loss"`          // mean over the epoch's steps, by image
	Val          *float64 `json:"val"`           // loss of the held-back images at its end; null where none are
	LearningRate float64  `json:"learning_rate"` // of its last step
	GradNorm     float64  `json:"grad_norm"`     // of all gradients together before clipping, mean over the steps
	Seconds      float64  `json:"seconds"`
	Best         bool     `json:"best"`              // whether val was the lowest of this network until then; false without patience
	Machine      string   `json:"machine,omitempty"` // that computed it, and with which provider
}

// ReadLog reads a training log. A last line that is still being written is left out.
func ReadLog(r io.Reader) ([]LogLine, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLog, err)
	}
	var lines []LogLine
	for number := 1; ; number++ {
		text, rest, whole := bytes.Cut(b, []byte("\n"))
		if !whole {
			return lines, nil
		}
		b = rest
		var l LogLine
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&l); err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrLog, number, err)
		}
		if l.Stage < 1 || l.Stage > l.Stages || l.Epoch < 1 || l.Epoch > l.Epochs {
			return nil, fmt.Errorf("%w: line %d: got network %d of %d, epoch %d of %d", ErrLog, number, l.Stage, l.Stages, l.Epoch, l.Epochs)
		}
		lines = append(lines, l)
	}
}

// An epochLog writes the log. A nil one writes nothing.
type epochLog struct {
	file           *os.File
	stages, epochs int
}

// openLog begins the log with the epochs that have been: a log of more or fewer,
// left by a run that was killed, is replaced.
func openLog(path string, t *trainer, history []Epoch) (*epochLog, error) {
	if path == "" {
		return nil, nil
	}
	l := &epochLog{stages: len(t.stages), epochs: t.settings.Epochs}
	err := atomicfile.Write(path, func(w io.Writer) error {
		for _, e := range history {
			if _, err := w.Write(l.line(e)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		l.file, err = os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLog, err)
	}
	return l, nil
}

func (l *epochLog) line(e Epoch) []byte {
	line := LogLine{
		Stage: e.Stage, Stages: l.stages, Epoch: e.Epoch, Epochs: l.epochs,
		Loss: e.Loss, LearningRate: e.LearningRate, GradNorm: e.GradNorm, Seconds: e.Seconds, Best: e.Best, Machine: e.Machine,
	}
	if !math.IsNaN(e.Val) && !math.IsInf(e.Val, 0) {
		line.Val = &e.Val
	}
	b, err := json.Marshal(line)
	if err != nil {
		panic(err) // its numbers are finite: Fit ends where a loss or gradient is not
	}
	return append(b, '\n')
}

func (l *epochLog) add(e Epoch) error {
	if l == nil {
		return nil
	}
	if _, err := l.file.Write(l.line(e)); err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	return nil
}

func (l *epochLog) close() {
	if l != nil {
		l.file.Close()
	}
}
