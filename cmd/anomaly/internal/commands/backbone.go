package commands

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

// backboneFlags are of a backbone of a file, beside --backbone.
var backboneFlags = []cli.Flag{
	&cli.StringSliceFlag{Name: "tap", Usage: "`NAME` of a tensor in --backbone FILE.onnx that features are taken from; repeated, of several", DefaultText: "the last at strides 4, 8 and 16, or the last tokens of patches"},
	&cli.StringFlag{Name: "backbone-mean", Usage: "`MEAN` of pixels in [0,1] that --backbone FILE.onnx was trained with, of each channel: 0.485,0.456,0.406", DefaultText: "the file's, or else ImageNet's"},
	&cli.StringFlag{Name: "backbone-std", Usage: "`DEVIATION` likewise: 0.229,0.224,0.225", DefaultText: "the file's, or else ImageNet's"},
}

// A backboneFile is what the flags say of a backbone of a file.
type backboneFile struct {
	path, mean, std string
	taps            []string
	opened          *train.Backbone
}

// parseBackbone reads the flags; nil is of no file.
func parseBackbone(c *cli.Context) (*backboneFile, error) {
	name := c.String("backbone")
	f := &backboneFile{path: name, mean: c.String("backbone-mean"), std: c.String("backbone-std"), taps: c.StringSlice("tap")}
	if !strings.HasSuffix(strings.ToLower(name), ".onnx") {
		if len(f.taps) > 0 || f.mean != "" || f.std != "" {
			return nil, usagef("--tap, --backbone-mean and --backbone-std need --backbone FILE.onnx, got %q", name)
		}
		return nil, nil
	}
	if model := c.String("model"); model != train.Auto && model != "features" {
		return nil, usagef("--backbone: got --model %s, want features", model)
	}
	for _, name := range trainedFlags {
		if c.IsSet(name) {
			return nil, usagef("--%s: networks that are trained have it, features of --backbone %s are none", name, f.path)
		}
	}
	o := &train.BackboneOptions{Taps: f.taps}
	for _, v := range []struct {
		flag, text string
		to         *[]float64
	}{{"backbone-mean", f.mean, &o.Mean}, {"backbone-std", f.std, &o.Std}} {
		if v.text == "" {
			continue
		}
		for _, part := range strings.Split(v.text, ",") {
			x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
			if err != nil {
				return nil, usagef("--%s: got %q, want one number, or three between commas", v.flag, v.text)
			}
			*v.to = append(*v.to, x)
		}
	}
	if (f.mean == "") != (f.std == "") {
		return nil, usagef("--backbone-mean and --backbone-std: got one of them, want both or neither")
	}
	var err error
	f.opened, err = train.OpenBackbone(f.path, o)
	return f, err
}

// resources returns what the network of a spec needs: of a file, if there is one, else of the cache folder.
func (f *backboneFile) resources(spec models.Spec) (*models.Resources, error) {
	if f == nil {
		return train.Resources(spec)
	}
	return f.opened.Resources(), nil
}

// config adds the flags to a configuration.
func (f *backboneFile) config(values map[string]any) {
	values["tap"], values["backbone-mean"], values["backbone-std"] = []string{}, "", ""
	if f != nil {
		values["backbone"], values["tap"], values["backbone-mean"], values["backbone-std"] = f.path, append([]string{}, f.taps...), f.mean, f.std
	}
}

func (f *backboneFile) String() string { return fmt.Sprint(f.opened) }

// backboneLine says which backbone a model has in it, by the network that its
// metadata describe; "" for none.
func backboneLine(described string) string {
	var spec models.Spec
	if json.Unmarshal([]byte(described), &spec) != nil || spec.Backbone == "" {
		return ""
	}
	if f := spec.BackboneFile; f.SHA256 != "" {
		return fmt.Sprintf("%s, SHA-256 %s, features of %s; %s", spec.Backbone, f.SHA256, f.Taps, f.Normalisation)
	}
	return spec.Backbone
}
