package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

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
			d, err := anrt.InspectFile(c.Args().First())
			if err != nil {
				return err
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
	if d.Problem != "" {
		fmt.Fprintf(t, "problem\t%s\n", d.Problem)
	}
	if d.Images != nil {
		fmt.Fprintf(t, "images\t%s\n", imagesLine(d.Images))
	}
	tensor := func(what string, i anrt.TensorInfo) {
		fmt.Fprintf(t, "%s\t%s\t%s %v\t%s\n", what, i.Name, i.DType, i.Shape, i.Meaning)
	}
	for _, in := range d.Inputs {
		tensor("input", in)
	}
	for _, out := range d.Outputs {
		tensor("output", out)
	}
	if d.Threshold != nil {
		fmt.Fprintf(t, "threshold\t%s\n", short(*d.Threshold))
	}
	if d.PixelThreshold != nil {
		fmt.Fprintf(t, "pixel threshold\t%s\n", short(*d.PixelThreshold))
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

// imagesLine says in words which images a model takes.
func imagesLine(i *anrt.ImagesInfo) string {
	colours := map[int]string{1: "grey", 3: "RGB"}[i.Channels]
	size := fmt.Sprintf("%dx%d", i.Height, i.Width)
	switch i.SizedBy {
	case "graph":
		size += ", to which the graph itself would resize"
	case "map":
		size += ", the size of the map"
	case "image":
		size = "of any size, each its own (--size fixes it)"
	}
	batch := "any number at once"
	if i.Batch > 0 {
		batch = fmt.Sprintf("%d at once", i.Batch)
	}
	return fmt.Sprintf("%s, %s, black to white %s, %s, %s", colours, size, i.Range, i.Layout, batch)
}
