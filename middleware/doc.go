// Package middleware holds the middleware that most agents want around their handlers:
//
//	chain := message.Chain(
//		middleware.Log(logger),
//		middleware.Recover(report),
//		limit.Middleware,
//		middleware.Timeout(5*time.Second),
//	)
//	agent.Handle("GameAction", chain(handler))
//
// The first of a chain is the outermost. Log stands before Recover, so that it sees a panic as the error
// that Recover makes of it. All of them work on messages from clients and on jobs.
//
// # Kinds
//
//	mistakes    Recover (panics), Timeout, Log
//	limits      RateLimit (a bucket for each user, connection, room, game or type; tells who goes on in spite of it)
//	permission  Authorise (a Policy; Rules is one by roles), Validate (JSON Schema of the payload)
//	repetition  Once (Claims in memory or in Redis)
//	watching    Metrics (a Meter), Tracing (a Tracer), Correlate, with TraceLogs around the handler of a logger
//
// A handler of jobs that must have an effect once, whatever happens between:
//
//	once := middleware.Once(claims, func(ctx context.Context, _ *message.Message) string {
//		job, _ := jobs.InfoFrom(ctx)
//		return job.ID
//	})
//
// # As an operator
//
// Lift makes a chain one operator of a stream, for what is seen beside the handlers:
//
//	agent.Messages().Pipe(middleware.Lift(ctx, limit.Middleware)).Subscribe(ctx, audit, refused, nil)
//
// # Work that goes on
//
// A handler may return a *message.Pending. The middleware here that needs the outcome (Log, Timeout, Once,
// Metrics, Tracing) waits for it without a goroutine and hands on a Pending of its own; Recover and RateLimit end with Handle.
//
// # Concurrency
//
// All are safe for concurrent use, keep the order in which they are called, and start no goroutine.
package middleware
