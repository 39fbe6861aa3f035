package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"
)

// version is set by the linker.
var version = "dev"

// Exit codes.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitAnomaly     = 3
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

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; a second one, handled as the
	// system does by default, ends at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	app := newApp(stdout, stderr)
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
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		fmt.Fprintln(stderr, "anomaly: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "anomaly:", err)
	if errors.Is(err, errUsage) || errors.As(err, &helpTopic) {
		return exitUsage
	}
	return exitFailure
}

func newApp(stdout, stderr io.Writer) *cli.App {
	app := &cli.App{
		Name:                      "anomaly",
		Usage:                     "find defects in images after having seen only good ones",
		Version:                   version,
		Writer:                    stdout,
		ErrWriter:                 stderr,
		HideHelpCommand:           false,
		DisableSliceFlagSeparator: true,
		ExitErrHandler:            func(*cli.Context, error) {}, // run decides
		Commands: []*cli.Command{
			demoCommand(), trainCommand(), trainReportCommand(), runCommand(), evalCommand(), calibrateCommand(), exportCommand(),
			inspectCommand(), deployCommand(), rollbackCommand(), benchCommand(), doctorCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("there is no command %q; anomaly help lists them", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
	wrongFlag := func(c *cli.Context, err error, _ bool) error { return usagef("%v", err) }
	app.OnUsageError = wrongFlag
	for _, c := range app.Commands {
		c.OnUsageError = wrongFlag
	}
	return app
}
