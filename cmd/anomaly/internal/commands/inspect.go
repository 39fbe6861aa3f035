package commands

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/judge"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "describe an ONNX model, and check that it computes what it should",
		ArgsUsage: "model.onnx",
		Description: `It says what the model is taken for, what it was trained on, how good it is by what its
file tells, which images it takes, what its outputs mean, its thresholds, parameters
and multiply-adds (MACs) of one image; or why a detector does not understand it. With
--all also its operators and all of its metadata. --json has everything, the verdict
on the detector as "verdict".

With --verify the model also runs its self-test: an image drawn by arithmetic, which
anomaly train and anomaly export score and whose figures the file carries. Weights
that are damaged, and a provider that computes something else, are an error (exit
code 1). A file without one (of other tools, or older) says so. With --json,
"self_test" is {"image": "pattern-1", "score": 1.1, "mean": 0.9, "provider": "cpu"},
what the model gave, or null.`,
		Flags: append([]cli.Flag{
			jsonFlag,
			&cli.BoolFlag{Name: "all", Usage: "also operators, and all of the metadata", DisableDefaultText: true},
			&cli.BoolFlag{Name: "verify", Usage: "run the self-test that the file carries", DisableDefaultText: true},
		}, engineFlags...),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("inspect takes one model, got %q", c.Args().Slice())
			}
			if err := checkModel("inspect", c.Args().First()); err != nil {
				return err
			}
			if !c.Bool("verify") && (c.IsSet("provider") || c.IsSet("provider-option") || c.IsSet("threads")) {
				return usagef("--provider, --provider-option and --threads need --verify: nothing else runs the model")
			}
			engine, err := parseEngine(c)
			if err != nil {
				return err
			}
			o := &inspectOptions{
				model: c.Args().First(), all: c.Bool("all"), verify: c.Bool("verify"), json: c.Bool("json"),
				detector: anrt.Options{SessionOptions: engine, Batch: 1},
			}
			return newConsole(c).inspect(c.Context, o)
		},
	}
}

// inspectOptions are the arguments and flags of `anomaly inspect`.
type inspectOptions struct {
	model             string
	all, verify, json bool
	detector          anrt.Options // that verifies
}

// inspect is `anomaly inspect`.
func (c *console) inspect(ctx context.Context, o *inspectOptions) error {
	d, err := anrt.InspectFile(o.model)
	if err != nil {
		return err
	}
	verdict := appraised(d)
	var test *passedTest
	if o.verify {
		if test, err = c.selfTest(ctx, o.model, &o.detector); err != nil {
			return err
		}
	}
	type described struct {
		*anrt.Description
		Verdict *judge.Appraisal `json:"verdict"`
	}
	switch {
	case o.json && o.verify:
		return json.NewEncoder(c.out).Encode(struct {
			described
			SelfTest *passedTest `json:"self_test"`
		}{described{d, verdict}, test})
	case o.json:
		return json.NewEncoder(c.out).Encode(described{d, verdict})
	}
	line := ""
	switch {
	case test != nil:
		line = fmt.Sprintf("passed on %s: %s has score %.6g, mean residual %.6g", test.Provider, test.Image, test.Score, test.Mean)
	case o.verify:
		line = "none in the file"
	}
	return printDescription(c.out, d, verdict, line, o.all)
}

// appraised says how good a model is by what its file tells, nil where that is nothing.
func appraised(d *anrt.Description) *judge.Appraisal {
	e := judge.FileEvidence(d.Metadata, d.Threshold)
	if e.Training == nil || d.Problem != "" {
		return nil
	}
	return judge.Appraise(e)
}

// A passedTest is what a model gave in its self-test.
type passedTest struct {
	Image    string        `json:"image"`
	Score    float32       `json:"score"`
	Mean     float32       `json:"mean"`
	Provider anrt.Provider `json:"provider"`
}

// selfTest runs a model's self-test, nil where there is none.
func (c *console) selfTest(ctx context.Context, path string, o *anrt.Options) (*passedTest, error) {
	det, err := c.openDetector(ctx, path, o)
	if err != nil {
		return nil, err
	}
	defer judge.Leave(ctx, func() { det.Close() })
	tested, err := det.Verify(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !tested {
		return nil, nil
	}
	t, err := det.SelfTest(ctx)
	return &passedTest{t.Image, t.Score, t.Mean, det.Info().Provider}, err
}

// printDescription describes a model, of which a verdict, nil for none, says how good
// it is; selfTest, where not "", is a line of its own. All has operators and metadata.
func printDescription(w io.Writer, d *anrt.Description, verdict *judge.Appraisal, selfTest string, all bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "kind\t%s\n", d.Kind)
	if d.Problem != "" {
		fmt.Fprintf(t, "problem\t%s\n", d.Problem)
	}
	if training := judge.ReadTraining(d.Metadata); training != nil {
		fmt.Fprintf(t, "trained\t%s\n", printable(trainedLine(training, d.Metadata)))
	}
	if verdict != nil {
		title := "verdict"
		for _, s := range verdict.Said() {
			fmt.Fprintf(t, "%s\t%s: %s\n", title, s.Severity, s.Text)
			if s.Do != "" {
				fmt.Fprintf(t, "\t  -> %s\n", s.Do)
			}
			title = ""
		}
	}
	if d.Images != nil {
		fmt.Fprintf(t, "images\t%s\n", imagesLine(d.Images))
		if line := viewLine(d); line != "" {
			fmt.Fprintf(t, "looks at\t%s\n", line)
		}
	}
	tensor := func(what string, i anrt.TensorInfo) {
		fmt.Fprintf(t, "%s\t%s\t%s %v\t%s\n", what, printable(i.Name), i.DType, i.Shape, i.Meaning)
	}
	for _, in := range d.Inputs {
		tensor("input", in)
	}
	for _, out := range d.Outputs {
		tensor("output", out)
	}
	if d.Threshold != nil {
		fmt.Fprintf(t, "threshold\t%s\t%s\n", page.Short(*d.Threshold), printable(judge.Source(judge.ReadTraining(d.Metadata), judge.ReadCalibration(d.Metadata))))
	}
	if d.PixelThreshold != nil {
		fmt.Fprintf(t, "pixel threshold\t%s\n", page.Short(*d.PixelThreshold))
	}
	if p := d.Metadata[onnx.KeyPrecision]; p != "" {
		fmt.Fprintf(t, "precision\t%s\n", printable(precisionLine(p, d.Metadata[onnx.KeyLoss])))
	}
	if review, ok := d.Metadata[onnx.KeyReview]; ok {
		fmt.Fprintf(t, "review band\t%s\n", printable(review))
	}
	if all {
		var ops []string
		for _, op := range slices.Sorted(maps.Keys(d.Ops)) {
			ops = append(ops, fmt.Sprintf("%s %d", printable(op), d.Ops[op]))
		}
		fmt.Fprintf(t, "opset\t%d\noperators\t%s\n", d.Opset, strings.Join(ops, ", "))
	}
	fmt.Fprintf(t, "parameters\t%d\n", d.Params)
	if d.MACs != nil {
		fmt.Fprintf(t, "MACs\t%d\tan image\n", *d.MACs)
	}
	if line := backboneLine(d.Metadata[onnx.KeyModel]); line != "" {
		fmt.Fprintf(t, "backbone\t%s\n", printable(line))
	}
	if signature, ok := d.Metadata[onnx.KeySignature]; ok {
		_, name, _ := strings.Cut(signature, ":")
		name, _, _ = strings.Cut(name, ":")
		fmt.Fprintf(t, "signed\tby the key %s, which is not checked here (anomaly sign --check)\n", printable(name))
	}
	if selfTest != "" {
		fmt.Fprintf(t, "self-test\t%s\n", selfTest)
	}
	if all {
		for _, key := range slices.Sorted(maps.Keys(d.Metadata)) {
			fmt.Fprintf(t, "%s\t%s\n", printable(key), printable(d.Metadata[key]))
		}
	}
	return t.Flush()
}

// trainedLine says in words what a model was trained on, and how.
func trainedLine(t *judge.Training, metadata map[string]string) string {
	line := t.Model
	if t.Epochs > 0 {
		line += fmt.Sprintf(", %s", plural(t.Epochs, "epoch"))
	}
	line += fmt.Sprintf(", on %s of good parts", plural(t.Images, "image"))
	if t.Width > 0 {
		line += fmt.Sprintf(" of %dx%d", t.Width, t.Height)
	}
	if tool := metadata[onnx.KeyTool]; tool != "" {
		line += ", by " + tool
	}
	return line
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
