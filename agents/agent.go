package agents

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/jobs"
	"github.com/agentmesh/agentmesh/middleware"
	"github.com/agentmesh/agentmesh/middleware/session"
	"github.com/agentmesh/agentmesh/observables"
	"github.com/agentmesh/agentmesh/router"
)

// Agent is one node of the mesh. Make it with New, register handlers, then Run it once.
type Agent struct {
	cfg Config
	log *slog.Logger

	jobHandlers *message.Mux    // what runs behind the broker, by type
	handler     message.Handler // what runs in front of it
	inbound     *observables.Subject[*message.Message]
	messages    *observables.Subject[*message.Message]

	redis    *redisx.Client
	embedded *redisx.Embedded
	broker   *jobs.Broker
	worker   *jobs.Worker
	router   *router.Router
	sessions *session.Store
	checks   checkers
	recent   revocations
	watching watching
	limits   limits

	dealers *zeromq.Router
	notify  *zeromq.Broker
	mesh    *switchboard // nil without dealers, or when they do not relay
	bridge  *websocket.Bridge
	http    *http.Server
	web     net.Listener

	modules    []Module
	ready      int // modules that are set up
	background []func(context.Context) error
	sockets    holdings      // what the program has opened
	servers    holdings      // routers and brokers that it runs
	inproc     zeromq.Inproc // where its sockets find each other

	dropped    atomic.Int64 // frames that were neither an envelope nor to be relayed
	started    atomic.Bool
	newClients sync.Mutex
	clients    *registry
	operations sync.WaitGroup
	places     chan struct{}
}

// New checks cfg and makes an Agent that does nothing yet.
func New(cfg Config) (*Agent, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	views := observables.Config{Buffer: 1024, Overflow: observables.DropOldest}
	a := &Agent{
		cfg: cfg, log: cfg.Logger,
		jobHandlers: message.NewMux(),
		inbound:     observables.NewSubject[*message.Message](views),
		messages:    observables.NewSubject[*message.Message](views),
		recent:      revocations{when: make(map[string]time.Time)},
		clients:     newRegistry(),
		places:      make(chan struct{}, maxOperations),
	}
	var err error
	if a.limits, err = newLimits(&a.cfg); err != nil {
		return nil, err
	}
	return a, nil
}

// Handle registers h for a type of message that the protocol leaves to applications: GameAction or one of
// your own. It runs behind the broker, on any agent of the mesh that has registered the type: one message
// at a time and in order for each game (else for each addressee, else for each sender), at least once.
// Register before Run.
func (a *Agent) Handle(typ string, h message.HandlerFunc) {
	switch typ {
	case message.DirectMessage, message.ChatRoomMessage, message.GlobalMessage:
		panic("agents: " + typ + " is delivered by the mesh itself; look at it with Messages")
	}
	a.jobHandlers.Register(typ, h)
}

// Inbound is what clients send, before the session check: believe nothing of it. Slow subscribers miss
// the oldest messages; they never slow the agent.
func (a *Agent) Inbound() observables.Stream[*message.Message] { return a.inbound.Stream() }

// Messages is what clients with a valid session send; From is who they are. Slow subscribers miss the
// oldest messages unless they ask for another policy with MessagesWith.
func (a *Agent) Messages() observables.Stream[*message.Message] { return a.messages.Stream() }

// MessagesWith is Messages with a buffer and policy of the subscriber's choice. With Block a slow
// subscriber slows the agent's sockets.
func (a *Agent) MessagesWith(c observables.Config) observables.Stream[*message.Message] {
	return a.messages.StreamWith(c)
}

// Run serves until ctx ends, then drains and returns nil. Any other return is what broke. It owns every
// goroutine of the agent and joins them all.
func (a *Agent) Run(ctx context.Context) error {
	if a.started.Swap(true) {
		return errors.New("agents: an Agent runs once")
	}
	defer a.flushTraces(ctx)
	if err := a.open(ctx); err != nil {
		a.close()
		return err
	}
	defer a.close()

	// The parts live on while the agent drains, so their context is not the caller's.
	live, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	parts, live := errgroup.WithContext(live)
	a.sockets.begin(live)
	a.servers.begin(live)
	err := a.start(ctx, live, parts)
	if err == nil && ctx.Err() == nil {
		a.announce()
		select {
		case <-ctx.Done():
		case <-live.Done(): // a part has failed
		}
	}
	a.drain(live)
	stop()
	broken := parts.Wait() // first: while a part runs, it may begin operations
	a.operations.Wait()
	if errors.Is(err, broken) {
		return err
	}
	return errors.Join(err, broken)
}

// open connects to the broker and makes the parts; nothing runs yet.
func (a *Agent) open(ctx context.Context) (err error) {
	if err = a.watch(ctx); err != nil {
		return err
	}
	if a.cfg.Redis == NoBroker {
		if types := a.jobHandlers.Types(); len(types) > 0 {
			return fmt.Errorf("agents: Handle(%q) needs a broker, and Redis is %q", types[0], NoBroker)
		}
		return nil
	}
	url := a.cfg.Redis
	if a.cfg.embedded() {
		if a.embedded, err = redisx.StartEmbedded(a.cfg.EmbeddedAddr); err != nil {
			return err
		}
		url = a.embedded.URL()
		a.log.Warn("the broker is embedded: everything in it is gone when this process ends; use --redis for more")
	}
	if a.redis, err = redisx.Open(url); err != nil {
		return err
	}
	ask, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if a.embedded == nil {
		warnings, err := a.redis.Check(ask)
		for _, w := range warnings {
			a.log.Warn(w)
		}
		if err != nil {
			return fmt.Errorf("agents: %w", err)
		}
	}
	if a.broker, err = jobs.New(jobs.Config{Redis: a.redis, Prefix: a.cfg.Prefix, Lease: a.cfg.Lease, Logger: a.log, Metrics: a.jobMetrics()}); err != nil {
		return err
	}
	if a.sessions, err = session.NewStore(session.Config{Redis: a.redis, Prefix: a.cfg.Prefix, Logger: a.log}); err != nil {
		return err
	}
	a.router, err = router.New(router.Config{
		Redis: a.redis, Prefix: a.cfg.Prefix, Incarnation: a.broker.Incarnation(), Carrier: carrier{a.broker},
		Alive: a.broker.Alive, Keep: a.cfg.History, KeepFor: a.cfg.HistoryFor, Logger: a.log,
	})
	if err != nil {
		return err
	}
	return a.bind(ctx)
}

// bind opens the sockets.
func (a *Agent) bind(ctx context.Context) (err error) {
	if len(a.cfg.ZeroMQ) > 0 {
		var admit func(context.Context, string) (func(), error)
		if a.cfg.Relay != RelayOff {
			if a.mesh, err = newSwitchboard(a); err != nil {
				return err
			}
			if a.cfg.Relay == RelayOpen {
				admit = a.mesh.admit
			}
		}
		a.dealers, err = zeromq.NewRouter(zeromq.RouterConfig{
			Name: a.cfg.Name, Bind: a.cfg.ZeroMQ, MaxMessage: int64(a.cfg.MaxMessage), Window: a.cfg.Window,
			QueueMessages: a.cfg.Queue, Security: a.cfg.Security, Admit: admit, Logger: a.log,
		})
		if err == nil {
			err = a.dealers.Listen() //nolint:contextcheck // binding waits for nothing
		}
		if err != nil {
			return err
		}
	}
	if a.cfg.HTTP == "" {
		return nil
	}
	a.bridge, err = websocket.NewBridge(websocket.Config{
		Origins: a.cfg.Origins, MaxMessage: int64(a.cfg.MaxMessage), Window: a.cfg.Window, QueueMessages: a.cfg.Queue,
		Authenticate: a.authenticate, Logger: a.log,
	})
	if err != nil {
		return err
	}
	if a.web, err = (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.HTTP); err != nil {
		return fmt.Errorf("agents: HTTP cannot listen: %w", err)
	}
	a.http = websocket.NewServer(a.cfg.HTTP, a.pages())
	if !loopback(a.cfg.HTTP) {
		a.log.Warn("other machines reach HTTP without encryption: sessions are readable on the way unless a proxy with TLS stands in front", "address", a.cfg.HTTP)
	}
	return nil
}

// start runs every part under live.
func (a *Agent) start(ctx, live context.Context, parts *errgroup.Group) error {
	a.serveMetrics(live, parts)
	if a.broker != nil {
		if err := a.startBroker(ctx, live, parts); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the end that was asked for
	}
	parts.Go(func() error { return a.sweep(live) })
	for _, work := range a.background {
		parts.Go(func() error { return work(live) })
	}
	if err := a.setUp(ctx); err != nil {
		return err
	}
	return a.startSockets(live, parts)
}

// startBroker starts what lives on Redis and returns when revocations of sessions are heard of.
func (a *Agent) startBroker(ctx, live context.Context, parts *errgroup.Group) error {
	parts.Go(func() error { return a.broker.Run(live) })
	parts.Go(func() error { return a.router.Run(live) })
	if a.mesh != nil {
		parts.Go(func() error { return a.mesh.names.Run(live) })
		parts.Go(func() error { return a.mesh.run(live) })
	}
	worker, err := a.broker.Join(ctx, a.workerConfig())
	if err != nil {
		return err
	}
	a.worker = worker
	parts.Go(func() error { return worker.Run(live) })

	watching := make(chan struct{})
	parts.Go(func() error { return a.watchSessions(live, func() { close(watching) }) })
	select {
	case <-watching:
	case <-live.Done():
		return context.Cause(live)
	case <-ctx.Done():
	}
	return nil
}

func (a *Agent) startSockets(live context.Context, parts *errgroup.Group) error {
	if err := a.startNotify(live, parts); err != nil {
		return err
	}
	if a.dealers != nil {
		check, err := a.newChecker()
		if err != nil {
			return err
		}
		a.checks.add(check)
		events := a.dealers.Events().Subscribe(live, a.zeromqEvent, a.eventFailed, nil)
		messages := receive(live, a, a.dealers.Messages(), check, a.arrivedZeroMQ)
		parts.Go(func() error { defer ended(messages, events); return a.dealers.Run(live) })
	}
	if a.bridge != nil {
		check, err := a.newChecker()
		if err != nil {
			return err
		}
		a.checks.add(check)
		events := a.bridge.Events().Subscribe(live, a.websocketEvent(live), a.eventFailed, nil)
		messages := receive(live, a, a.bridge.Messages(), check, a.arrivedWebSocket(live))
		parts.Go(func() error { defer ended(messages, events); return a.bridge.Run(live) })
		parts.Go(func() error {
			if err := a.http.Serve(a.web); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

// ended waits until the goroutines of subscriptions have ended.
func ended(subs ...*observables.Subscription) {
	for _, s := range subs {
		<-s.Done()
	}
}

func (a *Agent) eventFailed(err error) {
	a.log.Error("a connection event could not be processed", "error", err)
}

func (a *Agent) workerConfig() jobs.WorkerConfig {
	queues := make(map[string]jobs.QueueConfig)
	for _, typ := range a.jobHandlers.Types() {
		h, _ := a.jobHandlers.Lookup(typ)
		counted := message.HandlerFunc(func(ctx context.Context, m *message.Message) error { return h.Handle(withEffects(ctx), m) })
		queues[queueOf(typ)] = jobs.QueueConfig{Handler: a.watched(telemetry.Job, counted), Concurrency: a.cfg.Workers}
	}
	deliver := message.HandlerFunc(a.router.Deliver)
	var volatile message.Handler
	if a.mesh != nil {
		volatile = message.HandlerFunc(a.mesh.arrive)
	}
	return jobs.WorkerConfig{
		Name: a.cfg.Name, Queues: queues, Inbox: deliver, Volatile: volatile, Broadcast: deliver,
		Orphan:   func(ctx context.Context, _ string, j jobs.Job) error { return a.router.Reroute(ctx, j.Message) },
		Died:     a.router.Forget,
		Gap:      a.resyncGlobal,
		Rejoined: a.rejoin,
	}
}

// resyncGlobal reads what was said to everyone while the broadcasts were missed.
func (a *Agent) resyncGlobal(ctx context.Context) {
	if err := a.router.ResyncGlobal(ctx); err != nil {
		a.log.Error("messages to everyone could not be caught up with", "error", err)
	}
}

// rejoin restores what the mesh forgot of this agent while it was believed dead.
func (a *Agent) rejoin(ctx context.Context) {
	a.log.Warn("the mesh took this agent for dead; registering again")
	if err := a.router.Rejoin(ctx); err != nil {
		a.log.Error("registering again failed", "error", err)
	}
}

func (a *Agent) panicked(_ context.Context, m *message.Message, p *middleware.Panic) {
	a.log.Error("a handler panicked", "type", m.Type, "panic", p.Value, "stack", string(p.Stack))
}

func (a *Agent) newClient(l link, transport string) *client {
	c := &client{agent: a, link: l, transport: transport, meter: a.watching.metrics, born: time.Now()}
	a.clients.add(c)
	return c
}

// gone is called when the connection has ended, with what its socket says of that.
func (a *Agent) gone(c *client, reason error) {
	if c.markClosed(0) {
		a.forget(c)
	}
	a.countEnd(c, reason)
}

// forget takes a closed client out of everything.
func (a *Agent) forget(c *client) {
	a.clients.remove(c)
	if a.mesh != nil {
		a.mesh.disown(c)
	}
	a.router.Detach(c)
}

// Dropped counts the frames of ZeroMQ clients that were neither an envelope nor could be relayed.
func (a *Agent) Dropped() int64 { return a.dropped.Load() }

func (a *Agent) announce() {
	if a.cfg.Ready == nil {
		return
	}
	var where Addresses
	if a.redis != nil {
		where.Redis = redisx.Redacted(a.cfg.Redis)
	}
	if a.embedded != nil {
		where.Redis = a.embedded.URL()
	}
	if a.dealers != nil {
		where.ZeroMQ = a.dealers.Addrs()
	}
	if a.watching.web != nil {
		where.Metrics = "http://" + a.watching.web.Addr().String() + "/metrics"
	}
	if a.notify != nil {
		where.NotifyPub, where.NotifySub = a.notify.Addrs()
	}
	if a.web != nil {
		where.HTTP = "http://" + a.web.Addr().String()
	}
	a.cfg.Ready(where)
}

// Sessions is the store of sessions, for programs that log users in. It is nil before Run has opened the
// broker, and without one; Config.Ready is called after that.
func (a *Agent) Sessions() *session.Store { return a.sessions }

func newID() string { return rand.Text() }
