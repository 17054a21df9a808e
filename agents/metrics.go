package agents

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/middleware"
	"github.com/agentmesh/agentmesh/observables"
)

// watching is how an agent is watched from outside. The zero value watches nothing, and costs a comparison
// with nil where something could be counted.
type watching struct {
	metrics *telemetry.Metrics // nil: none
	tracing *telemetry.Tracing // nil: none
	types   map[string]bool    // what messages may be called in metrics and traces
	web     net.Listener
	server  *http.Server
	depths  depths
}

// watch begins to count and to trace, as far as the Config says so. Every handler has been registered.
func (a *Agent) watch(ctx context.Context) (err error) {
	if a.cfg.OTLP != "" {
		c := telemetry.TracingConfig{Agent: a.cfg.Name, Logger: a.log}
		if a.cfg.OTLP != OTLPFromEnvironment {
			c.URL = a.cfg.OTLP
		}
		if a.watching.tracing, err = telemetry.NewTracing(ctx, c); err != nil {
			return err
		}
	}
	a.watching.types = make(map[string]bool)
	for _, typ := range append(a.jobHandlers.Types(),
		message.DirectMessage, message.ChatRoomMessage, message.GlobalMessage, message.GameAction,
		message.Login, message.Logout, message.JoinRoom, message.LeaveRoom, message.Who, message.Ping,
		message.Ack, message.Err, message.Presence, message.Pong) {
		a.watching.types[typ] = true
	}
	if a.cfg.Metrics != "" {
		if a.watching.web, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Metrics); err != nil {
			return fmt.Errorf("agents: Metrics cannot listen: %w", err)
		}
		if !loopback(a.cfg.Metrics) {
			a.log.Warn("other machines can read the metrics: how busy the agent is and what its queues are called, but nothing of users", "address", a.cfg.Metrics)
		}
		a.watching.metrics = telemetry.NewMetrics(slices.Collect(maps.Keys(a.watching.types)), a.tell)
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", a.watching.metrics)
		a.watching.server = websocket.NewServer(a.cfg.Metrics, mux)
	}
	a.handler = a.watched(telemetry.Client, a.inboundHandler())
	return nil
}

// watched is what surrounds every handler, on either side of Redis.
func (a *Agent) watched(side string, h message.Handler) message.Handler {
	var meter middleware.Meter
	if a.watching.metrics != nil {
		meter = a.watching.metrics.Side(side)
	}
	return message.Chain(a.traced(side), middleware.Metrics(meter), middleware.Recover(a.panicked))(h)
}

// serveMetrics answers scrapes until live ends: also while the agent drains.
func (a *Agent) serveMetrics(live context.Context, parts *errgroup.Group) {
	server := a.watching.server
	if server == nil {
		return
	}
	parts.Go(func() error {
		if err := server.Serve(a.watching.web); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	parts.Go(func() error {
		<-live.Done()
		return server.Close()
	})
}

// tell says what the agent's state is, for a scrape.
func (a *Agent) tell(ctx context.Context, s *telemetry.State) {
	for transport, n := range a.clients.transports() {
		s.Connections(transport, n)
	}
	s.Sessions(a.clients.sessions())
	var sum observables.CheckStats
	for _, c := range a.checks.list() {
		sum = sum.Plus(c.Stats())
	}
	s.Checks(sum.Cached, sum.Waited, sum.Known)
	s.Lookups(sum.Calls-sum.Failed, sum.Failed, sum.Keys)
	s.Dropped("inbound", a.inbound.Dropped())
	s.Dropped("messages", a.messages.Dropped())
	s.Dropped("relay", uint64(a.dropped.Load()))
	backlog := map[string]int{}
	for _, c := range a.clients.snapshot() {
		backlog[c.transport] += c.link.Backlog()
	}
	for _, transport := range [...]string{overZeroMQ, overWebSocket} {
		s.Waiting(transport, backlog[transport])
	}
	if a.dealers != nil {
		z := a.dealers.Stats()
		s.ZeroMQ(z.Accepted, z.Refused, z.In, z.Out, z.TooLarge)
		s.Dropped("zeromq", z.Overflows)
	}
	if a.broker != nil {
		a.tellRouter(s)
		a.tellQueues(ctx, s)
	}
}

func (a *Agent) tellRouter(s *telemetry.State) {
	r := a.router.Stats()
	s.Dropped("router", r.Refused)
	s.Waiting("router", r.Waiting)
	for event, n := range map[string]uint64{
		"published": r.Published, "duplicates": r.Duplicates, "delivered": r.Delivered, "detached": r.Detached,
		"strays": r.Strays, "holes": r.Holes, "filled": r.Filled, "gave_up": r.GaveUp,
	} {
		s.Router(event, n)
	}
}

// depths are what the queues held when they were last asked: however often somebody scrapes, Redis is asked
// once a second.
type depths struct {
	mu     sync.Mutex
	when   time.Time
	queues []jobs.QueueStats
	err    error
}

const depthsEvery = time.Second

// look holds the lock while it asks, so that others who scrape at the same time wait for its answer instead of
// asking too.

func (d *depths) look(ctx context.Context, b *jobs.Broker, types []string) ([]jobs.QueueStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.when) < depthsEvery {
		return d.queues, d.err
	}
	d.queues, d.err = nil, nil
	for _, typ := range types {
		q, err := b.Queue(ctx, queueOf(typ))
		if err != nil {
			d.err = err
			break
		}
		d.queues = append(d.queues, q)
	}
	d.when = time.Now()
	return d.queues, d.err
}

// tellQueues looks at the queues that this agent works on.
func (a *Agent) tellQueues(ctx context.Context, s *telemetry.State) {
	queues, err := a.watching.depths.look(ctx, a.broker, a.jobHandlers.Types())
	if err == nil && len(queues) == 0 {
		err = a.redis.Ping(ctx).Err()
	}
	s.Redis(err == nil)
	for _, q := range queues {
		s.Queue(q.Name, "waiting", q.Waiting)
		s.Queue(q.Name, "active", q.Active)
		s.Queue(q.Name, "blocked", q.Blocked)
		s.Queue(q.Name, "aside", q.Aside)
		s.Queue(q.Name, "dead", q.Dead)
		s.Oldest(q.Name, q.Oldest)
	}
}

// jobMetrics is what the broker counts with; nil if nobody asks.
func (a *Agent) jobMetrics() jobs.Metrics {
	if a.watching.metrics == nil {
		return nil
	}
	return a.watching.metrics.Jobs()
}

// countOperation counts a request that waited for Redis.
func (a *Agent) countOperation(r request, began time.Time) {
	if a.watching.metrics == nil {
		return
	}
	typ := a.typeName(r.m.Type)
	if r.attach {
		typ = "handshake"
	}
	a.watching.metrics.Operation(typ, time.Since(began))
}

// countEnd counts the end of a connection. reason is what the socket says of it.
func (a *Agent) countEnd(c *client, reason error) {
	if a.watching.metrics == nil {
		return
	}
	code := "gone"
	var closed *websocket.CloseError
	switch chosen := c.endedWith(); {
	case chosen != 0:
		code = strconv.Itoa(int(chosen))
	case errors.As(reason, &closed) && !closed.Remote:
		code = strconv.Itoa(closed.Code)
	case errors.Is(reason, zeromq.ErrFull):
		code = strconv.Itoa(int(closeSlow))
	case errors.Is(reason, zeromq.ErrSilent):
		code = strconv.Itoa(int(closeIdle))
	}
	a.watching.metrics.Closed(c.transport, code)
}
