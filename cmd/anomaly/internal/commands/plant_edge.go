//go:build edge

package commands

import (
	"context"
	"log/slog"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/urfave/cli/v2"
	"go.opentelemetry.io/otel/trace"
)

// plantCommands stand for the commands that this build leaves out, so that it is
// said of them what they are missing.
func plantCommands() []*cli.Command {
	var list []*cli.Command
	for _, name := range []string{"man", "worker", "submit", "parked", "feedback"} {
		list = append(list, &cli.Command{
			Name:            name,
			Usage:           "not in this build, which has the tag edge",
			Hidden:          true,
			SkipFlagParsing: true,
			Action: func(*cli.Context) error {
				return leftOut(name)
			},
		})
	}
	return list
}

func leftOut(what string) error {
	return usagef("%s is not in this build, which was made with -tags edge for devices beside the line: build without it", what)
}

// openPlant refuses outputs.
func (c *console) openPlant(o *outputOptions, _ *slog.Logger) (*plant, error) {
	if len(o.urls) > 0 {
		return nil, leftOut("--output")
	}
	return &plant{close: func() {}}, nil
}

// openFeedback refuses feedback.
func openFeedback(context.Context, string, *feedback.Options) (feedbackStore, error) {
	return nil, leftOut("feedback")
}

// openTraces refuses traces.
func (c *console) openTraces(context.Context, string, string) (trace.TracerProvider, func(), error) {
	return nil, nil, leftOut("--otlp")
}
