package agents

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/observables"
)

// SocketConfig describes a ZeroMQ socket of a program's own.
type SocketConfig struct {
	Type     zeromq.SocketType // zeromq.REP and so on
	Endpoint string            // as tcp://127.0.0.1:5555; empty means none yet: see Socket.Bind and Socket.Connect
	Buffer   int               // messages that wait for a subscriber of Messages, then the socket is not read; 0 means 1024

	// Options are the socket's, encryption included. Logger is the agent's unless given; inproc:// names are
	// those of the agent unless Inproc is given.
	Options zeromq.Options
}

// Socket is a ZeroMQ socket of any type as an observable and a Send for any goroutine. It is closed with its
// agent, after the modules' Shutdown; what was sent before is flushed for Options.Linger. All methods are
// safe for concurrent use.
//
// A REP receives the next request when the last one has been answered, a REQ its answer after each Send.
// Until then Messages waits.
type Socket struct {
	agent    *Agent
	zmq      *zeromq.Socket
	send     func(frames ...[]byte) error
	messages observables.Stream[zeromq.Received]
	sent     chan struct{} // of REQ and REP: it may be the reader's turn; else nil
	closed   chan struct{}
	close    func()

	mu      sync.Mutex
	readers int
	idle    chan struct{} // closed when the socket is and the last reader has ended
}

// Bind opens a socket and listens on cfg.Endpoint. It may be called from a Module's Setup on, until the
// agent stops.
func (a *Agent) Bind(cfg SocketConfig) (*Socket, error) {
	return a.openSocket(cfg, (*Socket).Bind)
}

// Connect opens a socket and connects it to cfg.Endpoint. It returns at once: Events tells whether the
// connection can be had, and what is sent meanwhile waits for it as far as the type of the socket allows.
// It may be called from a Module's Setup on, until the agent stops.
func (a *Agent) Connect(cfg SocketConfig) (*Socket, error) {
	return a.openSocket(cfg, (*Socket).Connect)
}

func (a *Agent) openSocket(cfg SocketConfig, attach func(*Socket, string) error) (*Socket, error) {
	def(&cfg.Buffer, 1024)
	if cfg.Buffer < 0 {
		return nil, errors.New("agents: SocketConfig.Buffer must not be negative")
	}
	def(&cfg.Options.Logger, a.log.With("socket", string(cfg.Type)))
	def(&cfg.Options.Inproc, &a.inproc)
	s := &Socket{agent: a, closed: make(chan struct{}), idle: make(chan struct{})}
	s.close = sync.OnceFunc(s.shutDown)
	s.messages = s.receive().Pipe(observables.Share[zeromq.Received](observables.Config{Buffer: cfg.Buffer}))
	if cfg.Type == zeromq.REQ || cfg.Type == zeromq.REP {
		s.sent = make(chan struct{}, 1)
	}
	err := a.sockets.hold(func(life context.Context) (_ holding, err error) {
		s.zmq, err = zeromq.NewSocket(life, cfg.Type, cfg.Options)
		s.send = sender(context.WithoutCancel(life), s.zmq, cfg.Options.SendTimeout) // closing ends it
		return s, err
	})
	if err != nil {
		return nil, err
	}
	if cfg.Endpoint == "" {
		return s, nil
	}
	if err := attach(s, cfg.Endpoint); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Bind listens on one more endpoint.
func (s *Socket) Bind(endpoint string) error {
	if err := s.zmq.Listen(endpoint); err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	return nil
}

// Connect connects to one more endpoint, and returns at once.
func (s *Socket) Connect(endpoint string) error {
	if err := s.zmq.Dial(endpoint); err != nil {
		return fmt.Errorf("agents: %w", err)
	}
	return nil
}

// Messages is what arrives, with who sent it: Origin.UserID is whom the authenticator says. It is hot: every
// subscription gets what arrives while it lasts, in order for each peer. While there is none the socket is
// not read and messages wait in it (Options.RecvHWM); what was read ahead for the last one when it ends is
// gone. A subscriber that is slow makes the socket wait, and so, through TCP, the sender. The stream completes when the socket is closed, and fails with
// zeromq.ErrUnsupported if its type does not receive.
func (s *Socket) Messages() observables.Stream[zeromq.Received] { return s.messages }

// Events reports connections gained, lost and refused. Subscribe before Bind or Connect to miss none; a
// subscriber that is slow loses the oldest.
func (s *Socket) Events() observables.Stream[zeromq.MonitorEvent] { return s.zmq.Monitor() }

// Send queues one message, from any goroutine. Whether it waits for room is a matter of the socket's type
// (Options.SendHWM), for how long of Options.SendTimeout. It returns zeromq.ErrClosed when the socket has
// been closed, and zeromq.ErrState when it is not the turn of a REQ or REP. Neither frames nor their bytes
// may be modified afterwards.
func (s *Socket) Send(frames ...[]byte) error {
	if err := s.send(frames...); err != nil {
		return err
	}
	select {
	case s.sent <- struct{}{}:
	default:
	}
	return nil
}

func sender(ctx context.Context, to *zeromq.Socket, timeout time.Duration) func(frames ...[]byte) error {
	if timeout == 0 {
		return func(frames ...[]byte) error { return to.SendFrames(ctx, frames...) }
	}
	return func(frames ...[]byte) error {
		ctx, cancel := context.WithTimeoutCause(ctx, timeout, zeromq.ErrTimeout)
		defer cancel()
		return to.SendFrames(ctx, frames...)
	}
}

// Subscribe asks for messages whose first frame begins with topic. Only SUB and XSUB have subscriptions;
// they are counted.
func (s *Socket) Subscribe(topic string) error { return s.zmq.Subscribe(topic) }

// Unsubscribe takes one Subscribe back.
func (s *Socket) Unsubscribe(topic string) error { return s.zmq.Unsubscribe(topic) }

// Addrs are the endpoints that are bound, with the real ports.
func (s *Socket) Addrs() []string { return s.zmq.Addrs() }

// Peers counts the connections that are up.
func (s *Socket) Peers() int { return s.zmq.Peers() }

// Dropped counts the messages that could not be sent because a peer's queue was full or nobody has the
// routing id.
func (s *Socket) Dropped() uint64 { return s.zmq.Dropped() }

// Close closes the socket before its agent ends: what is queued is flushed for Options.Linger, later calls
// return zeromq.ErrClosed, Messages and Events complete.
func (s *Socket) Close() {
	s.close()
	s.agent.sockets.drop(s)
}

func (s *Socket) shutDown() {
	s.mu.Lock()
	close(s.closed)
	if s.readers == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	_ = s.zmq.Close()
}

// end waits for the readers too: they are held up by who does not take what was read.
func (s *Socket) end(ctx context.Context) {
	s.close()
	select {
	case <-s.idle:
	case <-ctx.Done():
		s.agent.log.Error("a socket is closed, but a subscriber of its messages does not return", "socket", string(s.zmq.Type()))
	}
}

// receive reads the socket, on one goroutine for each subscription.
func (s *Socket) receive() observables.Stream[zeromq.Received] {
	return observables.Defer(func(ctx context.Context) (observables.Stream[zeromq.Received], error) {
		return observables.FromSeq(s.arrivals(ctx)), nil
	})
}

func (s *Socket) arrivals(ctx context.Context) iter.Seq2[zeromq.Received, error] {
	return func(yield func(zeromq.Received, error) bool) {
		if !s.enter() {
			return
		}
		defer s.leave()
		for {
			m, err := s.zmq.RecvFrames(ctx)
			switch {
			case err == nil:
				if !yield(m, nil) {
					return
				}
			case errors.Is(err, zeromq.ErrClosed), ctx.Err() != nil:
				return
			case errors.Is(err, zeromq.ErrState) && s.sent != nil:
				select {
				case <-s.sent:
				case <-s.closed:
					return
				case <-ctx.Done():
					return
				}
			default:
				yield(zeromq.Received{}, err)
				return
			}
		}
	}
}

// enter makes the caller a reader unless the socket is closed.
func (s *Socket) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.closed:
		return false
	default:
		s.readers++
		return true
	}
}

func (s *Socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.readers--
	select {
	case <-s.closed:
		if s.readers == 0 {
			close(s.idle)
		}
	default:
	}
}
