package commands

import (
	"log/slog"

	"github.com/anomaly-go/anomaly/drift"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

// driftFlags are flags of the commands that judge images as they come.
var driftFlags = []cli.Flag{
	&cli.IntFlag{Name: "drift-window", Usage: "`N` images that are compared with the training images at a time", Value: drift.DefaultWindow},
	&cli.Float64Flag{Name: "drift-false-alarms", Usage: "`SHARE` of windows that may alarm by chance", Value: drift.DefaultFalseAlarms},
}

// driftHelp says what they do; where it is said stands behind it.
const driftHelp = `Every --drift-window images scores, brightness and sharpness are compared with those
of the images that the model was trained on. Where they differ by more than chance, as
--drift-false-alarms has it, that is logged, told to --output`

// parseDrift reads driftFlags.
func parseDrift(c *cli.Context) (drift.Options, error) {
	o := drift.Options{Window: c.Int("drift-window"), FalseAlarms: c.Float64("drift-false-alarms")}
	switch {
	case o.Window < 20 || o.Window > 10_000:
		return o, usagef("--drift-window: got %d, want 20 to 10000", o.Window)
	case !(o.FalseAlarms > 0 && o.FalseAlarms < 1):
		return o, usagef("--drift-false-alarms: got %v, want a share between 0 and 1", o.FalseAlarms)
	}
	return o, nil
}

// A drifting compares the images of a watch with those that the model in use was trained
// on; nil compares nothing.
type drifting struct {
	options drift.Options
	model   string // its name
	log     *slog.Logger
	watch   *drift.Watch

	hash    string // of the model that monitor is of
	monitor *drift.Monitor
}

// add takes note of what a detector has said of an image. It passes over images of a
// model that was replaced meanwhile, and is not the last one.
func (d *drifting) add(det *anrt.Detector, r *anrt.Result) error {
	if d == nil {
		return nil
	}
	if r.Model != d.hash {
		info := det.Info()
		if r.Model != info.Hash {
			return nil
		}
		monitor, err := drift.New(&info, &d.options)
		if err != nil {
			return err
		}
		d.monitor, d.hash = monitor, r.Model
	}
	for _, report := range d.monitor.Add(r) {
		d.watch.Note(&drift.Event{Report: report, ModelName: d.model, ModelHash: r.Model}, d.log, "model", d.model)
	}
	return nil
}
