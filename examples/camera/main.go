package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/anomaly-go/anomaly/heatmap"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

// options are the arguments and flags.
type options struct {
	model, source string
	provider      anrt.Provider
	rate          float64 // of files, frames a second
	dir           string  // "" saves nothing
	all           bool    // saves good frames too
	address       string  // "" serves nothing
}

func main() {
	var o options
	flag.StringVar((*string)(&o.provider), "provider", string(anrt.Auto), "what computes")
	flag.Float64Var(&o.rate, "rate", 10, "frames a second, of a folder")
	flag.StringVar(&o.dir, "out", "", "folder for frames that are anomalous, as JPEG files")
	flag.BoolVar(&o.all, "all", false, "save the good ones too")
	flag.StringVar(&o.address, "serve", "", "address of an MJPEG stream of all frames, such as :8080")
	flag.Parse()
	if flag.NArg() != 2 || !(o.rate > 0) {
		log.Fatal("usage: camera [-out DIR] [-serve ADDRESS] [-rate N] [-provider NAME] model.onnx http://…|FOLDER|-")
	}
	o.model, o.source = flag.Arg(0), flag.Arg(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &o, log.Printf); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		log.Fatal(err)
	}
}

// run looks at frames until the source ends or ctx does.
func run(ctx context.Context, o *options, logf func(string, ...any)) error {
	// One frame at a time: nothing is gained by waiting for others.
	det, err := anrt.Open(o.model, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: o.provider, Logf: logf}, Batch: 1})
	if err != nil {
		return err
	}
	defer det.Close()
	if o.dir != "" {
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
	}
	source, cancel := context.WithCancelCause(ctx) // ends with the frames, which are looked at nevertheless
	defer cancel(nil)
	shown := newStream()
	if o.address != "" {
		server := &http.Server{Addr: o.address, Handler: shown}
		go func() { cancel(server.ListenAndServe()) }()
		defer server.Close()
	}
	frames := newNewest()
	go func() { cancel(capture(source, o.source, o.rate, logf, frames.put)) }()

	n, lost := 0, 0
	defer func() { logf("%d frames looked at, %d dropped", n, lost) }()
	for {
		frame, dropped, err := frames.take(source)
		if err != nil {
			return err
		}
		lost += dropped
		start := time.Now()
		results, err := det.Detect(ctx, frame)
		if err != nil {
			return err
		}
		n++
		r := &results[0]
		if r.Anomalous {
			logf("frame %d: %s (%v)", n, heatmap.Caption(r.Score, r.Threshold), time.Since(start).Round(time.Millisecond))
		}
		if err := o.hand(n, frame, r, lost, shown); err != nil {
			return err
		}
	}
}

// hand shows a frame, and saves it if it is to be saved.
func (o *options) hand(n int, frame image.Image, r *anrt.Result, dropped int, shown *stream) error {
	save := o.dir != "" && (r.Anomalous || o.all)
	if !save && o.address == "" {
		return nil
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, annotate(frame, r, fmt.Sprintf("frame %d, %d dropped  ", n, dropped)), nil); err != nil {
		return err
	}
	shown.show(file.Bytes())
	if !save {
		return nil
	}
	return os.WriteFile(filepath.Join(o.dir, fmt.Sprintf("frame-%06d.jpg", n)), file.Bytes(), 0o644)
}

// annotate draws the frame beside its heat map and its anomalous area, as far as the
// model gives them, with a line of text.
func annotate(frame image.Image, r *anrt.Result, text string) image.Image {
	return heatmap.Picture(frame, r.Map, &heatmap.PictureOptions{
		Threshold: r.PixelThreshold, Scale: r.Scale, Tile: 384, Caption: text + heatmap.Caption(r.Score, r.Threshold),
	})
}
