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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; a second one, handled as the
	// system does by default, ends at once.
	context.AfterFunc(ctx, stop)
	os.Exit(commands.Run(ctx, version, os.Args, os.Stdout, os.Stderr))
}
