package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// TracingConfig says where traces go. The OTEL_ variables of OpenTelemetry hold for what it leaves open: headers,
// certificates, sampler, batches, the service's name and more attributes.
type TracingConfig struct {
	URL    string       // of a collector that takes OTLP over HTTP, as http://127.0.0.1:4318; empty means OTEL_EXPORTER_OTLP_ENDPOINT
	Agent  string       // the agent's name
	Logger *slog.Logger // nil means slog.Default()
}

// Wanted reports whether the environment asks for traces, in the words of OpenTelemetry.
func Wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return false
	}
	return os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Validate reports a URL that cannot be a collector's.
func (c *TracingConfig) Validate() error {
	if c.URL == "" {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("want a URL as http://127.0.0.1:4318") // it may hold a password: it is not repeated
	}
	return nil
}

// options of the exporter: the traces' path is OpenTelemetry's unless the URL names one.
func (c *TracingConfig) options() []otlptracehttp.Option {
	if c.URL == "" {
		return nil
	}
	at := c.URL
	if u, err := url.Parse(at); err == nil && strings.Trim(u.Path, "/") == "" {
		at = u.JoinPath("v1", "traces").String()
	}
	return []otlptracehttp.Option{otlptracehttp.WithEndpointURL(at)}
}

// Tracing makes spans and sends them to a collector, in the background and in batches. It is safe for concurrent
// use.
type Tracing struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// NewTracing makes a Tracing; it does not wait for the collector. Close ends it.
func NewTracing(ctx context.Context, c TracingConfig) (*Tracing, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	exporter, err := otlptracehttp.New(ctx, c.options()...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(
		attribute.String("service.name", "agentmesh"), attribute.String("service.instance.id", c.Agent),
	), resource.WithTelemetrySDK(), resource.WithFromEnv()) // the later ones win
	if err != nil && about == nil {
		return nil, fmt.Errorf("telemetry: traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(about),
		sdktrace.WithBatcher(&loggedExporter{SpanExporter: exporter, log: c.Logger}))
	return &Tracing{provider: provider, tracer: provider.Tracer("github.com/agentmesh/agentmesh")}, nil
}

// Close sends what is left, until ctx ends, and stops.
func (t *Tracing) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// SpanKind says whose work a span is.
type SpanKind = trace.SpanKind

// The kinds of spans that an agent makes.
const (
	Server   = trace.SpanKindServer   // a client's message
	Consumer = trace.SpanKindConsumer // a job
)

// Start begins a span below that of ctx, with attributes as pairs of name and value. What it returns ends the
// span with its outcome.
func (t *Tracing) Start(ctx context.Context, kind SpanKind, name string, attributes ...[2]string) (context.Context, func(outcome string, failed bool)) {
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	if span.IsRecording() {
		for _, a := range attributes {
			span.SetAttributes(attribute.String(a[0], a[1]))
		}
	}
	return ctx, func(outcome string, failed bool) {
		span.SetAttributes(attribute.String("agentmesh.outcome", outcome))
		if failed {
			span.SetStatus(codes.Error, outcome)
		}
		span.End()
	}
}

// Traceparent is the span of ctx in the form of W3C Trace Context, 55 characters; empty if there is none.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// Continue gives ctx the span that a traceparent names, of another process perhaps. What is none changes
// nothing.
func Continue(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// TraceID is the trace of ctx, 32 hexadecimal digits; empty if there is none.
func TraceID(ctx context.Context) string {
	if at := trace.SpanContextFromContext(ctx); at.HasTraceID() {
		return at.TraceID().String()
	}
	return ""
}

// loggedExporter logs what OpenTelemetry would tell a handler of the whole process: once for each outage.
type loggedExporter struct {
	sdktrace.SpanExporter

	log  *slog.Logger
	down atomic.Bool
}

// ExportSpans never fails.
func (e *loggedExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if was := e.down.Swap(err != nil); err != nil && !was {
		e.log.Warn("traces cannot be delivered and are dropped", "error", err)
	} else if err == nil && was {
		e.log.Info("traces are delivered again")
	}
	return nil
}
