package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/internal/regular"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "describe an ONNX model: what it is, its inputs, outputs, operators, cost and metadata",
		ArgsUsage: "model.onnx",
		Flags:     []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("inspect takes one model, got %d arguments", c.NArg())
			}
			b, err := regular.Read(c.Args().First())
			if err != nil {
				return err
			}
			d, err := anrt.Inspect(b)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Args().First(), err)
			}
			if c.Bool("json") {
				return json.NewEncoder(c.App.Writer).Encode(d)
			}
			return printDescription(c.App.Writer, d)
		},
	}
}

func printDescription(w io.Writer, d *anrt.Description) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "kind\t%s\n", d.Kind)
	for _, in := range d.Inputs {
		fmt.Fprintf(t, "input\t%s\t%s %v\n", in.Name, in.DType, in.Shape)
	}
	for _, out := range d.Outputs {
		fmt.Fprintf(t, "output\t%s\t%s %v\n", out.Name, out.DType, out.Shape)
	}
	fmt.Fprintf(t, "opset\t%d\n", d.Opset)
	var ops []string
	for _, op := range slices.Sorted(maps.Keys(d.Ops)) {
		ops = append(ops, fmt.Sprintf("%s %d", op, d.Ops[op]))
	}
	fmt.Fprintf(t, "operators\t%s\n", strings.Join(ops, ", "))
	fmt.Fprintf(t, "parameters\t%d\n", d.Params)
	if d.MACs != nil {
		fmt.Fprintf(t, "MACs\t%d\tan image\n", *d.MACs)
	}
	for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
		fmt.Fprintf(t, "%s\t%s\n", key, d.Metadata[key])
	}
	return t.Flush()
}
