package serve

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
)

// w3c carries traces in and out: traceparent and tracestate.
var w3c = propagation.TraceContext{}

// modelAttributes are what a span says of a model.
func modelAttributes(name string, l *loaded) []attribute.KeyValue {
	return []attribute.KeyValue{
		attribute.String("anomaly.model", name),
		attribute.String("anomaly.version", l.name),
		attribute.String("anomaly.hash", l.info.Hash),
	}
}
