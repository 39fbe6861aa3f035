package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/commands"
)

// version is set by the linker.
var version = "dev"

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	// The first signal asks for an orderly end; a second one, handled as the
	// system does by default, ends at once.
	context.AfterFunc(ctx, stop)
	os.Exit(commands.Run(ctx, version, os.Args, os.Stdout, os.Stderr))
}
