//go:build !edge

package commands

import "github.com/urfave/cli/v2"

// plantCommands are the commands that builds with the tag edge leave out, which
// plant_edge.go names.
func plantCommands() []*cli.Command {
	return []*cli.Command{workerCommand(), submitCommand(), parkedCommand()}
}
