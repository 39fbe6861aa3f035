package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/calibrate"
	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/onnx"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/onnxexport"
	"github.com/anomaly-go/anomaly/residual"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

func trainCommand() *cli.Command {
	return &cli.Command{
		Name:      "train",
		Usage:     "train on images of good parts and export to ONNX",
		ArgsUsage: " ",
		Description: `DIR is a folder of images, a data set in MVTec AD's or VisA's layout (its training
images are used), a folder with MNIST's idx files, or an .npy or idx file.

The state of a network that learns by epochs is kept in FILE.ckpt after every epoch
and when interrupted; --resume goes on from it, however the run ended, and is an error
without one. Without --resume, one that is there is an error: it would be lost. It is
removed when the model is written. Features are fitted in minutes and keep none: when
interrupted they begin anew. A model that was FILE is kept beside it: anomaly versions
lists those, anomaly rollback goes back.
FILE.log.jsonl gets a line for each epoch (see also anomaly train-report), and
FILE.config.json what was used: with --config it gives the same weights again.

With --feedback, what people marked as false alarms of the model is learned as good,
and training images that are, byte for byte, what they marked as misses are left out.

Standard output has a line and the verdict; with --json one object: {"model": FILE,
"threshold": 0.7, "loss": 0.05, "seconds": 93, "verdict": {…}}. loss is null of
features, which are fitted in closed form, threshold where the profile has none.

` + verdictHelp,
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", Usage: "`DIR` with images of good parts (required)"},
			&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "`FILE` to write the model to", Value: "model.onnx"},
			&cli.StringFlag{Name: "model", Usage: "`NAME` of the network: auto (features; if their backbone is not cached, unet; if a flag of a network that is trained is given, " + models.Names()[0] + "), " + strings.Join(models.Names(), ", "), Value: train.Auto},
			&cli.StringFlag{Name: "preset", Usage: "`NAME` of how long features and unet may take: " + join(train.Presets()), Value: string(train.Default)},
			&cli.StringFlag{Name: "size", Usage: "`PIXELS` on each side of the network's image (with features, of a square as large as it, in the images' aspect), or WIDTHxHEIGHT", DefaultText: "the network's, in the images' aspect"},
			&cli.StringFlag{Name: "backbone", Usage: "`NAME` of the pretrained network of features: " + join(models.EfficientNets()) + ", or an ONNX file that has one", DefaultText: networks},
			&cli.IntFlag{Name: "scales", Usage: "`N` sizes of the image that features look at, each two thirds of the one before", DefaultText: "the preset's"},
			&cli.IntFlag{Name: "rank", Usage: "`N` directions of each place's covariance that features model; -1 is one covariance for all places", DefaultText: "by the number of images"},
			&cli.IntFlag{Name: "channels", Usage: "`N` channels of the image: 3 for colour, 1 for grey", Value: 3},
			&cli.IntFlag{Name: "filters", Usage: "`N` channels of the hidden layers", DefaultText: networks},
			&cli.IntFlag{Name: "depth", Usage: "halve the image `N` times", DefaultText: networks},
			&cli.IntFlag{Name: "passes", Usage: "`N` times that an image goes through unet, each time what came of it before: more of large defects is made good", DefaultText: "the preset's"},
			&cli.IntFlag{Name: "latent", Usage: "`N` numbers that an image goes through in ssimae", DefaultText: "100"},
			&cli.StringFlag{Name: "loss", Usage: "`LOSS` to minimise: mse, l1, ssim or a weighted sum such as ssim+mse:0.1", DefaultText: networks},
			&cli.StringFlag{Name: "corruption", Usage: "`KIND` of defects put on the images that the network is shown: structured, none", DefaultText: networks},
			&cli.StringFlag{Name: "augment", Usage: "`HOW` images are changed before: auto (as the training images allow) or none", DefaultText: "auto with a corruption"},
			&cli.IntFlag{Name: "epochs", Usage: "`N` passes over the images", DefaultText: networks},
			&cli.IntFlag{Name: "batch", Usage: "`N` images a step", DefaultText: networks},
			&cli.Float64Flag{Name: "lr", Usage: "learning `RATE` at its peak", DefaultText: networks},
			&cli.StringFlag{Name: "optimizer", Usage: "`NAME` of the optimiser: " + join(train.Optimizers()), DefaultText: networks},
			&cli.Float64Flag{Name: "weight-decay", Usage: "decoupled weight `DECAY` of adamw and sgd", DefaultText: "0.01 with adamw, else 0"},
			&cli.Float64Flag{Name: "momentum", Usage: "`MOMENTUM` of sgd", DefaultText: "0.9"},
			&cli.StringFlag{Name: "schedule", Usage: "`NAME` of the learning rate's schedule: " + join(train.Schedules()), DefaultText: networks},
			&cli.Float64Flag{Name: "clip", Usage: "largest `NORM` of the gradients together; 0 is any", DefaultText: "1 of unet, else any"},
			&cli.Float64Flag{Name: "ema", Usage: "export an average of the weights of this `DECAY`, such as 0.999", DefaultText: "none"},
			&cli.IntFlag{Name: "patience", Usage: "stop after `N` epochs without a lower loss of the held-back images, keep the best weights", DefaultText: "never"},
			&cli.Uint64Flag{Name: "seed", Usage: "`N` that all that is random depends on", Value: 1},
			&cli.Float64Flag{Name: "val", Usage: "`SHARE` of images held back to set the threshold from", Value: 0.1},
			&cli.StringFlag{Name: "map", Usage: "`KIND` of anomaly map of the exported model: " + mapKinds(), DefaultText: networks},
			&cli.Float64Flag{Name: "blur", Usage: "`PIXELS` (standard deviation) by which the map is smoothed", DefaultText: networks},
			&cli.Float64Flag{Name: "false-reject", Usage: "`SHARE` of good images that the threshold may reject", Value: calibrate.DefaultFalseReject},
			&cli.StringFlag{Name: "threshold-rule", Usage: "`RULE` of the threshold: rate (for --false-reject) or max (largest score of a good image)", Value: "rate"},
			&cli.StringFlag{Name: "profile", Usage: "`PROFILE` of the exported model: detector, reconstruction or anomalib (see export)", Value: "detector"},
			&cli.StringFlag{Name: "input", Usage: "`TYPE` of the exported model's input: uint8 (NHWC) or float (NCHW in [0,1])", Value: "uint8"},
			&cli.StringFlag{Name: "config", Usage: "JSON `FILE` with flags by name; those given beside it come first"},
			&cli.StringFlag{Name: "report", Usage: "`PAGE.html` to write: the verdict, settings and, of networks that learn by epochs, curves and reconstructions"},
			&cli.StringFlag{Name: "suspects", Usage: "`DIR` for pictures of the training images that may have a defect (small networks find them, whatever the other flags say)"},
			&cli.BoolFlag{Name: "drop-suspects", Usage: "train without the images that may have a defect", DisableDefaultText: true},
			&cli.BoolFlag{Name: "resume", Usage: "go on from the checkpoint", DisableDefaultText: true},
			strictFlag, jsonFlag,
			providerFlag, providerOptionFlag, threadsFlag, maxPixelsFlag, backgroundFlag, levelsFlag,
		}, slices.Concat(viewFlags, backboneFlags, feedbackFlags)...),
		Action: trainAction,
	}
}

func trainAction(c *cli.Context) error {
	if c.IsSet("config") {
		if err := readConfig(c, c.String("config")); err != nil {
			return err
		}
	}
	switch {
	case c.Args().Present():
		return usagef("train takes no arguments but flags, got %q; --data names the images", c.Args().Slice())
	case c.String("data") == "":
		return usagef("--data is missing: a folder with images of good parts")
	case c.Uint64("seed") == 0:
		return usagef("--seed: got 0, want 1 or more")
	}
	// To the packages below a zero is the default.
	for _, name := range []string{"filters", "depth", "latent", "passes", "epochs", "batch", "scales"} {
		if n := c.Int(name); n < 1 && c.IsSet(name) {
			return usagef("--%s: got %d, want 1 or more", name, n)
		}
	}
	for _, name := range []string{"lr", "val", "false-reject"} {
		if x := c.Float64(name); !(x > 0) && c.IsSet(name) {
			return usagef("--%s: got %v, want more than 0", name, x)
		}
	}
	o := &trainOptions{
		data: c.String("data"), out: c.String("out"), page: c.String("report"),
		suspects: c.String("suspects"), drop: c.Bool("drop-suspects"), strict: c.Bool("strict"), json: c.Bool("json"),
		mapKind: residual.Kind(c.String("map")), blur: given(c, "blur"),
		preset: train.Preset(c.String("preset")), size: c.String("size"),
		spec: models.Spec{
			Model: c.String("model"), Backbone: c.String("backbone"), Scales: c.Int("scales"), Rank: c.Int("rank"), Channels: c.Int("channels"),
			Filters: c.Int("filters"), Depth: c.Int("depth"), Latent: c.Int("latent"), Passes: c.Int("passes"),
		},
		providerOptions: c.StringSlice("provider-option"),
		settings: train.Settings{
			Loss: c.String("loss"), Corruption: train.Corruption(c.String("corruption")), Augment: train.Augment(c.String("augment")), Epochs: c.Int("epochs"), Batch: c.Int("batch"), LearningRate: c.Float64("lr"),
			Seed: c.Uint64("seed"), Val: c.Float64("val"), FalseReject: c.Float64("false-reject"),
			ThresholdRule: calibrate.Rule(c.String("threshold-rule")),
			Optimizer:     train.Optimizer(c.String("optimizer")), WeightDecay: given(c, "weight-decay"), Momentum: given(c, "momentum"),
			Schedule: train.Schedule(c.String("schedule")), Clip: given(c, "clip"), EMA: c.Float64("ema"), Patience: c.Int("patience"),
			Resume: c.Bool("resume"),
		},
	}
	var err error
	if o.feedback, err = parseFeedback(c, o.out); err != nil {
		return err
	}
	if err := setSides(&o.spec, o.size); err != nil {
		return err
	}
	file, err := parseBackbone(c)
	if err != nil {
		return err
	}
	if o.backbone = file; file != nil {
		if o.spec, err = file.opened.Spec(o.spec); err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
	}
	if o.spec.Model == train.Auto && slices.ContainsFunc(trainedFlags, c.IsSet) {
		o.spec.Model = models.Names()[0]
	}
	if _, err := parse(c, "preset", train.Presets()...); err != nil {
		return err
	}
	if err := o.setView(c); err != nil {
		return err
	}
	engine, err := parseEngine(c)
	if err != nil {
		return err
	}
	o.settings.Provider, o.settings.ProviderOptions, o.settings.Workers = engine.Provider, engine.ProviderOptions, engine.Threads
	if o.decoding, err = parseDecoding(c); err != nil {
		return err
	}
	if o.export.Profile, err = parse(c, "profile", onnxexport.Profiles()...); err != nil {
		return err
	}
	if o.export.Input, err = parse(c, "input", onnxexport.Uint8NHWC, onnxexport.FloatNCHW); err != nil {
		return err
	}
	if o.export.Profile == onnxexport.Anomalib {
		if o.export.Input != onnxexport.Uint8NHWC {
			return usagef("--input: profile %v has its own", onnxexport.Anomalib)
		}
		o.export.Input = ""
	}
	return newConsole(c).train(c.Context, o)
}

// trainedFlags are of networks that learn by gradient descent, or of
// reconstructions: --model auto takes one where they are given.
var trainedFlags = []string{
	"filters", "depth", "passes", "loss", "corruption", "augment", "epochs", "batch", "lr", "optimizer", "weight-decay", "momentum", "schedule", "clip", "ema", "patience",
	"map", "resume",
}

// featureFlags are of the network features alone.
var featureFlags = []string{"backbone", "tap", "backbone-mean", "backbone-std", "scales", "rank"}

// What the names of a run's files end in, behind the model's.
const (
	checkpointSuffix = ".ckpt"
	suspectsSuffix   = ".suspects" + checkpointSuffix
)

// networks is the default of flags that each network has its own of.
const networks = "the network's"

// given returns the value of a flag, nil where it is not set.
func given(c *cli.Context, name string) *float64 {
	if !c.IsSet(name) {
		return nil
	}
	return new(c.Float64(name))
}

// mapKinds lists the kinds of anomaly maps.
func mapKinds() string {
	return join(append(residual.Kinds(), residual.NetworkMap)) + " or a sum such as ssim+msgms"
}

func join[T ~string](names []T) string {
	var s []string
	for _, n := range names {
		s = append(s, string(n))
	}
	return strings.Join(s, ", ")
}

// trainOptions are the flags of `anomaly train`.
type trainOptions struct {
	data, out       string
	page            string // "" writes none
	suspects        string // folder; "" writes none
	drop            bool   // the suspects
	strict, json    bool
	providerOptions []string // as the command line has them
	preset          train.Preset
	size            string // as the flag has it, "" for none
	feedback        feedbackOptions
	roi             string        // file of the region of interest; "" for none
	spec            models.Spec   // before open, as the flags have it
	backbone        *backboneFile // nil is none
	why             string        // it was chosen; "" where the flags say which
	net             models.Network
	mapKind         residual.Kind // "" is the network's
	blur            *float64      // nil is the network's
	settings        train.Settings
	export          onnxexport.Options
	decoding        *dataset.Decoding
	width, height   int // of the usual image
}

// train is `anomaly train`.
func (c *console) train(ctx context.Context, o *trainOptions) error {
	s := &o.settings
	s.Checkpoint, s.Log = o.out+checkpointSuffix, o.out+page.LogSuffix
	checkpoints := []string{s.Checkpoint, o.out + suspectsSuffix}
	s.Machine = computer(ctx, s.Provider)
	s.Logf = c.logf
	s.Progress = c.trainProgress()
	// Everything that can be wrong is said before images are read and an hour of training.
	asked := o.spec
	if err := o.open(anyImages, 1, 1); err != nil {
		return err
	}
	for _, path := range append([]string{o.out, o.page}, checkpoints...) {
		if path == "" {
			continue
		}
		if err := atomicfile.Writable(path); err != nil {
			return err
		}
	}
	if o.suspects != "" {
		if err := atomicfile.WritableIn(o.suspects); err != nil {
			return fmt.Errorf("--suspects: %w", err)
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
	// A run that was killed may have left these behind.
	for _, path := range append(checkpoints, o.out, s.Log, o.out+page.ConfigSuffix) {
		if err := atomicfile.Clean(path); err != nil {
			return err
		}
	}
	switch at := slices.IndexFunc(checkpoints, isThere); {
	case s.Resume && at < 0:
		return fmt.Errorf("--resume: there is no checkpoint %s to go on from: leave it out to begin", s.Checkpoint)
	case !s.Resume && at >= 0:
		return fmt.Errorf("%s has what a run that has not ended came to: --resume goes on from it; remove it to begin anew, or choose another --out", checkpoints[at])
	}
	set, err := dataset.Open(o.data, &dataset.Options{Decoding: o.decoding})
	if err != nil {
		return err
	}
	if o.feedback.dir != "" {
		if set.Train, err = c.heed(ctx, set.Train, o); err != nil {
			return err
		}
	}
	switch len(set.Train) {
	case 0:
		return fmt.Errorf("%s has no training images", o.data)
	case 1:
		return fmt.Errorf("%s has one training image, want two or more", o.data)
	}
	o.width, o.height = usualSize(ctx, set.Train)
	if err := o.fits(ctx, set.Train); err != nil {
		return err
	}
	o.spec = asked
	if err := o.open(len(set.Train), o.width, o.height); err != nil {
		return err
	}
	if o.why != "" {
		c.notef("%s", o.why)
	}
	if o.backbone != nil {
		c.notef("%v", o.backbone)
	}
	if strings.HasPrefix(o.why, train.ErrBackbone.Error()) {
		c.notef("%s", getBackbone)
	}
	if _, fitted := o.net.(models.Fitter); fitted && len(set.Train) > mostFeatureImages && !o.tiled() {
		n := len(set.Train)
		// An even share says the same, and fits into memory.
		c.notef("%d of the %d images are taken, evenly: features need no more", mostFeatureImages, n)
		for i := range mostFeatureImages {
			set.Train[i] = set.Train[i*n/mostFeatureImages]
		}
		set.Train = set.Train[:mostFeatureImages]
	}
	started := time.Now()
	data, err := o.load(ctx, set.Train)
	if err != nil {
		return err
	}
	c.noteImages(o.decoding)
	if data.Hash, err = dataset.Fingerprint(set.Train); err != nil {
		return err
	}
	for i := range set.Train {
		data.Names = append(data.Names, set.Train[i].Name)
	}
	tiles := ""
	if o.tiled() {
		tiles = fmt.Sprintf(", %s of them", plural(len(data.Of), "tile"))
	}
	c.notef("%s of %s%s read in %v", plural(len(set.Train), "image"), set.Name, tiles, time.Since(started).Round(time.Millisecond))

	c.noteProvider(s.Provider)
	if o.suspects != "" || o.drop {
		if data, err = c.findSuspects(ctx, o, set.Train, data); err != nil {
			return err
		}
	}
	var sample *sampler
	if _, fitted := o.net.(models.Fitter); o.page != "" && !fitted {
		sample = newSampler(o, data)
		show := s.Progress
		s.Progress = func(p train.Progress) {
			show(p)
			sample.epoch(ctx, p)
		}
	}
	s.Resume = s.Resume && isThere(s.Checkpoint) // or it was ended while it looked for suspects
	result, err := train.Fit(ctx, o.net, data, s)
	c.clear()
	if err != nil {
		return err
	}
	o.settings = result.Settings
	if o.export.Profile.Judges() {
		if err := reachable(result.Calibration.Threshold, string(o.settings.Map.Kind), len(result.Calibration.Scores)); err != nil {
			return fmt.Errorf("%w; --resume goes on from %s, without training anew", err, s.Checkpoint)
		}
	}

	appraisal, err := c.exportTrained(o, result)
	if err != nil {
		return err
	}
	switch {
	case sample != nil:
		if err := sample.end(); err != nil {
			return err
		}
	case o.page != "":
		if err := page.WriteFitted(o.page, o.out, fmt.Sprintf("%s, provider %s", s.Machine, result.Provider), time.Since(started).Seconds()); err != nil {
			return err
		}
	}
	for _, path := range checkpoints {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	done := &trainedModel{Model: o.out, Seconds: time.Since(started).Seconds(), Appraisal: appraisal}
	if o.export.Profile.Judges() {
		done.Threshold = &result.Calibration.Threshold
	}
	if result.Epoch > 0 {
		done.Loss = &result.History[result.Epoch-1].Loss
	}
	if o.json {
		err = json.NewEncoder(c.out).Encode(done)
	} else {
		err = done.print(c.out, o.export.Profile)
	}
	return cmp.Or(err, strictly(o.strict, appraisal))
}

// heed adds the false alarms of feedback to training images, and takes away those that
// were missed.
func (c *console) heed(ctx context.Context, images []dataset.Sample, o *trainOptions) ([]dataset.Sample, error) {
	m, err := c.marked(ctx, o.feedback, o.decoding)
	if err != nil {
		return nil, err
	}
	others, err := m.others(images)
	if err != nil {
		return nil, err
	}
	c.notef("feedback on %s: %s, which it learns as good, %s; %d of the %s in %s were marked and do not count as they are there",
		o.feedback.model, plural(len(m.falseAlarms), "false alarm"), plural(len(m.misses), "missed image"), len(images)-len(others), plural(len(images), "training image"), o.data)
	return slices.Concat(others, m.falseAlarms), nil
}

// A trainedModel is what `anomaly train` prints.
type trainedModel struct {
	Model     string           `json:"model"`
	Threshold *float32         `json:"threshold"` // nil: none in the profile
	Loss      *float64         `json:"loss"`      // nil of networks that are fitted in closed form
	Seconds   float64          `json:"seconds"`
	Appraisal *judge.Appraisal `json:"verdict"`
}

func (m *trainedModel) print(w io.Writer, profile onnxexport.Profile) error {
	threshold, loss := fmt.Sprintf("none in profile %v", profile), ""
	if m.Threshold != nil {
		threshold = fmt.Sprintf("%.4g", *m.Threshold)
	}
	if m.Loss != nil {
		loss = fmt.Sprintf("  loss %.4f", *m.Loss)
	}
	if _, err := fmt.Fprintf(w, "%s  threshold %s%s  %v\n", m.Model, threshold, loss, time.Duration(m.Seconds*float64(time.Second)).Round(time.Second)); err != nil {
		return err
	}
	return printAppraisal(w, m.Appraisal)
}

// isThere reports whether a path leads to something.
func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// getBackbone says how a pretrained backbone comes into the cache folder.
const getBackbone = "anomaly doctor --install --backbones gets it (40 MB, with pip)"

// mostFeatureImages is how many images a network is fitted to, in closed form, at the most.
const mostFeatureImages = 2000

// anyImages stands for a number of images that is not known yet.
const anyImages = 100

// open settles the network's spec, by the number and size of the images where the
// flags leave it open, opens it and checks the settings for it.
func (o *trainOptions) open(images, width, height int) error {
	var err error
	preset := o.preset
	if o.tiled() {
		preset, images, width, height = o.chooseTiles()
	}
	if o.spec, o.why, err = train.Choose(o.spec, preset, images, width, height); err != nil {
		return err
	}
	resources, err := o.backbone.resources(o.spec)
	if errors.Is(err, train.ErrBackbone) {
		return fmt.Errorf("%w: %s", err, getBackbone)
	} else if err != nil {
		return err
	}
	if o.net, err = models.Open(o.spec, resources); err != nil {
		return flagError(trainCommand(), err)
	}
	o.spec = o.net.Spec()
	o.settings.Samples = o.preset.Samples(o.spec.Model)
	if o.mapKind != "" || o.blur != nil {
		m := o.net.Recipe().Map
		m.Kind = cmp.Or(o.mapKind, m.Kind)
		if o.blur != nil {
			m.Blur = *o.blur
		}
		o.settings.Map = &m
	}
	if err := o.settings.Validate(o.net); err != nil {
		return flagError(trainCommand(), err)
	}
	return nil
}

// exportTrained writes the model of a training run, with what is known of it in
// the metadata, the version of the tool too, and the configuration. It returns how good
// the model is.
func (c *console) exportTrained(o *trainOptions, result *train.Result) (*judge.Appraisal, error) {
	e := o.export
	e.Map = *result.Settings.Map
	e.Threshold = result.Calibration.Threshold
	var err error
	if e.Metadata, err = result.Metadata(c.version); err != nil {
		return nil, err
	}
	if !o.tiled() && o.settings.View.Region == nil { // else other sizes are looked at
		e.Metadata[onnx.Bare(onnx.KeyDataSize)] = fmt.Sprintf("%dx%d", o.width, o.height)
	}
	config := o.config()
	// The path is of this machine, and the metadata has the images' hash; the form
	// of the file has keys of its own, which anomaly export changes.
	for _, name := range []string{"data", "roi", "profile", "input"} {
		delete(config, name)
	}
	if o.backbone != nil {
		config["backbone"] = o.spec.Backbone
	}
	b, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	e.Metadata[onnx.Bare(onnx.KeyConfig)] = string(b)
	if o.why != "" {
		e.Metadata[onnx.Bare(onnx.KeyChoice)] = o.why
	}
	m, err := onnxexport.Build(result.Network, result.Weights, &e)
	if err != nil {
		return nil, err
	}
	if err := selfTested(m); err != nil {
		return nil, err
	}
	if err := c.writeModel(o.out, m); err != nil {
		return nil, err
	}
	known := &judge.Evidence{Training: judge.ReadTraining(m.Metadata)}
	if e.Profile.Judges() {
		known.Threshold = &e.Threshold
	}
	return judge.Appraise(known), o.writeConfig(o.out + page.ConfigSuffix)
}
