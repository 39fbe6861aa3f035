package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	anrt "github.com/anomaly-go/anomaly/runtime"
)

// settings are the flags.
type settings struct {
	provider anrt.Provider
	swaps    int           // of models, under a stream of requests
	clients  int           // that send requests, each after its last was answered
	pause    time.Duration // of a client between two requests, on average
	settle   time.Duration // how long the stream runs before the first swap and after the last
	opens    int           // how often a model is opened and closed
	out      string        // folder for the page and its plots; "": none
}

func main() {
	s := settings{}
	flag.StringVar((*string)(&s.provider), "provider", string(anrt.CPU), "provider of the swapped models")
	flag.IntVar(&s.swaps, "swaps", 200, "models swapped under a stream of requests, a multiple of the number of models")
	flag.IntVar(&s.clients, "clients", 8, "goroutines that send requests")
	flag.DurationVar(&s.pause, "pause", 20*time.Millisecond, "of a client between two requests, on average")
	flag.DurationVar(&s.settle, "settle", 15*time.Second, "stream without swaps, before and after")
	flag.IntVar(&s.opens, "opens", 1000, "how often a model is opened and closed")
	flag.StringVar(&s.out, "out", "docs", "folder for soak.md and its plots")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, s, "make soak"); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks, writes the page, and returns what was not as it should be.
func run(ctx context.Context, s settings, command string) error {
	if n := len(variants); s.swaps%n != 0 || s.swaps < n {
		return fmt.Errorf("swaps: got %d, want a multiple of the %d models: memory is compared with the same one in use", s.swaps, n)
	}
	p := page{settings: s, command: command}
	var err error
	if p.stream, err = stream(ctx, s); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, p.stream)
	for _, provider := range []anrt.Provider{s.provider, anrt.Go} {
		o, err := opens(ctx, provider, s.opens)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, o)
		p.opens = append(p.opens, o)
	}
	if s.out != "" {
		if err := p.write(); err != nil {
			return err
		}
	}
	var wrong []string
	wrong = append(wrong, p.stream.wrong()...)
	for _, o := range p.opens {
		wrong = append(wrong, o.wrong()...)
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}
