package commands

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// selfTestCommand is what tryApart calls: a model that comes on standard input is
// opened and tested. Standard output gets an object once that has ended, well or not.
func selfTestCommand() *cli.Command {
	return &cli.Command{
		Name:   "self-test",
		Usage:  "open and test the model that comes on standard input",
		Hidden: true,
		Flags:  append(slices.Clone(scoringFlags), signatureFlag),
		Action: func(c *cli.Context) error {
			o, err := parseScoring(c, "")
			if err != nil {
				return err
			}
			if o.detector.Signers, err = parseSigners(c); err != nil {
				return err
			}
			model, err := io.ReadAll(c.App.Reader)
			if err != nil {
				return err
			}
			det, err := anrt.OpenBytes(model, &o.detector)
			if err == nil {
				_, err = det.Verify(c.Context)
				err = errors.Join(err, det.Close())
			}
			if encoded := json.NewEncoder(c.App.Writer).Encode(struct {
				Passed bool `json:"passed"`
			}{err == nil}); encoded != nil {
				return encoded
			}
			return err
		},
	}
}

// errKilled is that a model ends the process which computes it.
var errKilled = errors.New("the model ends the process that tests it")

// tryApart returns what opens and tests a model in a process of its own, as c's
// scoringFlags and signatureFlag say. Its error is that the model ends that process. What else is
// wrong this process finds and says itself.
func tryApart(c *cli.Context) func(ctx context.Context, model []byte) error {
	args := append([]string{"self-test"}, asGiven(c, append(slices.Clone(scoringFlags), signatureFlag))...)
	return func(ctx context.Context, model []byte) error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		var stdout, stderr bytes.Buffer
		child := exec.CommandContext(ctx, self, args...)
		child.Stdin, child.Stdout, child.Stderr = bytes.NewReader(model), &stdout, &stderr
		err = child.Run()
		var ended *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case json.Valid(bytes.TrimSpace(stdout.Bytes())) && stdout.Len() > 0:
			return nil
		case err != nil && !errors.As(err, &ended): // it could not be started
			return err
		}
		return fmt.Errorf("%w: %w: %s", anrt.ErrModel, errKilled, lastWords(stderr.String(), err))
	}
}

// lastWords is what a process that died has said of it.
func lastWords(stderr string, err error) string {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		for _, begin := range []string{"SIG", "fatal error: ", "panic: ", "runtime: out of memory", "terminate called", "anomaly: "} {
			if strings.HasPrefix(line, begin) {
				return line
			}
		}
	}
	if err != nil && strings.Contains(err.Error(), "killed") {
		return err.Error() + ": out of memory, most likely"
	}
	said, _ := firstLine(stderr)
	return strings.TrimSuffix(fmt.Sprintf("%v: %s", cmp.Or(err, errors.New("it said nothing")), said), ": ")
}

// asGiven returns those of flags that c's command line has, as another one has them.
func asGiven(c *cli.Context, flags []cli.Flag) []string {
	var args []string
	for _, f := range flags {
		name := f.Names()[0]
		if !c.IsSet(name) {
			continue
		}
		if _, isList := f.(*cli.StringSliceFlag); isList {
			for _, v := range c.StringSlice(name) {
				args = append(args, "--"+name+"="+v)
			}
			continue
		}
		args = append(args, fmt.Sprintf("--%s=%v", name, c.Value(name)))
	}
	return args
}
