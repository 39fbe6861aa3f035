//go:build !edge

package commands

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/anomaly-go/anomaly/cmd/anomaly/internal/page"
	"github.com/anomaly-go/anomaly/dataset"
	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/internal/regular"
	"github.com/urfave/cli/v2"
)

func feedbackCommand() *cli.Command {
	return &cli.Command{
		Name:      "feedback",
		Usage:     "mark images whose verdict was wrong, list and remove the marks",
		ArgsUsage: "DIR [IMAGE…]",
		Description: `DIR keeps what people say of verdicts: a copy of each image, and what was said of it.
anomaly serve --feedback DIR keeps there what its clients and its page say, anomaly
calibrate and anomaly train use it. Any number of commands may use it at a time.

  anomaly feedback DIR                                         lists
  anomaly feedback DIR --mark false-alarm --model bottle a.png   a.png is good
  anomaly feedback DIR --mark miss --model bottle b.png          b.png has a defect
  anomaly feedback DIR --remove 3f2a91c04b17                   takes it back

--model is the name of the model that judged, which is that of its file without .onnx,
or the file. An image has one mark for each model: another one replaces it. --remove
takes the beginning of an image's hash, 8 digits or more, and with --model removes what
was said of that model's verdict alone; with its last mark the copy of the image goes.

Standard output has a table, or with --json a line for each mark that is listed, made or
removed:

  {"image": "3f2a91c04b17…", "model": "bottle", "mark": "miss", "version": "3",
   "hash": "9c1b…", "name": "b.png", "score": 0.31, "threshold": 0.4, "by": "eva",
   "at": "2026-11-28T10:02:11Z", "bytes": 81234, "path": "DIR/images/3f2a91c04b17….png"}

version, hash, score and threshold are of the model that judged, where that is known.`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "mark", Usage: "`MARK` of the images: false-alarm (they are good) or miss (they have a defect)"},
			&cli.StringFlag{Name: "model", Usage: "`NAME` of the model, or its file", DefaultText: "all, where they are listed or removed"},
			&cli.StringFlag{Name: "remove", Usage: "`HASH` of the image whose marks are removed, or its beginning"},
			&cli.StringFlag{Name: "by", Usage: "`NAME` of who says so", DefaultText: "the user's"},
			&cli.IntFlag{Name: "budget", Usage: "`MIB` that the images may take", Value: defaultBudget},
			jsonFlag, maxPixelsFlag, backgroundFlag, levelsFlag,
		},
		Action: func(c *cli.Context) error {
			o, err := parseFeedbackCommand(c)
			if err != nil {
				return err
			}
			return newConsole(c).feedback(c.Context, o)
		},
	}
}

// markOptions are the arguments and flags of `anomaly feedback`.
type markOptions struct {
	dir      string
	images   []string
	mark     feedback.Mark // "" marks nothing
	model    string
	remove   string
	by       string
	json     bool
	store    feedback.Options
	decoding *dataset.Decoding
}

func parseFeedbackCommand(c *cli.Context) (*markOptions, error) {
	if c.NArg() == 0 {
		return nil, usagef("feedback takes a folder, and images to mark")
	}
	o := &markOptions{
		dir: c.Args().First(), images: c.Args().Tail(), model: c.String("model"), remove: c.String("remove"), by: c.String("by"), json: c.Bool("json"),
	}
	if strings.EqualFold(filepath.Ext(o.model), ".onnx") {
		o.model = modelName(o.model)
	}
	if c.IsSet("mark") {
		mark, err := feedback.ParseMark(c.String("mark"))
		if err != nil {
			return nil, usagef("--mark: got %q, want %s or %s", c.String("mark"), feedback.FalseAlarm, feedback.Miss)
		}
		o.mark = mark
	}
	switch {
	case o.mark != "" && o.remove != "":
		return nil, usagef("--mark goes without --remove")
	case o.mark != "" && len(o.images) == 0:
		return nil, usagef("--mark: no images are named")
	case o.mark != "" && o.model == "":
		return nil, usagef("--mark needs --model, the name of the model that judged")
	case o.mark == "" && len(o.images) > 0:
		return nil, usagef("got images, %q, and no --mark %s or --mark %s", o.images, feedback.FalseAlarm, feedback.Miss)
	case c.IsSet("by") && o.mark == "":
		return nil, usagef("--by goes with --mark")
	}
	var err error
	if o.store, err = parseBudget(c, "budget"); err != nil {
		return nil, err
	}
	o.store.Existing = o.mark == ""
	o.decoding, err = parseDecoding(c)
	return o, err
}

// feedback is `anomaly feedback`.
func (c *console) feedback(ctx context.Context, o *markOptions) error {
	if what, _ := notModel(o.dir); what == "an image" || isModel(o.dir) {
		return usagef("feedback takes the folder first: got %s", printable(o.dir))
	}
	var files []string
	var failed error
	if o.mark != "" { // before a folder is made for nothing
		if files, failed = c.markable(o); len(files) == 0 {
			return failed
		}
	}
	o.store.Logf = c.notef
	store, err := openFeedback(ctx, o.dir, &o.store)
	if err != nil {
		return err
	}
	defer store.Close()
	var entries []feedback.Entry
	switch {
	case o.remove != "":
		if entries, err = store.Remove(ctx, o.remove, o.model); err != nil {
			return err
		}
		c.notef("%s removed", plural(len(entries), "mark"))
	case o.mark != "":
		entries, err = c.mark(ctx, store, files, o)
		return errors.Join(c.printFeedback(entries, o.json), err, failed)
	default:
		if entries, err = store.List(ctx); err != nil {
			return err
		}
		if o.model != "" {
			entries = slices.DeleteFunc(entries, func(e feedback.Entry) bool { return e.Model != o.model })
		}
	}
	return c.printFeedback(entries, o.json)
}

// markable returns the files that can be marked; those that cannot be read as images are
// said, and counted in the error.
func (c *console) markable(o *markOptions) ([]string, error) {
	samples, err := (&dataset.Options{Decoding: o.decoding}).Find(o.images...)
	if err != nil {
		return nil, err
	}
	var files []string
	for i := range samples {
		s := &samples[i]
		if s.Row >= 0 || s.Page > 0 {
			return nil, fmt.Errorf("%s has several images: want files of one each", printable(s.Path))
		}
		if _, err := s.Image(); err != nil {
			if len(samples) == 1 {
				return nil, err
			}
			c.notef("%v", err)
			continue
		}
		files = append(files, s.Path)
	}
	if failed := len(samples) - len(files); failed > 0 {
		return files, fmt.Errorf("%d of %s could not be marked", failed, plural(len(samples), "image"))
	}
	return files, nil
}

// mark marks image files.
func (c *console) mark(ctx context.Context, store feedbackStore, files []string, o *markOptions) ([]feedback.Entry, error) {
	by := o.by
	if u, err := user.Current(); by == "" && err == nil {
		by = u.Username
	}
	var entries []feedback.Entry
	for _, path := range files {
		file, err := regular.Read(path)
		if err != nil {
			return entries, err
		}
		e, added, err := store.Add(ctx, feedback.Entry{Model: o.model, Mark: o.mark, Name: filepath.Base(path), By: by}, file)
		if err != nil {
			return entries, err
		}
		if !added {
			c.notef("%s is marked so already", printable(path))
		}
		entries = append(entries, *e)
	}
	return entries, nil
}

func (c *console) printFeedback(entries []feedback.Entry, asJSON bool) error {
	if asJSON {
		for i := range entries {
			if err := json.NewEncoder(c.out).Encode(&entries[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(entries) == 0 {
		c.notef("nothing is marked")
		return nil
	}
	t := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "image\tmodel\tmark\tscore\tthreshold\tby\tat\tname")
	number := func(x *float32) string {
		if x == nil {
			return "-"
		}
		return page.Short(*x)
	}
	for _, e := range entries {
		fmt.Fprintf(t, "%.12s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Image, e.Model, e.Mark, number(e.Score), number(e.Threshold),
			printable(cmp.Or(e.By, "-")), e.At.Local().Format(time.DateTime), printable(cmp.Or(e.Name, "-")))
	}
	return t.Flush()
}
