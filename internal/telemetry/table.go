package telemetry

import "strings"

// Kind is what a metric is.
type Kind string

// The kinds of metrics.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Metric is one metric that an agent exports.
type Metric struct {
	Name   string
	Kind   Kind
	Labels []string
	Help   string
}

// Table is every metric of an agent, beside those of Go and of the process (go_…, process_…).
var Table = []Metric{
	{connections, Gauge, []string{"transport"}, "connections of clients, now"},
	{closed, Counter, []string{"transport", "code"}, "connections that ended, by the close code the agent chose; gone: the client left"},
	{sessions, Gauge, nil, "sessions that connections are bound to, now"},
	{messagesIn, Counter, []string{"type"}, "envelopes that were decoded"},
	{messagesOut, Counter, []string{"type"}, "envelopes queued for clients, answers and deliveries"},
	{errorsOut, Counter, []string{"code"}, "errors that clients were answered with"},
	{handlerSeconds, Histogram, []string{"side", "type", "outcome"}, "client: from the session check until the message is stored; job: the handler of a job. Outcome: done, failed or an error code"},
	{operationSeconds, Histogram, []string{"type"}, "Login, JoinRoom and other requests that wait for Redis"},
	{sessionChecks, Counter, []string{"verdict"}, "session checks of messages: cached, waited (for a lookup or in order) or none (needed none)"},
	{sessionLookups, Counter, []string{"outcome"}, "round trips of the session check: done or failed"},
	{sessionKeys, Counter, nil, "sessions that they asked about"},
	{dropped, Counter, []string{"queue"}, "what a full queue cost: inbound, messages (views, items), zeromq (connections), router (messages refused); relay: frames that nobody could take"},
	{waiting, Gauge, []string{"queue"}, "what waits in this process, now: router (posts on their way to Redis), zeromq and websocket (envelopes to be written)"},
	{routerEvents, Counter, []string{"event"}, "published, duplicates, delivered, detached, strays, holes, filled, gave_up"},
	{zeromqConnections, Counter, []string{"result"}, "ZeroMQ connections accepted and refused"},
	{zeromqMessages, Counter, []string{"direction"}, "ZeroMQ messages in and out, and too_large ones"},
	{jobEvents, Counter, []string{"queue", "event"}, "done, failed, retried, dead, stored, duplicate, refused, expired, cancelled, reclaimed, limited and rarer ones; queue mesh: inboxes and broadcasts"},
	{jobSeconds, Histogram, []string{"queue", "stage"}, "wait: from enqueueing to the handler; run: the handler; flush: storing a batch"},
	{queueJobs, Gauge, []string{"queue", "state"}, "jobs in the queues this agent works on: waiting, active, blocked, aside, dead. Every agent says the same: take the max"},
	{queueOldest, Gauge, []string{"queue"}, "age of the oldest job that waits or is active"},
	{redisUp, Gauge, nil, "1 when Redis answered the last look at the queues"},
}

const (
	connections       = "agentmesh_connections"
	closed            = "agentmesh_connections_closed_total"
	sessions          = "agentmesh_sessions"
	messagesIn        = "agentmesh_messages_in_total"
	messagesOut       = "agentmesh_messages_out_total"
	errorsOut         = "agentmesh_errors_total"
	handlerSeconds    = "agentmesh_handler_seconds"
	operationSeconds  = "agentmesh_operation_seconds"
	sessionChecks     = "agentmesh_session_checks_total"
	sessionLookups    = "agentmesh_session_lookups_total"
	sessionKeys       = "agentmesh_session_lookup_keys_total"
	dropped           = "agentmesh_dropped_total"
	waiting           = "agentmesh_waiting"
	routerEvents      = "agentmesh_router_total"
	zeromqConnections = "agentmesh_zeromq_connections_total"
	zeromqMessages    = "agentmesh_zeromq_messages_total"
	jobEvents         = "agentmesh_jobs_total"
	jobSeconds        = "agentmesh_job_seconds"
	queueJobs         = "agentmesh_queue_jobs"
	queueOldest       = "agentmesh_queue_oldest_seconds"
	redisUp           = "agentmesh_redis_up"
)

// Markdown is Table as docs/operations.md shows it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| metric | labels | meaning |\n|---|---|---|\n")
	for _, m := range Table {
		b.WriteString("| `" + m.Name + "` | " + strings.Join(m.Labels, ", ") + " | " + string(m.Kind) + ": " + m.Help + " |\n")
	}
	return b.String()
}

func find(name string) Metric {
	for _, m := range Table {
		if m.Name == name {
			return m
		}
	}
	panic("telemetry: " + name + " is not in Table") // a mistake in this package
}
