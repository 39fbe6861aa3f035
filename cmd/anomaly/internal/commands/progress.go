package commands

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/anomaly-go/anomaly/train"
	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// A console is where a command prints: results to out, everything else to log.
type console struct {
	in       io.Reader
	out, log io.Writer
	version  string                   // of this program
	bar      *progressbar.ProgressBar // nil unless one is shown
	width    int                      // of the status line that is shown, in bytes
	noting   sync.Mutex               // held by notef and logf, which watching calls from two sides
	provider string                   // what was said last of the provider that computes
}

func newConsole(c *cli.Context) *console {
	return &console{in: c.App.Reader, out: c.App.Writer, log: c.App.ErrWriter, version: c.App.Version}
}

// notef prints a line for a person.
func (c *console) notef(format string, args ...any) {
	c.noting.Lock()
	defer c.noting.Unlock()
	c.note(fmt.Sprintf(format, args...))
}

func (c *console) note(line string) {
	c.clear()
	fmt.Fprintln(c.log, line)
}

// logf is notef for what package runtime says: without the list of all places where
// it looked for ONNX Runtime, and which provider computes only where it is another
// than before.
func (c *console) logf(format string, args ...any) {
	line, isLong := firstLine(fmt.Sprintf(format, args...))
	if isLong {
		line += " (anomaly doctor says where it looked)"
	}
	c.noting.Lock()
	defer c.noting.Unlock()
	if strings.HasPrefix(line, "using provider ") {
		if line == c.provider {
			return
		}
		c.provider = line
	}
	c.note(line)
}

// plural returns a number of things: "1 image", "2 images".
func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// firstLine returns the first line of a problem that goes on with a list of places.
func firstLine(problem string) (line string, isLong bool) {
	line, _, isLong = strings.Cut(problem, "\n")
	return strings.TrimSuffix(line, "; looked at"), isLong
}

// clear removes what is shown on the terminal for the moment only.
func (c *console) clear() {
	if c.bar != nil {
		c.bar.Clear()
	}
	if c.width > 0 {
		fmt.Fprintf(unescaped(c.log), "\r%*s\r", c.width, "")
		c.width = 0
	}
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := unescaped(w).(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// startBar shows a progress bar on a terminal, unless results are printed there.
func (c *console) startBar(total int, what string) {
	if !isTerminal(c.log) || isTerminal(c.out) {
		return
	}
	c.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(unescaped(c.log)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
}

func (c *console) stepBar() {
	if c.bar != nil {
		c.bar.Add(1)
	}
}

func (c *console) endBar() {
	c.clear()
	c.bar = nil
}

// trainProgress returns what shows how training goes: a line that is written over
// on a terminal, elsewhere a line every tenth of each network's way.
func (c *console) trainProgress() func(train.Progress) {
	terminal := isTerminal(c.log)
	var last time.Time
	var stage, tenth int
	return func(p train.Progress) {
		line := fmt.Sprintf("epoch %d/%d  step %d/%d  loss %.4f", p.Epoch, p.Epochs, p.Step, p.Steps, p.Loss)
		if math.IsNaN(p.Loss) {
			line = fmt.Sprintf("image %d/%d", p.Step, p.Steps)
		}
		if p.Stages > 1 {
			line = fmt.Sprintf("network %d/%d  %s", p.Stage, p.Stages, line)
		}
		if !math.IsNaN(p.Val) {
			line += fmt.Sprintf("  held back %.4f", p.Val)
		}
		line += fmt.Sprintf("  %v, %v left", p.Elapsed.Round(time.Second), p.Left.Round(time.Second))
		switch {
		case !terminal && p.EpochEnd() && (p.Stage != stage || 10*p.Epoch/p.Epochs != tenth):
			stage, tenth = p.Stage, 10*p.Epoch/p.Epochs
			c.notef("%s", line)
		case terminal && (p.EpochEnd() || time.Since(last) > 100*time.Millisecond):
			last = time.Now()
			c.clear()
			c.width, _ = fmt.Fprint(c.log, line)
		}
	}
}
