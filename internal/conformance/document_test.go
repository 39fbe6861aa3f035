package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const documentHead = `# Models on every provider

How far the outputs of models are from what they should be, on each provider that was at hand; package
internal/conformance measures it. Every model gives the same, to 1e-6, for each image alone, in a batch of three and in
the batch that is measured, and for each output asked for alone; and the same bits into tensors of the caller.

Made by ` + "`" + `make conformance UPDATE=1` + "`" + ` for the providers go and cpu, and by ` + "`" + `make conformance PROVIDER=openvino UPDATE=1` + "`" + `.
Of providers that are not listed no run is known: ` + "`" + `make conformance PROVIDER=cuda` + "`" + ` is one, on a machine with a GPU, and
fails where there is none. Every provider computes in float32, and none leaves operators to another.

`

// document is the text of docs/interop.md.
func (m measured) document() string {
	var b strings.Builder
	b.WriteString(documentHead)
	b.WriteString("| provider | library | machine | date |\n|---|---|---|---|\n")
	for _, c := range m {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.Provider, c.Library, c.Machine, c.Date)
	}
	b.WriteString(`
The tables give the largest absolute difference of each output, of booleans how many differ.

## Models of other tools

The golden outputs came with the models, from ONNX Runtime on a CPU. They may be off by the tolerance that came with them.

`)
	m.models(&b, "foreign")
	fmt.Fprintf(&b, `
## Models of package onnxexport

Untrained networks on images of %dx%d pixels. The golden outputs are those of the same graph in float64.

`, ownWidth, ownHeight)
	m.models(&b, "own")
	b.WriteString(`
## ONNX's own tests

Those of the operators that [the manifest](../internal/conformance/testdata/manifest.txt) names, to ONNX's tolerance. What
fails is listed there by name, under the same reasons.

`)
	m.reasons(&b, "onnx")
	return b.String()
}

// header begins a table with a column for each provider.
func (m measured) header(b *strings.Builder, first ...string) {
	for _, c := range m {
		first = append(first, string(c.Provider))
	}
	fmt.Fprintf(b, "| %s |\n%s|\n", strings.Join(first, " | "), strings.Repeat("|---", len(first)))
}

// models writes a row for each output of a suite's models.
func (m measured) models(b *strings.Builder, suite string) {
	m.header(b, "model", "output", "tolerance")
	var all [][2]string
	for _, c := range m {
		all = append(all, rows(c.outcome(suite))...)
	}
	slices.SortFunc(all, func(x, y [2]string) int { return slices.Compare(x[:], y[:]) })
	for _, row := range slices.Compact(all) {
		cells, tolerance := "", 0.
		for _, c := range m {
			x := c.outcome(suite).Models[row[0]]
			if x != nil {
				tolerance = x.Tolerance
			}
			cells += " | " + x.cell(row[1])
		}
		fmt.Fprintf(b, "| %s | `%s` | %g%s |\n", strings.TrimPrefix(row[0], suite+"/"), row[1], tolerance, cells)
	}
}

// outcome returns that of a suite, an empty one where it has not been run.
func (c *column) outcome(suite string) *outcome {
	if o := c.Suites[suite]; o != nil {
		return o
	}
	return &outcome{}
}

func (x *measurement) cell(output string) string {
	switch {
	case x == nil:
		return "not run"
	case x.Fails != "":
		return "fails: " + x.Fails
	case x.Outputs[output].Max == 0 && x.Outputs[output].Of == 0:
		return "0"
	case x.Outputs[output].Of > 0:
		return fmt.Sprintf("%g of %d", x.Outputs[output].Max, x.Outputs[output].Of)
	}
	return fmt.Sprintf("%.1e", x.Outputs[output].Max)
}

// reasons writes how many of a suite's tests pass, and what of the others fail.
func (m measured) reasons(b *strings.Builder, suite string) {
	m.header(b, "")
	all := map[string]bool{}
	line := func(title string, count func(*outcome) int) {
		fmt.Fprintf(b, "| %s", title)
		for _, c := range m {
			fmt.Fprintf(b, " | %d", count(c.outcome(suite)))
		}
		fmt.Fprintln(b, " |")
	}
	for _, c := range m {
		for reason := range c.outcome(suite).Failed {
			all[reason] = true
		}
	}
	line("**pass**", func(o *outcome) int { return o.Passed })
	line("**fail**", func(o *outcome) int {
		n := 0
		for _, count := range o.Failed {
			n += count
		}
		return n
	})
	for _, reason := range slices.Sorted(maps.Keys(all)) {
		line("`"+reason+"`", func(o *outcome) int { return o.Failed[reason] })
	}
}
