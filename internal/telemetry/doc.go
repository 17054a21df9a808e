// Package telemetry is how an agent is watched from outside: metrics for Prometheus and traces for
// OpenTelemetry. Only agents and the command know it; the libraries below take small interfaces, which the
// types here satisfy without importing them.
//
//	metrics := telemetry.NewMetrics([]string{"GameAction"}, state)
//	metrics.In("GameAction")
//	http.Handle("GET /metrics", metrics)
//
//	tracing, err := telemetry.NewTracing(ctx, telemetry.TracingConfig{URL: "http://127.0.0.1:4318"})
//	ctx, end := tracing.Start(ctx, telemetry.Server, "GameAction")
//	defer end("done", false)
//
// # What is counted
//
// Table lists every metric; docs/operations.md shows it. A label holds words of the program only (types it
// handles, names of queues, codes), never what a client says: the number of series is bounded, and no user,
// room, session or content leaves by this way. A type nobody has named counts as "other".
//
// # Cost
//
// Counting is a look into a map, without a lock, and an atomic addition, and does not allocate. What can be
// read from the agent's state is read when somebody asks for the metrics.
//
// # Traces
//
// A job made from a client's message has the message's place in its trace as its id (a W3C traceparent), so a
// handler on another agent continues the trace, and the id that `agentmesh jobs` shows is the one to search
// for. Spans that cannot be delivered are dropped; that is logged once for each outage.
package telemetry
