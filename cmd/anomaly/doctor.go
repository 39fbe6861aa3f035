package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:        "doctor",
		Usage:       "say which providers can be used here, and why the others cannot",
		ArgsUsage:   " ",
		Description: `It tries each provider with a tiny model. The exit code is 1 if none can be used.`,
		Flags:       []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("doctor takes no arguments, got %q", c.Args().Slice())
			}
			d := diagnosis{
				Tool: version, Go: goruntime.Version(), OS: goruntime.GOOS, Arch: goruntime.GOARCH,
				CPUs: goruntime.GOMAXPROCS(0), Report: anrt.Diagnose(),
			}
			var err error
			if c.Bool("json") {
				err = json.NewEncoder(c.App.Writer).Encode(d)
			} else {
				err = d.print(c.App.Writer)
			}
			if err == nil && !slices.ContainsFunc(d.Providers, func(a anrt.Availability) bool { return a.Usable }) {
				err = errors.New("no provider can be used")
			}
			return err
		},
	}
}

// A diagnosis is what `anomaly doctor` finds.
type diagnosis struct {
	Tool string `json:"anomaly"` // version
	Go   string `json:"go"`      // version
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"` // that Go programs use
	anrt.Report
}

func (d *diagnosis) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "anomaly\t%s, %s, %s/%s, %d CPUs\n", d.Tool, d.Go, d.OS, d.Arch, d.CPUs)
	if d.Library != "" {
		fmt.Fprintf(t, "ONNX Runtime\t%s, %s\n", d.Version, d.Library)
	} else {
		fmt.Fprintf(t, "ONNX Runtime\tnot loaded\n")
	}
	for _, p := range d.Places {
		fmt.Fprintf(t, "  looked in\t%s: %s: %s\n", p.Source, p.Path, cmp.Or(p.Problem, "found"))
	}
	for _, a := range d.Providers {
		problem, _ := firstLine(a.Problem) // the places are listed above
		problem = strings.TrimPrefix(problem, "runtime: provider "+a.Provider+": ")
		fmt.Fprintf(t, "%s\t%s\n", a.Provider, cmp.Or(problem, "usable"))
	}
	return t.Flush()
}
