//go:build !edge

package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/anomaly-go/anomaly/feedback"
	"github.com/anomaly-go/anomaly/outputs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/urfave/cli/v2"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// plantCommands are the commands that builds with the tag edge leave out, which
// plant_edge.go names.
func plantCommands() []*cli.Command {
	return []*cli.Command{manCommand(), workerCommand(), submitCommand(), parkedCommand(), feedbackCommand()}
}

// openFeedback opens the folder where feedback is kept.
func openFeedback(ctx context.Context, dir string, o *feedback.Options) (feedbackStore, error) {
	return feedback.Open(ctx, dir, o)
}

// openPlant opens outputs, which log to log.
func (c *console) openPlant(o *outputOptions, log *slog.Logger) (*plant, error) {
	if len(o.urls) == 0 {
		return &plant{close: func() {}}, nil
	}
	outs, err := outputs.Open(o.urls, &outputs.Options{Spool: o.spool, Logger: log})
	if errors.Is(err, outputs.ErrInput) {
		return nil, usagef("--output: %s", strings.TrimPrefix(err.Error(), outputs.ErrInput.Error()+": "))
	}
	if err != nil {
		return nil, err
	}
	return &plant{outs.Send, outs.SendDrift, []prometheus.Collector{outs}, func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTime)
		defer cancel()
		if left := outs.Close(ctx); left > 0 {
			c.notef("%s not delivered: kept in %s for the next start with the same --output", plural(left, "message"), printable(o.spool))
		}
	}}, nil
}

// openTraces sends traces to a collector until end is called.
func (c *console) openTraces(ctx context.Context, url, version string) (traces trace.TracerProvider, end func(), err error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, nil, fmt.Errorf("--otlp: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "anomaly"), attribute.String("service.version", version))))
	return provider, func() {
		late, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := provider.Shutdown(late); err != nil {
			c.notef("--otlp: %v", err)
		}
	}, nil
}
