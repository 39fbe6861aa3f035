package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"log"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anomaly-go/anomaly/dataset"
	anrt "github.com/anomaly-go/anomaly/runtime"
)

func main() {
	workers := flag.Int("workers", 8, "goroutines that ask for results")
	provider := flag.String("provider", string(anrt.Auto), "what computes")
	flag.Parse()
	if flag.NArg() < 2 {
		log.Fatal("usage: hotswap [-workers N] [-provider NAME] model.onnx|FOLDER IMAGES…")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, flag.Arg(0), flag.Args()[1:], *workers, anrt.Provider(*provider)); !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// serve detects the images over and over until ctx ends.
func serve(ctx context.Context, model string, paths []string, workers int, provider anrt.Provider) error {
	images, err := read(paths)
	if err != nil {
		return err
	}
	path, err := anrt.Latest(model)
	if err != nil {
		return err
	}
	det, err := anrt.Open(path, &anrt.Options{SessionOptions: anrt.SessionOptions{Provider: provider, Logf: log.Printf}})
	if err != nil {
		return err
	}
	defer det.Close()

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var counts sync.Map // hash of a model to *atomic.Int64, the results that came from it
	for i := range workers {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				results, err := det.Detect(ctx, images[n%len(images)])
				if err != nil {
					cancel(err)
					return
				}
				count, _ := counts.LoadOrStore(results[0].Model, new(atomic.Int64))
				count.(*atomic.Int64).Add(1)
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
			counts.Range(func(model, count any) bool {
				fmt.Printf("%.12s  %d results\n", model, count.(*atomic.Int64).Swap(0))
				return true
			})
		}
	})
	det.Watch(ctx, model, nil) // tells log.Printf of swaps and of what goes wrong
	return context.Cause(ctx)
}

// read decodes images.
func read(paths []string) ([]image.Image, error) {
	samples, err := dataset.Find(paths...)
	if err != nil {
		return nil, err
	}
	var images []image.Image
	for _, s := range samples {
		img, err := s.Image()
		if err != nil {
			return nil, err
		}
		images = append(images, img)
	}
	return images, nil
}
