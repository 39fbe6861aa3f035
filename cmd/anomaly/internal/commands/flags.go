package commands

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/onnx"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// flagsFirst moves a command's flags before its positional arguments, where the
// cli package looks for them: it would take `run model.onnx images/ --provider
// cuda` for four positional arguments. "--" ends the flags.
func flagsFirst(app *cli.App, args []string) ([]string, error) {
	if len(args) < 2 {
		return args, nil
	}
	at := slices.IndexFunc(args[1:], func(a string) bool { return !strings.HasPrefix(a, "-") })
	if at < 0 {
		return args, nil
	}
	at += 2
	command := app.Command(args[at-1])
	if command == nil {
		return args, nil
	}
	if args[len(args)-1] == completes { // which the cli package looks for there
		return args, nil
	}
	flags := slices.Clone(args[:at])
	var rest []string
	for i := at; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			rest = append(rest, args[i+1:]...)
			i = len(args)
		case a == "--help" || a == "-h":
			return append(args[:at:at], "--help"), nil
		case isURL(a):
			return nil, usagef("%s is an address: anomaly reads files, download it first", a)
		case a == "-" || !strings.HasPrefix(a, "-"):
			rest = append(rest, a)
		default:
			flags = append(flags, a)
			if name, _, joined := strings.Cut(strings.TrimLeft(a, "-"), "="); joined || !takesValue(command, name) {
				continue
			}
			if i++; i == len(args) {
				return nil, usagef("flag %s needs a value", a)
			}
			if slices.Contains([]string{"data", "good", "zones", "roi", "gate", "shadow", "feedback"}, strings.TrimLeft(a, "-")) && isURL(args[i]) {
				return nil, usagef("%s: %s is an address: anomaly reads files, download it first", a, args[i])
			}
			flags = append(flags, args[i])
		}
	}
	return slices.Concat(flags, []string{"--"}, rest), nil
}

// settingFlags are the flags of settings that the packages below call otherwise.
var settingFlags = map[string]string{"learning rate": "lr", "held-back share": "val", "false-reject rate": "false-reject", "workers": "threads"}

// flagError makes what a package says of a setting, "train: learning rate: got 11, want
// …", an error of use that names the command's flag for it, if it has one.
func flagError(command *cli.Command, err error) error {
	text := err.Error()
	for stripped := true; stripped; {
		stripped = false
		for _, of := range []string{"train: ", "models: ", "residual: ", "dataset: "} {
			var cut bool
			text, cut = strings.CutPrefix(text, of)
			stripped = stripped || cut
		}
	}
	setting, rest, _ := strings.Cut(text, ":")
	setting, _, _ = strings.Cut(setting, ` "`)
	name := cmp.Or(settingFlags[setting], strings.ReplaceAll(setting, " ", "-"))
	if !slices.ContainsFunc(command.Flags, func(f cli.Flag) bool { return f.Names()[0] == name }) {
		return usagef("%s", text)
	}
	return usagef("--%s:%s", name, rest)
}

// placeholder finds the name of a flag's value in its usage.
var placeholder = regexp.MustCompile("`(.+?)`")

// refuseEmpty refuses flags whose value is empty, as an unset variable of a shell makes
// them: what they ask for is not nothing.
func refuseEmpty(c *cli.Context) error {
	for _, f := range c.Command.Flags {
		name, usage, values := f.Names()[0], "", []string(nil)
		switch f := f.(type) {
		case *cli.StringFlag:
			usage, values = f.Usage, []string{c.String(name)}
		case *cli.StringSliceFlag:
			usage, values = f.Usage, c.StringSlice(name)
		}
		if c.IsSet(name) && slices.Contains(values, "") {
			want := "a value"
			if m := placeholder.FindStringSubmatch(usage); m != nil {
				want = m[1]
			}
			return usagef("--%s: got nothing, want %s", name, want)
		}
	}
	return nil
}

// isURL reports whether an argument is the address of something that is no file here.
func isURL(arg string) bool {
	scheme, _, ok := strings.Cut(arg, "://")
	return ok && scheme != "" && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+.-") == ""
}

// takesValue reports whether a command's flag is followed by a value.
func takesValue(command *cli.Command, name string) bool {
	for _, f := range command.Flags {
		if slices.Contains(f.Names(), name) {
			_, isBool := f.(*cli.BoolFlag)
			return !isBool
		}
	}
	return false // unknown, or help: the cli package says so
}

// parse returns the one of values that a flag names.
func parse[T fmt.Stringer](c *cli.Context, flag string, values ...T) (T, error) {
	got := c.String(flag)
	i := slices.IndexFunc(values, func(v T) bool { return v.String() == got })
	if i < 0 {
		var none T
		return none, usagef("--%s: got %q, want one of %v", flag, got, values)
	}
	return values[i], nil
}

// parseEngine reads engineFlags.
func parseEngine(c *cli.Context) (o anrt.SessionOptions, err error) {
	o.Provider, o.Threads = anrt.Provider(c.String("provider")), c.Int("threads")
	if err := o.Provider.Check(); err != nil {
		return o, usagef("--provider: %s", strings.TrimPrefix(err.Error(), anrt.ErrProvider.Error()+": "))
	}
	if err := o.ProviderOptions.Set(o.Provider, c.StringSlice("provider-option")...); err != nil {
		return o, usagef("--provider-option: %s", strings.TrimPrefix(err.Error(), "runtime: "))
	}
	if o.Threads < 0 {
		return o, usagef("--threads: got %d, want 0 or more", o.Threads)
	}
	return o, nil
}

// parseDetector reads detectorFlags.
func parseDetector(c *cli.Context) (o anrt.Options, decoding *dataset.Decoding, err error) {
	if o.SessionOptions, err = parseEngine(c); err != nil {
		return o, nil, err
	}
	if decoding, err = parseDecoding(c); err != nil {
		return o, nil, err
	}
	return o, decoding, parseForeign(c, &o)
}

// parseDecoding reads decodingFlags.
func parseDecoding(c *cli.Context) (*dataset.Decoding, error) {
	d := &dataset.Decoding{
		MaxPixels: c.Int("max-pixels"), Background: dataset.Background(c.String("background")), Levels: c.Int("levels"), Notes: &dataset.Notes{},
	}
	if d.MaxPixels < 1 && c.IsSet("max-pixels") {
		return nil, usagef("--max-pixels: got %d, want 1 or more", d.MaxPixels)
	}
	if err := d.Validate(); err != nil {
		return nil, flagError(c.Command, err)
	}
	return d, nil
}

// noteImages says what was chosen or passed over when images were found and read.
func (c *console) noteImages(d *dataset.Decoding) {
	if d == nil {
		return
	}
	for _, line := range d.Notes.Lines() {
		c.notef("%s", printable(line))
	}
}

// noteFresh says of it what has not been said by noteFresh before.
func (c *console) noteFresh(d *dataset.Decoding) {
	if d == nil {
		return
	}
	for _, line := range d.Notes.Fresh() {
		c.notef("%s", printable(line))
	}
}

// noteTrained says where images are read otherwise than those that a model was
// trained on.
func (c *console) noteTrained(metadata map[string]string, d *dataset.Decoding) {
	if d == nil {
		d = &dataset.Decoding{}
	}
	var trained struct {
		Background dataset.Background `json:"background"`
		Levels     int                `json:"levels"`
	}
	if err := json.Unmarshal([]byte(metadata[onnx.KeyConfig]), &trained); err != nil {
		return // another tool's, or older
	}
	levels := func(n int) string {
		switch {
		case n == 0:
			return "what files say"
		case n <= 32: // bits
			n = 1 << n
		}
		return fmt.Sprint(n)
	}
	if got, want := levels(d.Levels), levels(trained.Levels); got != want {
		c.notef("--levels: images are read with %s, the model was trained with %s", got, want)
	}
	if got, want := cmp.Or(d.Background, dataset.Black), cmp.Or(trained.Background, dataset.Black); got != want {
		c.notef("--background: images are read with %s, the model was trained with %s", got, want)
	}
}

// Flags that several commands share.
var (
	providerFlag       = &cli.StringFlag{Name: "provider", Value: "auto", Usage: "`ENGINE` that computes: go, cpu, cuda, …; auto is go for models that are estimated to be clearly faster on it, else cpu where ONNX Runtime is found; a list such as cuda,cpu takes the first that works"}
	providerOptionFlag = &cli.StringSliceFlag{Name: "provider-option", Usage: "`KEY=VALUE` of the provider, as ONNX Runtime names it: device_id=1; cuda.device_id=1 where --provider is a list; may be repeated, a wrong key lists those there are"}
	threadsFlag        = &cli.IntFlag{Name: "threads", Usage: "`N` threads of the provider", DefaultText: "one per core"}
	maxPixelsFlag      = &cli.IntFlag{Name: "max-pixels", Usage: "refuse images of more than `N` pixels, before memory is taken for them", DefaultText: "as many as decode in 1 GiB"}
	backgroundFlag     = &cli.StringFlag{Name: "background", Usage: "`COLOUR` that transparent pixels lie over: black, white, or ignore for the colours that they have", Value: string(dataset.Black)}
	levelsFlag         = &cli.IntFlag{Name: "levels", Usage: "`N` grey levels that images of more than 8 bits have, or how many bits: 4096 and 12 are a camera of 12 bits", DefaultText: "what the file says"}
	goodFlag           = &cli.StringFlag{Name: "good", Usage: "`PATH` of good images, instead of --data"}
	anomalousFlag      = &cli.StringSliceFlag{Name: "anomalous", Usage: "`NAME=PATH` of images with one kind of anomaly; may be repeated"}
	jsonFlag           = &cli.BoolFlag{Name: "json", Usage: "print JSON to standard output", DisableDefaultText: true}
)

// engineFlags say what computes.
var engineFlags = []cli.Flag{providerFlag, providerOptionFlag, threadsFlag}

// decodingFlags say how files become pixels.
var decodingFlags = []cli.Flag{maxPixelsFlag, backgroundFlag, levelsFlag}

// detectorFlags say how models are opened, and which images they are given.
var detectorFlags = slices.Concat(foreignFlags, engineFlags, decodingFlags)
