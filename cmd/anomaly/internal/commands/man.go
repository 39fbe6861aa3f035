//go:build !edge

package commands

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

func manCommand() *cli.Command {
	return &cli.Command{
		Name:        "man",
		Usage:       "print the manual page",
		ArgsUsage:   " ",
		Description: `Read it with anomaly man | man -l -, or store it as anomaly.1 where man looks.`,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("man takes no arguments, got %q", c.Args().Slice())
			}
			// Once it has been called, the cli package's help is a command of itself.
			c.App.Command("help").Subcommands = nil
			page, err := c.App.ToManWithSection(1)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.App.Writer, page)
			return err
		},
	}
}
