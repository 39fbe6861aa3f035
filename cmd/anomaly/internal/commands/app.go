package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitAnomaly     = 3
	exitPoor        = 4
	exitInterrupted = 130
)

var (
	errUsage   = errors.New("usage")
	errAnomaly = errors.New("anomaly found")
)

// usagef returns an error for a wrong call.
func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errUsage, fmt.Sprintf(format, args...))
}

// Run is the command, called as args say, without the process: it returns the exit
// code. version is what the build calls itself.
func Run(ctx context.Context, version string, args []string, stdout, stderr io.Writer) int {
	stdout, stderr = &escaper{w: stdout}, &escaper{w: stderr}
	app := newApp(version, stdout, stderr)
	args, err := flagsFirst(app, args)
	if err == nil {
		err = app.RunContext(ctx, args)
	}
	var helpTopic cli.ExitCoder // there is none of that name
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errAnomaly):
		return exitAnomaly
	case interrupted(ctx, err):
		fmt.Fprintln(stderr, "anomaly: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "anomaly:", err)
	if errors.Is(err, errUsage) || errors.As(err, &helpTopic) {
		return exitUsage
	}
	if errors.Is(err, errPoor) {
		return exitPoor
	}
	return exitFailure
}

// interrupted reports whether an error is that ctx ended.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx)))
}

// told returns the error of a command that goes on until it is told to end: nil where it
// was told so while it started.
func (c *console) told(ctx context.Context, err error) error {
	if !interrupted(ctx, err) {
		return err
	}
	c.notef("ended while it started")
	return nil
}

func newApp(version string, stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      "anomaly",
		Usage:                     "find defects in images after having seen only good ones",
		Version:                   version,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideHelpCommand:           false,
		EnableBashCompletion:      true,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run decides
		Commands: slices.Concat([]*cli.Command{
			demoCommand(), trainCommand(), trainReportCommand(), runCommand(), evalCommand(), calibrateCommand(), exportCommand(),
			inspectCommand(), deployCommand(), rollbackCommand(), versionsCommand(), signCommand(), serveCommand(), benchCommand(), doctorCommand(),
			versionCommand(), completionCommand(), selfTestCommand(),
		}, plantCommands()),
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				name := c.Args().First()
				return usagef("there is no command %q; anomaly help lists them. %s", name, cli.SuggestCommand(c.App.VisibleCommands(), name))
			}
			return cli.ShowAppHelp(c)
		},
	}
	wrongFlag := func(c *cli.Context, err error, _ bool) error {
		name, unknown := strings.CutPrefix(err.Error(), "flag provided but not defined: -")
		if !unknown {
			return usagef("%v", err)
		}
		flags, help := c.App.Flags, "anomaly --help"
		if c.Command != nil && c.Command.Name != "" {
			flags, help = c.Command.Flags, "anomaly "+c.Command.Name+" --help"
		}
		name = strings.TrimPrefix(name, "-")
		near := strings.TrimLeft(cli.SuggestFlag(flags, name, true), "-")
		if smetrics.WagnerFischer(name, near, 1, 1, 1) > max(len(name)/3, 2) { // it is another word
			return usagef("there is no flag --%s; %s lists them", name, help)
		}
		return usagef("there is no flag --%s, the nearest is --%s", name, near)
	}
	app.OnUsageError = wrongFlag
	for _, c := range app.Commands {
		c.OnUsageError, c.Before = wrongFlag, refuseEmpty
	}
	return app
}
