//go:build !edge

package commands

import (
	"context"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/urfave/cli/v2"
)

// plantCommands are the commands that builds with the tag edge leave out, which
// plant_edge.go names.
func plantCommands() []*cli.Command {
	return []*cli.Command{workerCommand(), submitCommand(), parkedCommand(), feedbackCommand()}
}

// openFeedback opens the folder where feedback is kept.
func openFeedback(ctx context.Context, dir string, o *feedback.Options) (feedbackStore, error) {
	return feedback.Open(ctx, dir, o)
}
