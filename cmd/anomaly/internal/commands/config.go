package commands

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/internal/atomicfile"
	"github.com/anomaly-go/anomaly/internal/text"
	"github.com/anomaly-go/anomaly/models"
	"github.com/anomaly-go/anomaly/residual"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/anomaly-go/anomaly/train"
	"github.com/urfave/cli/v2"
)

// config returns what the result of training depends on, by the names of the flags.
func (o *trainOptions) config() map[string]any {
	s, m := &o.settings, &residual.Options{}
	if s.Map != nil {
		m = s.Map
	}
	decoding := o.decoding
	if decoding == nil {
		decoding = &dataset.Decoding{}
	}
	tiles, foreground := s.View.Tiles, s.View.Foreground
	if tiles == nil {
		tiles = &anrt.Tiles{}
	}
	config := map[string]any{
		"tiles": o.tiled(), "tile-scale": tiles.Scale, "tile-overlap": tiles.Overlap, "roi": o.roi, "foreground": foreground != nil && *foreground,
		"data": o.data, "feedback": o.feedback.dir, "feedback-model": o.feedback.model, "background": string(decoding.Background), "levels": decoding.Levels,
		"model": o.spec.Model, "size": sizeFlag(&o.spec), "preset": string(o.preset),
		"backbone": o.spec.Backbone, "scales": o.spec.Scales, "rank": o.spec.Rank,
		"channels": o.spec.Channels, "filters": o.spec.Filters, "depth": o.spec.Depth, "latent": o.spec.Latent, "passes": o.spec.Passes,
		"loss": s.Loss, "corruption": string(cmp.Or(s.Corruption, train.CorruptionNone)), "augment": string(cmp.Or(s.Augment, train.AugmentNone)), "epochs": s.Epochs, "batch": s.Batch, "lr": s.LearningRate, "seed": s.Seed, "val": s.Val,
		"optimizer": string(s.Optimizer), "weight-decay": value(s.WeightDecay), "momentum": value(s.Momentum), "schedule": string(s.Schedule),
		"clip": value(s.Clip), "ema": s.EMA, "patience": s.Patience,
		"map": string(m.Kind), "blur": m.Blur, "false-reject": s.FalseReject, "threshold-rule": string(s.ThresholdRule),
		"drop-suspects": o.drop, "profile": o.export.Profile.String(), "input": o.export.Input.String(), "provider": s.Provider,
		"provider-option": append([]string{}, o.providerOptions...),
	}
	for name, of := range map[string]int{"latent": o.spec.Latent, "passes": o.spec.Passes} {
		if o.net != nil && of == 0 {
			delete(config, name)
		}
	}
	o.backbone.config(config)
	switch _, fitted := o.net.(models.Fitter); {
	case fitted:
		for _, name := range trainedFlags {
			delete(config, name)
		}
	case o.net != nil:
		for _, name := range featureFlags {
			delete(config, name)
		}
	}
	return config
}

// value returns what p points to, 0 for nil.
func value(p *float64) float64 {
	if p == nil {
		return 0
	}
	return *p
}

func (o *trainOptions) writeConfig(path string) error {
	b, err := json.MarshalIndent(o.config(), "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(path, append(b, '\n'))
}

// readConfig sets the flags that a configuration file names and the command line does not.
func readConfig(c *cli.Context, path string) error {
	content, err := text.Read(path)
	if err != nil {
		return fmt.Errorf("%w: --config: %w", errUsage, err)
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(content), &values); err != nil {
		return usagef("--config %s: %v", path, err)
	}
	known := (&trainOptions{}).config()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		like, ok := known[name]
		if !ok {
			return usagef("--config %s: unknown key %q, want some of %s", path, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if name == "size" && !bytes.HasPrefix(values[name], []byte{'"'}) {
			values[name] = fmt.Appendf(nil, "%q", values[name]) // a number, as earlier builds wrote it
		}
		value := reflect.New(reflect.TypeOf(like))
		if err := json.Unmarshal(values[name], value.Interface()); err != nil || bytes.Equal(values[name], []byte("null")) {
			return usagef("--config %s: %s: got %s, want a value of type %T", path, name, values[name], like)
		}
		if c.IsSet(name) {
			continue
		}
		list, ok := value.Elem().Interface().([]string)
		if !ok {
			list = []string{fmt.Sprint(value.Elem())}
		}
		for _, v := range list {
			if err := c.Set(name, v); err != nil {
				return usagef("--config %s: %s: %v", path, name, err)
			}
		}
	}
	return nil
}
