package commands

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/drift"
	"github.com/anomaly-go/anomaly/judge"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"
)

// outputFlags are flags of the commands that tell a plant what they find.
var outputFlags = []cli.Flag{
	&cli.StringSliceFlag{Name: "output", Usage: "`URL` that findings are told to: webhook+https://…, mqtt://HOST/TOPIC, opcua://HOST?score=NODE, rejects:DIR; may be repeated"},
	&cli.StringFlag{Name: "spool", Usage: "`DIR` where they wait while an output is away", DefaultText: "anomaly/spool among the user's settings"},
}

const outputHelp = `--output tells others what is found of each image, and of drift, as JSON objects: a webhook,
MQTT, OPC UA, or a folder that keeps the images of rejects. What cannot be delivered waits in --spool, also for
the next start, and then comes in order. docs/outputs.md has the URLs and their options.`

// outputOptions are outputFlags.
type outputOptions struct {
	urls  []string
	spool string
}

func parseOutputs(c *cli.Context) (outputOptions, error) {
	o := outputOptions{c.StringSlice("output"), c.String("spool")}
	switch {
	case o.urls == nil && c.IsSet("spool"):
		return o, usagef("--spool needs --output")
	case o.urls == nil || o.spool != "":
		return o, nil
	}
	settings, err := os.UserConfigDir()
	if err != nil {
		return o, usagef("--spool: want a folder: %v", err)
	}
	o.spool = filepath.Join(settings, "anomaly", "spool")
	return o, nil
}

// A plant is told of events.
type plant struct {
	tell       func(*judge.Event) // nil: nobody is told
	tellDrift  func(*drift.Event) // nil as well
	collectors []prometheus.Collector
	close      func() // delivers what can be delivered soon
}

// closeTime is how long outputs may take at the end to deliver what waits.
const closeTime = 5 * time.Second

// noteLogger logs as notes to the person that watches.
func (c *console) noteLogger() *slog.Logger {
	return slog.New(slog.NewTextHandler(noteWriter{c}, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && slices.Contains([]string{slog.TimeKey, slog.LevelKey}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
}

// A noteWriter makes each line a note.
type noteWriter struct{ *console }

func (w noteWriter) Write(line []byte) (int, error) {
	w.notef("%s", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
