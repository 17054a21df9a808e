package websocket

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/agentmesh/agentmesh/observables"
)

// Message is one message of a peer. Body is valid UTF-8 and belongs to whoever receives it; it is shared
// by all subscribers and must not be modified.
type Message struct {
	Conn     *Conn
	Body     []byte // nil when TooLarge
	TooLarge bool   // over MaxMessage, and skipped
}

// Kind says what an Event tells.
type Kind uint8

// The kinds of Event.
const (
	Up   Kind = iota + 1 // the connection is open
	Down                 // the connection has ended and all its messages were published
)

// Event tells that a connection opened or ended.
type Event struct {
	Kind   Kind
	Conn   *Conn
	Reason error // of Down: a *CloseError
}

// Bridge accepts WebSocket connections and publishes what they say. It is an http.Handler, to be
// mounted at GET /ws.
type Bridge struct {
	cfg      Config
	origins  origins
	messages *observables.Subject[Message]
	events   *observables.Subject[Event]

	joins    chan *Conn    // from the handler to Run
	serving  chan struct{} // closed when Run begins
	stopping chan struct{} // closed when Run no longer takes from joins
	started  atomic.Bool
	closed   atomic.Bool
	open     atomic.Int64 // connections and handshakes
	keys     atomic.Uint64

	frames  sync.Pool // gorilla's write buffers
	corks   sync.Pool // *[]byte, what the wires hold until they are flushed
	scratch sync.Pool // *[]byte, where messages are read before they are copied to their size

	mu    sync.Mutex
	conns map[uint64]*Conn
}

// NewBridge checks cfg and starts nothing. Until Run is called the handler answers 503.
func NewBridge(cfg Config) (*Bridge, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Bridge{
		cfg:      cfg,
		origins:  newOrigins(cfg.Origins),
		messages: observables.NewSubject[Message](observables.Config{Buffer: cfg.Buffer, Overflow: observables.Block}),
		events:   observables.NewSubject[Event](observables.Config{Buffer: cfg.Buffer, Overflow: observables.Block}),
		joins:    make(chan *Conn),
		serving:  make(chan struct{}),
		stopping: make(chan struct{}),
		conns:    make(map[uint64]*Conn),
	}
	b.corks.New = func() any { return newBuffer(2 << 10) }
	b.scratch.New = func() any { return newBuffer(4 << 10) }
	return b, nil
}

func newBuffer(n int) *[]byte {
	p := make([]byte, 0, n)
	return &p
}

// Run serves the connections that ServeHTTP upgrades. When ctx ends it sends every connection what is
// queued for it and GoingAway, joins all goroutines, completes both streams and returns nil. That takes
// WriteTimeout and a second for peers that do not read.
func (b *Bridge) Run(ctx context.Context) error {
	if b.started.Swap(true) {
		return ErrRunning
	}
	close(b.serving)
	var conns sync.WaitGroup
	for ctx.Err() == nil {
		select {
		case c := <-b.joins:
			cctx, cancel := context.WithCancel(ctx)
			c.cancel = cancel
			b.register(c)
			conns.Go(func() { c.run(cctx) })
		case <-ctx.Done():
		}
	}
	b.StopAccepting()
	close(b.stopping)
	for _, c := range b.list() {
		c.CloseAfterFlush(GoingAway, "", 0)
	}
	conns.Wait()
	b.messages.OnCompleted()
	b.events.OnCompleted()
	return nil
}

// Messages is what the peers say. A slow subscriber slows the reading of the sockets, nothing is lost.
// Every message must be released on its Conn once it has been dealt with.
func (b *Bridge) Messages() observables.Stream[Message] { return b.messages.Stream() }

// Events tells of connections that open and end.
func (b *Bridge) Events() observables.Stream[Event] { return b.events.Stream() }

// Conns counts the connections, handshakes in progress included.
func (b *Bridge) Conns() int { return int(b.open.Load()) }

// StopAccepting makes the handler answer 503 from now on. Open connections stay.
func (b *Bridge) StopAccepting() { b.closed.Store(true) }

// Serving is closed when Run has begun: until then ServeHTTP sends everybody away with status 503.
func (b *Bridge) Serving() <-chan struct{} { return b.serving }

// reserve takes one of the MaxConns places.
func (b *Bridge) reserve() bool {
	if b.closed.Load() || !b.started.Load() {
		return false
	}
	if b.open.Add(1) > int64(b.cfg.MaxConns) {
		b.unreserve()
		return false
	}
	return true
}

func (b *Bridge) unreserve() { b.open.Add(-1) }

func (b *Bridge) register(c *Conn) {
	b.mu.Lock()
	b.conns[c.key] = c
	b.mu.Unlock()
}

func (b *Bridge) unregister(c *Conn) {
	b.mu.Lock()
	delete(b.conns, c.key)
	b.mu.Unlock()
	b.unreserve()
}

func (b *Bridge) list() []*Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*Conn, 0, len(b.conns))
	for _, c := range b.conns {
		all = append(all, c)
	}
	return all
}
