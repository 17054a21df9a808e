package agents

import (
	"context"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/middleware"
)

// OTLPFromEnvironment as Config.OTLP takes the collector from the OTEL_ variables.
const OTLPFromEnvironment = "environment"

// traced gives the messages of one side of Redis spans; with tracing off it is no middleware at all.
func (a *Agent) traced(side string) message.Middleware {
	switch {
	case a.watching.tracing == nil:
		return middleware.Tracing(nil)
	case side == telemetry.Job:
		return middleware.Tracing(jobTracer{a})
	}
	return middleware.Tracing(clientTracer{a})
}

// clientTracer begins a trace for each message of a client, whatever the client says.
type clientTracer struct{ a *Agent }

var _ middleware.Tracer = clientTracer{}

// Start implements middleware.Tracer.
func (t clientTracer) Start(ctx context.Context, typ string) (context.Context, func(error)) {
	return t.a.span(ctx, telemetry.Server, "receive "+t.a.typeName(typ))
}

// jobTracer continues the trace of the message that a job was made from: the job's id says which.
type jobTracer struct{ a *Agent }

var _ middleware.Tracer = jobTracer{}

// Start implements middleware.Tracer.
func (t jobTracer) Start(ctx context.Context, typ string) (context.Context, func(error)) {
	job, _ := jobs.InfoFrom(ctx)
	return t.a.span(telemetry.Continue(ctx, job.ID), telemetry.Consumer, "handle "+t.a.typeName(typ),
		[2]string{"messaging.system", "agentmesh"}, [2]string{"messaging.destination.name", job.Queue}, [2]string{"messaging.message.id", job.ID})
}

func (a *Agent) span(ctx context.Context, kind telemetry.SpanKind, name string, attributes ...[2]string) (context.Context, func(error)) {
	ctx, end := a.watching.tracing.Start(ctx, kind, name, attributes...)
	return middleware.WithTrace(ctx, telemetry.TraceID(ctx)), func(err error) {
		outcome := middleware.Outcome(err)
		end(outcome, outcome == "failed")
	}
}

// typeName is a type as spans may be called; clients make up types as they like.
func (a *Agent) typeName(typ string) string {
	if a.watching.types[typ] || a.broker.HasWorkers(queueOf(typ)) {
		return typ
	}
	return "other"
}

// jobID is the id of a job that is made in ctx, so that whoever handles it finds the trace; empty without
// tracing: the broker makes one.
func (a *Agent) jobID(ctx context.Context) string {
	if a.watching.tracing == nil {
		return ""
	}
	return telemetry.Traceparent(ctx)
}

// flushTraces sends the last spans of an agent that stops. A collector that does not answer is not waited for
// long.
func (a *Agent) flushTraces(ctx context.Context) {
	if a.watching.tracing == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := a.watching.tracing.Close(ctx); err != nil {
		a.log.Warn("the last traces were not delivered", "error", err)
	}
}
