package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	anrt "github.com/anomaly-go/anomaly/runtime"
	"github.com/urfave/cli/v2"
)

func versionsCommand() *cli.Command {
	return &cli.Command{
		Name:      "versions",
		Usage:     "list the models that were in a file's place, and the one that is",
		ArgsUsage: "live.onnx",
		Description: `The models that are kept beside live.onnx, where anomaly deploy, rollback, train, export
and calibrate leave what they replace, in the order in which they were put there:
the beginning of the SHA-256, since when, and the threshold. anomaly rollback goes one
up in the list, anomaly rollback --forward one down.

With --json, standard output has a line for each:

  {"state": "earlier", "path": "live.onnx.0001-3f2a91c04b17", "hash": "3f2a91c04b17",
   "time": "2026-11-28T10:02:11Z", "threshold": 0.41}

state is earlier, live or undone (rolled back from). threshold is null where there
is none. What cannot be read as a model has "error" instead.`,
		Flags: []cli.Flag{jsonFlag},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("versions takes one model, got %q", c.Args().Slice())
			}
			return newConsole(c).versions(c.Args().First(), c.Bool("json"))
		},
	}
}

// A listed is a model in the list of versions.
type listed struct {
	State     string    `json:"state"`
	Path      string    `json:"path"`
	Hash      string    `json:"hash"`
	Time      time.Time `json:"time"`
	Threshold *float32  `json:"threshold"`
	Error     string    `json:"error,omitempty"`
}

// States of a listed.
const (
	stateEarlier = "earlier"
	stateLive    = "live"
	stateUndone  = "undone"
)

// versions is `anomaly versions`.
func (c *console) versions(live string, asJSON bool) error {
	if info, err := os.Stat(live); err == nil && info.IsDir() {
		return checkModel("versions", live)
	}
	kept, err := anrt.Versions(live)
	if err != nil {
		return err
	}
	var list []listed
	for _, v := range kept {
		l := listed{State: stateEarlier, Path: v.Path, Time: v.Time}
		if v.Undone {
			l.State = stateUndone
		}
		if l.read(); l.Error == "" && l.Hash != v.Hash {
			l.Error = "damaged: its content is " + l.Hash
		}
		l.Hash = v.Hash
		list = append(list, l)
	}
	switch info, err := os.Stat(live); {
	case err == nil:
		l := listed{State: stateLive, Path: live, Time: info.ModTime()}
		l.read()
		at := slices.IndexFunc(list, func(l listed) bool { return l.State == stateUndone })
		if at < 0 {
			at = len(list)
		}
		list = slices.Insert(list, at, l)
	case len(list) == 0 || !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if !asJSON {
		return printVersions(c.out, list)
	}
	for _, l := range list {
		if err := json.NewEncoder(c.out).Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// read fills in what the file says.
func (l *listed) read() {
	b, err := anrt.ReadFile(l.Path)
	if err != nil {
		l.Error = err.Error()
		return
	}
	l.Hash = anrt.Hash(b)[:anrt.HashDigits]
	d, err := anrt.Inspect(b)
	if err != nil {
		l.Error = err.Error()
		return
	}
	l.Threshold = d.Threshold
}

// printVersions prints the list for people.
func printVersions(w io.Writer, list []listed) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\thash\tin place since\tthreshold\tpath")
	for _, l := range list {
		threshold := "-"
		if l.Threshold != nil {
			threshold = page.Short(*l.Threshold)
		}
		state := map[string]string{stateEarlier: "earlier", stateLive: "in place", stateUndone: "rolled back from"}[l.State]
		path := printable(l.Path)
		if l.Error != "" {
			path += "  (" + printable(l.Error) + ")"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", state, l.Hash, l.Time.Local().Format(time.DateTime), threshold, path)
	}
	return t.Flush()
}
