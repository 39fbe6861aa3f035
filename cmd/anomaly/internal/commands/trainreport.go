package commands

import (
	"fmt"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/urfave/cli/v2"
)

func trainReportCommand() *cli.Command {
	return &cli.Command{
		Name:      "train-report",
		Usage:     "show training runs side by side",
		ArgsUsage: "RUN.log.jsonl…",
		Description: `It draws the curves of training logs into one self-contained page, beside what
the runs' settings differ in (from RUN.config.json, if that is there) and the
reconstructions that train --report has left in RUN.samples.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`PAGE.html` to write", Value: "train.html"},
		},
		Action: func(c *cli.Context) error {
			switch {
			case !c.Args().Present():
				return usagef("train-report needs logs of training: RUN%s", page.LogSuffix)
			}
			if err := page.WriteTraining(c.String("out"), c.Args().Slice()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.App.Writer, c.String("out"))
			return err
		},
	}
}
