package commands

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	goruntime "runtime"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/anomaly-go/anomaly/internal/ortlib"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "say which providers can be used here, and get what others need",
		ArgsUsage: " ",
		Description: `It tries each provider with a tiny model, in a process of its own. The exit code
is 1 if none can be used.

With --install it puts ONNX Runtime into the user's cache folder, where it is
found, and prints its path: the build that computes on CPUs, or those named. It
takes a pinned version from an installed Python package, with pip or with npm,
and checks its SHA-256. What is there already is checked and kept. With
--backbones it gets the pretrained networks that train --model features and auto
build on.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "provider", Usage: "try this `ENGINE` alone, or a list of them in one process", DefaultText: "each"},
			providerOptionFlag, jsonFlag,
			&cli.BoolFlag{Name: "install", Usage: "get ONNX Runtime", DisableDefaultText: true},
			&cli.BoolFlag{Name: "gpu", Usage: "with --install: the build for cuda and tensorrt (250 MB to download; NVIDIA's own libraries are pip's to install)", DisableDefaultText: true},
			&cli.BoolFlag{Name: "openvino", Usage: "with --install: the build for openvino (85 MB to download)", DisableDefaultText: true},
			&cli.BoolFlag{Name: "backbones", Usage: "with --install: the pretrained backbones (40 MB to download, with pip)", DisableDefaultText: true},
			&cli.BoolFlag{Name: "directml", Usage: "with --install: the build for directml (25 MB to download)", DisableDefaultText: true},
		},
		Action: doctorAction,
	}
}

// builds are the flags that name what to install.
var builds = []struct {
	flag   string
	builds []ortlib.Build
}{
	{"gpu", []ortlib.Build{ortlib.GPU}}, {"openvino", []ortlib.Build{ortlib.OpenVINO}}, {"directml", []ortlib.Build{ortlib.DirectML}},
	{"backbones", backbones},
}

// backbones are the weights that features are computed with.
var backbones = []ortlib.Build{ortlib.Lite0, ortlib.Lite2}

func doctorAction(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("doctor takes no arguments, got %q", c.Args().Slice())
	}
	if c.Bool("install") {
		for _, flag := range []string{"provider", "provider-option", "json"} {
			if c.IsSet(flag) {
				return usagef("--install does not go with --%s", flag)
			}
		}
		return installAction(c)
	}
	for _, b := range builds {
		if c.Bool(b.flag) {
			return usagef("--%s needs --install", b.flag)
		}
	}
	d := diagnosis{
		Tool: c.App.Version, Go: goruntime.Version(), OS: goruntime.GOOS, Arch: goruntime.GOARCH,
		CPUs: goruntime.GOMAXPROCS(0), machine: thisMachine(c.Context),
	}
	if c.IsSet("provider") {
		o, err := parseEngine(c)
		if err != nil {
			return err
		}
		d.Report = anrt.Diagnose(&o)
	} else if c.IsSet("provider-option") {
		return usagef("--provider-option needs --provider")
	} else {
		for _, p := range anrt.Providers() {
			r, err := diagnoseApart(c.Context, p)
			if err != nil {
				return err
			}
			if d.Places == nil {
				d.Library, d.Version, d.Places = r.Library, r.Version, r.Places
			}
			d.Providers = append(d.Providers, r.Providers...)
		}
	}
	for _, b := range backbones {
		place := backbonePlace{Name: string(b)}
		if path, err := ortlib.Find(b, ""); err == nil {
			place.Path = path
		} else if !errors.Is(err, fs.ErrNotExist) {
			place.Problem = err.Error()
		}
		d.Backbones = append(d.Backbones, place)
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
}

func installAction(c *cli.Context) error {
	o := &ortlib.Options{Logf: newConsole(c).notef}
	if isTerminal(c.App.ErrWriter) {
		o.Output = c.App.ErrWriter
	}
	var wanted []ortlib.Build
	for _, b := range builds {
		if c.Bool(b.flag) {
			wanted = append(wanted, b.builds...)
		}
	}
	if wanted == nil {
		wanted = []ortlib.Build{ortlib.Plain}
	}
	for _, b := range wanted {
		path, err := ortlib.Install(c.Context, b, o)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintln(c.App.Writer, path); err != nil {
			return err
		}
		if b == ortlib.GPU {
			o.Logf("NVIDIA's driver and libraries come apart from it: anomaly doctor says what is missing")
		}
	}
	return nil
}

// diagnoseApart tries a provider in a process of its own: each may need another
// build of ONNX Runtime, and one that crashes is a finding too.
func diagnoseApart(ctx context.Context, provider anrt.Provider) (anrt.Report, error) {
	self, err := os.Executable()
	if err != nil {
		return anrt.Report{}, err
	}
	var stderr bytes.Buffer
	c := exec.CommandContext(ctx, self, "doctor", "--json", "--provider", string(provider))
	c.Stderr = &stderr
	out, err := c.Output()
	var d diagnosis
	if json.Unmarshal(out, &d) == nil {
		return d.Report, nil // exit code 1 is that of a provider that cannot be used
	}
	if ctx.Err() != nil {
		return anrt.Report{}, ctx.Err()
	}
	said, _ := firstLine(stderr.String())
	return anrt.Report{Providers: []anrt.Availability{{Provider: provider, Problem: strings.TrimSpace(fmt.Sprintf("trying it ended with %v: %s", err, said))}}}, nil
}

// A diagnosis is what `anomaly doctor` finds.
type diagnosis struct {
	Tool string `json:"anomaly"` // version
	Go   string `json:"go"`      // version
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"` // that Go programs use
	machine
	anrt.Report
	Backbones []backbonePlace `json:"backbones,omitempty"`
}

// A backbonePlace is where the weights of a backbone lie.
type backbonePlace struct {
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"` // "" where they are not cached
	Problem string `json:"problem,omitempty"`
}

func (d *diagnosis) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, len("ONNX Runtime  "), 0, 2, ' ', 0)
	fmt.Fprintf(t, "anomaly\t%s, %s, %s/%s\n", d.Tool, d.Go, d.OS, d.Arch)
	fmt.Fprintf(t, "CPU\t%s, %s, %s\n", cmp.Or(d.CPU, "unknown"), plural(d.CPUs, "core"), cmp.Or(strings.Join(d.Features, ", "), "no vector instructions"))
	fmt.Fprintf(t, "memory\t%.1f GiB\n", float64(d.Memory)/(1<<30))
	fmt.Fprintf(t, "GPU\t%s\n", d.gpus())
	if d.Library != "" {
		fmt.Fprintf(t, "ONNX Runtime\t%s, %s\n", d.Version, d.Library)
	} else {
		fmt.Fprintf(t, "ONNX Runtime\tnot loaded\n")
	}
	for _, p := range d.Places {
		fmt.Fprintf(t, "  looked in\t%s: %s: %s\n", p.Source, p.Path, cmp.Or(p.Problem, "found"))
	}
	for _, b := range d.Backbones {
		name := strings.TrimSuffix(b.Name, "-pytorch-model")
		fmt.Fprintf(t, "backbone\t%s: %s\n", name, cmp.Or(b.Path, b.Problem, "not cached: anomaly doctor --install --backbones gets it"))
	}
	fmt.Fprint(t, "\nproviders\n")
	for _, a := range d.Providers {
		says, get := "usable", []string(nil)
		if a.Library != "" && a.Library != d.Library {
			says += fmt.Sprintf(" with ONNX Runtime %s, %s", a.Version, a.Library)
		}
		if !a.Usable {
			problem, _ := firstLine(a.Problem) // the places are listed above
			what, how, ok := strings.Cut(problem, ": ")
			says = "no: " + what
			switch {
			case ok && a.Missing != nil:
				get = strings.Split(how, "; ") // not wrapped, to be copied
			case ok:
				get = wrap(how, 100)
			}
		}
		fmt.Fprintf(t, "  %s\t%s\n", a.Provider, strings.Join(slices.Concat(wrap(says, 100), get), "\n\t  "))
	}
	return t.Flush()
}

// wrap breaks text between words into lines of at most width bytes.
func wrap(text string, width int) []string {
	lines := []string{""}
	for word := range strings.FieldsSeq(text) {
		switch line := &lines[len(lines)-1]; {
		case *line == "":
			*line = word
		case len(*line)+1+len(word) <= width:
			*line += " " + word
		default:
			lines = append(lines, word)
		}
	}
	return lines
}
