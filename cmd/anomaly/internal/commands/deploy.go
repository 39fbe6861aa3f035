package commands

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/anomaly-go/anomaly/dataset"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func deployCommand() *cli.Command {
	return &cli.Command{
		Name:      "deploy",
		Usage:     "put a model in the place of another in one step, and keep the other",
		ArgsUsage: "new.onnx live.onnx",
		Description: `The new model is opened and its self-test run, first in a process of its own, so
that a model which ends the process ends only that; then live.onnx becomes the new model
by one rename: a reader, such as anomaly run --watch live.onnx, finds the old file
or the new one, never a part of either. Weights that lie in other files are moved
into it. On any error, live.onnx is what it was.

The model that was there is kept beside it as live.onnx.0007-3f2a91c04b17: a number
that counts up and the beginning of its SHA-256. anomaly rollback live.onnx goes
back to the newest of them, anomaly versions live.onnx lists them. --keep limits how
many there are. Those that were rolled back from go when another model is deployed.

` + gateHelp,
		Flags: slices.Concat(gateFlags, []cli.Flag{
			&cli.IntFlag{Name: "keep", Usage: "`N` earlier models to keep", Value: 5},
		}, detectorFlags),
		Action: func(c *cli.Context) error {
			switch {
			case c.NArg() != 2:
				return usagef("deploy takes a new model and the file that it is to become, got %q", c.Args().Slice())
			case c.Int("keep") < 1:
				return usagef("--keep: got %d, want 1 or more", c.Int("keep"))
			}
			if err := checkModel("deploy", c.Args().First()); err != nil {
				return err
			}
			o := &deployOptions{model: c.Args().Get(0), live: c.Args().Get(1), keep: c.Int("keep"), try: tryApart(c)}
			var err error
			if o.gate, err = parseGate(c); err != nil {
				return err
			}
			if o.detector, o.decoding, err = parseDetector(c); err != nil {
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
		Description: `The newest of the models that are kept beside live.onnx, where anomaly deploy,
train, export and calibrate leave what they replace, takes its place by one rename.
Again, it goes back one further. With --forward it goes forth again, to the model
that was rolled back from last, until another one is put in place. anomaly versions
lists them.`,
		Flags: []cli.Flag{&cli.BoolFlag{Name: "forward", Usage: "take the last rollback back", DisableDefaultText: true}},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("rollback takes one model, got %q", c.Args().Slice())
			}
			return newConsole(c).rollback(c.Args().First(), c.Bool("forward"))
		},
	}
}

// deployOptions are the arguments and flags of `anomaly deploy`.
type deployOptions struct {
	model, live string
	gate        gateOptions
	keep        int
	try         func(ctx context.Context, model []byte) error
	detector    anrt.Options
	decoding    *dataset.Decoding
}

// deploy is `anomaly deploy`.
func (c *console) deploy(ctx context.Context, o *deployOptions) error {
	options := &anrt.DeployOptions{Detector: &o.detector, Keep: o.keep, Try: o.try}
	o.detector.Logf = c.logf
	if o.gate.dir != "" {
		g, err := c.openGate(&o.gate, o.decoding)
		if err != nil {
			return err
		}
		options.Gate = g.Check
	}
	d, err := anrt.Deploy(ctx, o.model, o.live, options)
	if errors.Is(err, anrt.ErrInput) { // options that the model does not go with
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	if err != nil {
		return err
	}
	c.noteProvider(o.detector.Provider)
	if !d.Tested {
		c.notef("%s has no self-test", o.model)
	}
	c.noteDropped(d)
	line := fmt.Sprintf("%s  is %.12s now", o.live, d.Hash)
	switch {
	case d.Already:
		line = fmt.Sprintf("%s  is %.12s already", o.live, d.Hash)
	case d.Kept != "":
		line += fmt.Sprintf(", what it was is %s", d.Kept)
	}
	_, err = fmt.Fprintln(c.out, line)
	return err
}

// rollback is `anomaly rollback`.
func (c *console) rollback(live string, forward bool) error {
	step := anrt.Rollback
	if forward {
		step = anrt.RollForward
	}
	d, err := step(live)
	if err != nil {
		return err
	}
	was := "nothing"
	if d.Replaced != "" {
		was = d.Replaced[:anrt.HashDigits]
	}
	_, err = fmt.Fprintf(c.out, "%s  is %.12s again, in place of %s\n", live, d.Hash, was)
	return err
}
