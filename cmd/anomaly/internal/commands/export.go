package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write a model in another form, without training",
		ArgsUsage: "model.onnx",
		Description: `The model is a file that anomaly wrote. Its network and weights, and what its
metadata says of their training, go into the new file; what no flag names stays as it
is. The file is the one that training would have exported in that form, byte for
byte.

Profile anomalib is for anomalib 2.x: its OpenVINOInferencer takes the file and gives
what run gives, for images of any size (the file resizes them itself) and in its own
terms: scores and maps in [0,1], 0.5 being the threshold, which the model must have.
Labels are the same, and so is the order of scores. An export in another profile
takes it back, with --input uint8 where nothing else is said.

Thresholds are about one map. With another --map, --blur, --aegrad or --passes they go, and so do the
review band and the scores of good images in the metadata; profile reconstruction has
none. --threshold gives one, anomaly calibrate finds one from images; the review band
does not outlive the threshold it was about. A model that was FILE is kept beside it, as
anomaly deploy keeps one.

--precision int8 has the network's convolutions computed in 8 bits, --precision fp16 all
of the network in float16, for GPUs; the map, the normality model of features, blur and
score stay in float32, which they need. The ranges of values are found on half of the
training images of --data (at most 64); on others, good and with artificial defects,
and on the test images of a data set, scores are compared with those of float32, and what
that shows is printed and kept in the metadata (anomaly.precision.loss). Thresholds,
and what the metadata say of scores, become those that as many good images are above.
What costs more than .02 of an AUROC, or changes more than 5 % of the verdicts, is refused
unless --force is given. A file in less than float32 can be exported in other
forms of its precision. There is no bf16, and the error says why.

--triton DIR writes DIR/NAME/VERSION/model.onnx, NAME being the model's and VERSION
the next that is free, and DIR/NAME/config.pbtxt: Triton and KServe serve the folder
as it is, and so does anomaly serve.`,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "profile", Usage: "`PROFILE`: detector, reconstruction or anomalib", DefaultText: "the model's"},
			&cli.StringFlag{Name: "input", Usage: "`TYPE` of the input: uint8 (NHWC) or float (NCHW in [0,1])", DefaultText: "the model's"},
			&cli.StringFlag{Name: "map", Usage: "`KIND` of anomaly map: " + mapKinds(), DefaultText: "the model's"},
			&cli.Float64Flag{Name: "blur", Usage: "`PIXELS` (standard deviation) by which the map is smoothed", DefaultText: "the model's"},
			&cli.IntFlag{Name: "aegrad", Usage: "move the image `N` times down the gradient of its reconstruction's error (25, say), and map what that changes; 0 maps the reconstruction", DefaultText: "the model's"},
			&cli.IntFlag{Name: "passes", Usage: "take the image `N` times through a unet, each time what came of it before", DefaultText: "the model's"},
			&cli.Float64Flag{Name: "threshold", Usage: "`SCORE` above which an image, and residual above which a pixel, is anomalous", DefaultText: "the model's"},
			&cli.StringFlag{Name: "precision", Usage: "`PRECISION` of the network: float32, fp16 or int8", DefaultText: "the model's"},
			&cli.StringFlag{Name: "data", Usage: "with --precision: `DIR` of the training images"},
			&cli.BoolFlag{Name: "force", Usage: "with --precision: write the file whatever is lost", DisableDefaultText: true},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` to write to (this or --triton is required)"},
			&cli.StringFlag{Name: "triton", Usage: "`DIR` of models for Triton to write to"},
		}, slices.Concat(engineFlags, decodingFlags)...),
		Action: exportAction,
	}
}

// exportOptions are the arguments and flags of `anomaly export`; nil and "" are
// the model's.
type exportOptions struct {
	model, out string
	triton     string // folder to write to in the place of out; "" for none
	profile    onnxexport.Profile
	input      onnxexport.InputKind
	mapKind    residual.Kind
	aegrad     *int
	passes     *int
	blur       *float64
	threshold  *float32

	precision onnxexport.Precision // "" is the model's
	data      string               // images for it
	force     bool
	engine    anrt.SessionOptions // that compares precisions
	decoding  *dataset.Decoding
}

func exportAction(c *cli.Context) error {
	switch {
	case c.NArg() != 1:
		return usagef("export takes one model, got %q", c.Args().Slice())
	case c.String("out") == "" && c.String("triton") == "":
		return usagef("--out is missing: a file to write to (or --triton, a folder of models)")
	case c.String("out") != "" && c.String("triton") != "":
		return usagef("--out and --triton do not go together")
	}
	if err := checkModel("export", c.Args().First()); err != nil {
		return err
	}
	o := &exportOptions{
		model: c.Args().First(), out: c.String("out"), triton: c.String("triton"),
		precision: onnxexport.Precision(c.String("precision")), data: c.String("data"), force: c.Bool("force"),
	}
	var err error
	if o.engine, err = parseEngine(c); err != nil {
		return err
	}
	if o.decoding, err = parseDecoding(c); err != nil {
		return err
	}
	if err := o.checkPrecision(); err != nil {
		return err
	}
	if c.IsSet("profile") {
		if o.profile, err = parse(c, "profile", onnxexport.Profiles()...); err != nil {
			return err
		}
	}
	if c.IsSet("input") {
		if o.input, err = parse(c, "input", onnxexport.Uint8NHWC, onnxexport.FloatNCHW); err != nil {
			return err
		}
	}
	if c.IsSet("map") {
		o.mapKind = residual.Kind(c.String("map"))
	}
	if c.IsSet("aegrad") {
		n := c.Int("aegrad")
		o.aegrad = &n
	}
	if c.IsSet("passes") {
		if o.passes = new(c.Int("passes")); *o.passes < 1 {
			return usagef("--passes: got %d, want 1 or more", *o.passes)
		}
	}
	if c.IsSet("blur") {
		blur := c.Float64("blur")
		o.blur = &blur
	}
	if c.IsSet("threshold") {
		t := c.Float64("threshold")
		if !(math.Abs(t) <= math.MaxFloat32) {
			return usagef("--threshold: got %v, want a finite number", t)
		}
		t32 := float32(t)
		o.threshold = &t32
	}
	of := residual.Options{Kind: o.mapKind}
	if o.blur != nil {
		of.Blur = *o.blur
	}
	if err := of.Validate(); err != nil {
		return flagError(c.Command, err)
	}
	return newConsole(c).export(c.Context, o)
}

// export is `anomaly export`.
func (c *console) export(ctx context.Context, o *exportOptions) error {
	b, err := regular.Read(o.model)
	if err != nil {
		return err
	}
	m, err := onnxexport.Reopen(b)
	if d := foreign(o.model); err != nil && d != nil {
		return fmt.Errorf("%s was not exported by anomaly (%s): only networks that anomaly trained can be built anew; run, eval and calibrate take this one as it is", o.model, cmp.Or(d.Producer, "it does not say by what"))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.model, err)
	}
	n, err := o.rebuild(m, c.notef)
	if err != nil {
		return fmt.Errorf("%s: %w", o.model, err)
	}
	lines, err := c.reduce(ctx, o, m, n)
	if err != nil {
		return fmt.Errorf("%s: %w", o.model, err)
	}
	if err := selfTested(n); err != nil {
		return err
	}
	if o.triton != "" {
		if o.out, err = tritonVersion(o.triton, o.model); err != nil {
			return err
		}
	}
	if err := replaceable(o.out); err != nil {
		return err
	}
	release, err := atomicfile.Lock(o.out)
	if err != nil {
		return err
	}
	defer release()
	if err := c.writeModel(o.out, n); err != nil {
		return err
	}
	if o.triton != "" {
		config, err := writeTriton(o.out)
		if err != nil {
			return err
		}
		c.notef("wrote %s", config)
	}
	made, err := n.Options()
	if err != nil {
		return err
	}
	line := fmt.Sprintf("%s  profile %v", o.out, made.Profile)
	if made.Profile != onnxexport.Anomalib {
		line += fmt.Sprintf("  input %v", made.Input)
	}
	if made.Profile.Judges() {
		threshold, _, err := n.Thresholds()
		if err != nil {
			return err
		}
		line += fmt.Sprintf("  map %s, blur %.4g  threshold ", made.Map.Kind, made.Map.Blur)
		if t := finite(threshold); t != nil {
			line += page.Short(*t)
		} else {
			line += "none"
		}
	}
	if p := n.Precision(); p != onnxexport.Float32 {
		line += fmt.Sprintf("  precision %s", p)
	}
	_, err = fmt.Fprintln(c.out, strings.Join(append([]string{line}, lines...), "\n"))
	return err
}

// rebuild makes the model that o asks for of another. It says what is lost on the way.
func (o *exportOptions) rebuild(m *onnxexport.Model, notef func(string, ...any)) (*onnxexport.Model, error) {
	is, err := m.Options()
	if err != nil {
		return nil, err
	}
	net, weights, err := m.Network()
	if err != nil {
		return nil, err
	}
	var settings train.Settings
	if stored := m.Metadata[onnx.KeySettings]; json.Unmarshal([]byte(stored), &settings) != nil {
		return nil, fmt.Errorf("metadata %s: got %q, want settings as JSON", onnx.KeySettings, stored)
	}
	judges := is.Profile.Judges()
	otherMap := false // than that of the thresholds
	if !judges {      // the map that training was asked for
		is.Map = net.Recipe().Map
		if settings.Map != nil {
			is.Map = *settings.Map
		}
	}
	want := *is
	if o.aegrad != nil || o.passes != nil {
		spec := net.Spec()
		if o.passes != nil {
			spec.Passes = *o.passes
		}
		moved := o.aegrad != nil && *o.aegrad > 0
		if o.aegrad != nil {
			spec.AEGrad, spec.AEGradStop = *o.aegrad, 0
		}
		if moved {
			normal := onnx.ReadNormal(m.Metadata)
			spec.AEGradStop, _ = normal.At(normal.Error, stopLevel)
		}
		if net, err = models.Open(spec, &models.Resources{Weights: weights}); err != nil {
			return nil, flagError(exportCommand(), err)
		}
		if moved && spec.AEGradStop == 0 {
			notef("the file does not say what errors its training images have: every image is moved %d times", spec.AEGrad)
		}
		b, err := json.Marshal(net.Spec())
		if err != nil {
			return nil, err
		}
		model := onnx.Bare(onnx.KeyModel)
		otherMap = want.Metadata[model] != string(b)
		want.Metadata[model] = string(b)
	}
	if o.profile != "" {
		want.Profile = o.profile
	}
	if want.Profile == onnxexport.Anomalib {
		if o.input != "" {
			return nil, usagef("--input: profile %v has its own", onnxexport.Anomalib)
		}
		want.Input = ""
	}
	if o.input != "" {
		want.Input = o.input
	}
	if o.mapKind != "" {
		want.Map.Kind = o.mapKind
	}
	if o.blur != nil {
		want.Map.Blur = *o.blur
	}
	if want.Profile == onnxexport.Reconstruction {
		if o.mapKind != "" || o.blur != nil || o.threshold != nil {
			return nil, usagef("--map, --blur and --threshold are of profiles %v and %v", onnxexport.Detector, onnxexport.Anomalib)
		}
		forgetThreshold(want.Metadata)
		want.Map = residual.Options{}
		return onnxexport.Build(net, weights, &want)
	}

	image, pixel := float32(math.NaN()), float32(math.NaN())
	var trained *float32 // the threshold that training set for this map
	otherMap = otherMap || want.Map != is.Map
	switch {
	case o.threshold != nil:
		if judges && !otherMap {
			if trained, err = trainedThreshold(m); err != nil {
				return nil, err
			}
		}
		image, pixel = *o.threshold, *o.threshold
	case judges && !otherMap:
		if image, pixel, err = m.Thresholds(); err != nil {
			return nil, err
		}
	case want.Profile == onnxexport.Anomalib: // is an error
	case judges:
		notef("warning: the threshold was that of another map and is gone: --threshold gives one, anomaly calibrate finds one")
	default:
		notef("warning: profile %v has no threshold to take over: --threshold gives one, anomaly calibrate finds one", is.Profile)
	}
	if want.Profile == onnxexport.Anomalib {
		if finite(image) == nil {
			return nil, fmt.Errorf("profile %v shows scores by their threshold, of which there is none for this map: --threshold gives one, anomaly calibrate finds one for profile %v", onnxexport.Anomalib, onnxexport.Detector)
		}
		if image == 0 {
			return nil, fmt.Errorf("profile %v: threshold: got 0, want another: nearly every score is above it", onnxexport.Anomalib)
		}
		if finite(pixel) == nil {
			pixel = image
		}
		want.Threshold, want.PixelThreshold = image, pixel
	}
	if otherMap || o.threshold != nil {
		forgetThreshold(want.Metadata)
	}
	if otherMap {
		if err := forgetScores(m, want.Metadata); err != nil {
			return nil, err
		}
	}
	n, err := onnxexport.Build(net, weights, &want)
	if err != nil {
		return nil, err
	}
	if o.threshold != nil {
		if err := judge.Given(image, trained).Store(n.Metadata); err != nil {
			return nil, err
		}
	}
	return n, n.SetThresholds(image, pixel)
}

// forgetThreshold removes from metadata what is about a threshold that goes.
func forgetThreshold(metadata map[string]string) {
	for _, key := range []string{onnx.KeyReview, onnx.KeyCalibration} {
		delete(metadata, onnx.Bare(key))
	}
}

// stopLevel is the level of the quantile of training images' errors at which
// AE-Grad lets an image be: of the smallest one, which the paper takes, a single
// image would decide.
const stopLevel = .05

// forgetScores removes the scores of good images and of artificial defects of a model from
// metadata that is to describe another map.
func forgetScores(m *onnxexport.Model, metadata map[string]string) error {
	for _, key := range []string{onnx.KeyNormalMin, onnx.KeyNormalMax, onnx.KeyNormalCount, onnx.KeyPseudoScores, onnx.KeyPseudoAUROC} {
		delete(metadata, onnx.Bare(key))
	}
	stored, there := m.Metadata[onnx.KeyNormal]
	if !there {
		return nil
	}
	normal := onnx.ReadNormal(m.Metadata)
	if normal.Levels == nil {
		return fmt.Errorf("metadata %s: got %q, want quantiles at levels", onnx.KeyNormal, stored)
	}
	normal.Score = nil
	b, err := json.Marshal(normal)
	metadata[onnx.Bare(onnx.KeyNormal)] = string(b)
	return err
}
