//go:build edge

package commands

import "github.com/urfave/cli/v2"

// plantCommands stand for the commands that this build leaves out, so that it is
// said of them what they are missing.
func plantCommands() []*cli.Command {
	var list []*cli.Command
	for _, name := range []string{"worker", "submit", "parked"} {
		list = append(list, &cli.Command{
			Name:            name,
			Usage:           "not in this build, which has the tag edge",
			Hidden:          true,
			SkipFlagParsing: true,
			Action: func(*cli.Context) error {
				return usagef("%s is not in this build, which was made with -tags edge for devices beside the line: build without it", name)
			},
		})
	}
	return list
}
