package zeromq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/observables"
)

// Socket is a ZeroMQ socket of any type, in place of one of zmq4's: it behaves as libzmq's do. It may have
// several endpoints, bound and connected. All methods are safe for concurrent use.
type Socket struct {
	kind    socketKind
	opts    Options
	pattern pattern
	inbox   inbox
	room    bell // some peer's queue has become shorter
	door    door
	buffers buffers
	monitor *observables.Subject[MonitorEvent]
	stats   socketCounters

	// zmq4.Socket's methods bear no context, so the socket keeps the one that its connections live in.
	life    context.Context //nolint:containedctx // see above
	stop    context.CancelFunc
	closing chan struct{} // Send and Recv end
	ending  atomic.Bool   // connections end
	close   func()
	tasks   sync.WaitGroup

	mu     sync.Mutex
	closed bool
	pipes  map[*pipe]struct{}
	binds  []bind
	dials  []dial
}

var (
	_ zmq4.Socket = (*Socket)(nil)
	_ zmq4.Topics = (*Socket)(nil)
)

// pattern is what distinguishes one type of socket from another.
type pattern interface {
	join(p *pipe) error                  // a pipe begins; an error refuses it
	leave(p *pipe)                       // it ends
	connected(l *link) error             // a pipe has a connection; an error refuses that
	disconnected(p *pipe)                // and has it no more; nothing of the connection runs any longer
	arrived(l *link, items []item) error // on the reader's goroutine; the slice is valid during the call
	send(ctx context.Context, frames [][]byte) error
	recv(ctx context.Context) (item, error)
}

// NewSocket makes a socket of type kind. It ends with Close or when ctx does, and does nothing until Listen
// or Dial.
func NewSocket(ctx context.Context, kind zmq4.SocketType, opts Options) (*Socket, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.setDefaults()
	s := &Socket{
		kind: socketKind(kind), opts: opts, room: newBell(),
		inbox:   inbox{hwm: opts.RecvHWM, ready: newBell()},
		monitor: observables.NewSubject[MonitorEvent](observables.Config{Buffer: 1024, Overflow: observables.DropOldest}),
		door: door{
			max: opts.MaxConns, logger: opts.Logger,
			throttle: throttle{rate: float64(opts.ConnectsPerSecond)}, waiting: waitingRoom{max: opts.MaxHandshakes},
		},
		closing: make(chan struct{}), pipes: map[*pipe]struct{}{},
	}
	if s.pattern = newPattern(s); s.pattern == nil {
		return nil, fmt.Errorf("zeromq: unknown socket type %q", kind)
	}
	s.life, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.close = sync.OnceFunc(s.shutDown)
	forget := context.AfterFunc(ctx, s.close)
	context.AfterFunc(s.life, func() { forget() }) //nolint:contextcheck // life is made of ctx
	return s, nil
}

// Type returns the type of the socket.
func (s *Socket) Type() zmq4.SocketType { return zmq4.SocketType(s.kind) }

// Send sends a copy of msg, as SendFrames with SendTimeout does.
func (s *Socket) Send(msg zmq4.Msg) error {
	ctx, cancel := s.limit(s.opts.SendTimeout)
	defer cancel()
	frames := msg.Frames
	if wireSize(frames) > maxCopied {
		frames = cloneFrames(frames)
	}
	return s.SendFrames(ctx, frames...)
}

// SendMulti is Send: every message leaves in one piece.
func (s *Socket) SendMulti(msg zmq4.Msg) error { return s.Send(msg) }

// SendFrames queues one message. Whether it waits for room, and for how long, is a matter of the socket's
// type: see Options.SendHWM. A message of up to 8 KB is copied; the bytes of a longer one must not be
// modified afterwards.
func (s *Socket) SendFrames(ctx context.Context, frames ...[]byte) error {
	if s.isClosing() {
		return ErrClosed
	}
	if len(frames) == 0 {
		return ErrNoFrames
	}
	return s.pattern.send(ctx, frames)
}

// Recv waits for a message, for RecvTimeout at most.
func (s *Socket) Recv() (zmq4.Msg, error) {
	ctx, cancel := s.limit(s.opts.RecvTimeout)
	defer cancel()
	r, err := s.RecvFrames(ctx)
	return zmq4.Msg{Frames: r.Frames}, err
}

// Received is a message and who sent it.
type Received struct {
	Frames [][]byte // they belong to the receiver
	Origin *Origin
}

// RecvFrames waits for a message until ctx ends. Peers take turns.
func (s *Socket) RecvFrames(ctx context.Context) (Received, error) {
	it, err := s.receive(ctx)
	if it.pipe != nil {
		it.pipe.passed.Add(1)
	}
	return Received{Frames: it.frames, Origin: it.origin}, err
}

func (s *Socket) receive(ctx context.Context) (item, error) {
	if s.isClosing() {
		return item{}, ErrClosed
	}
	return s.pattern.recv(ctx)
}

// limit is the context of a Send or Recv that was given none.
func (s *Socket) limit(timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout == 0 {
		return s.life, func() {}
	}
	return context.WithTimeoutCause(s.life, timeout, ErrTimeout)
}

func (s *Socket) isClosing() bool {
	select {
	case <-s.closing:
		return true
	default:
		return false
	}
}

// Monitor reports connections gained, lost and refused. A subscriber that is slow loses the oldest events.
func (s *Socket) Monitor() observables.Stream[MonitorEvent] { return s.monitor.Stream() }

func (s *Socket) report(e MonitorEvent) { // DropOldest: does not wait
	switch e.Kind {
	case PeerUp:
		s.stats.connected.Add(1)
	case Refused:
		s.stats.refused.Add(1)
	}
	s.monitor.OnNext(e)
}

// Dropped is Stats().Dropped.
func (s *Socket) Dropped() uint64 { return s.stats.dropped.Load() }

// Peers counts the connections that are up.
func (s *Socket) Peers() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for p := range s.pipes {
		if p.link.Load() != nil {
			n++
		}
	}
	return n
}

// GetOption knows HWM, the SendHWM.
func (s *Socket) GetOption(name string) (any, error) {
	if name == zmq4.OptionHWM {
		return s.opts.SendHWM, nil
	}
	return nil, zmq4.ErrBadProperty
}

// SetOption knows SUBSCRIBE and UNSUBSCRIBE, with a string; Options has the rest.
func (s *Socket) SetOption(name string, value any) error {
	topic, ok := value.(string)
	switch {
	case name == zmq4.OptionSubscribe && ok:
		return s.Subscribe(topic)
	case name == zmq4.OptionUnsubscribe && ok:
		return s.Unsubscribe(topic)
	}
	return zmq4.ErrBadProperty
}

// Subscribe asks every publisher, those that come later included, for messages whose first frame begins with
// topic. Subscriptions are counted. Only SUB and XSUB have them.
func (s *Socket) Subscribe(topic string) error { return s.subscribe(topic, true) }

// Unsubscribe takes one Subscribe back.
func (s *Socket) Unsubscribe(topic string) error { return s.subscribe(topic, false) }

func (s *Socket) subscribe(topic string, on bool) error {
	sub, ok := s.pattern.(*subscriber)
	if !ok {
		return ErrUnsupported
	}
	if s.isClosing() {
		return ErrClosed
	}
	return sub.subscribe(topic, on)
}

// Topics lists, sorted, what a SUB or XSUB has subscribed to, or what a PUB or XPUB is asked for.
func (s *Socket) Topics() []string {
	if t, ok := s.pattern.(zmq4.Topics); ok {
		return t.Topics()
	}
	return nil
}

// Close refuses further calls, waits up to Linger for what is queued, closes every connection and joins all
// that the socket started. What has been received and not read is lost.
func (s *Socket) Close() error {
	s.close()
	return nil
}

func (s *Socket) shutDown() {
	close(s.closing)
	s.mu.Lock()
	s.closed = true
	for _, b := range s.binds {
		b.listener.Close()
	}
	pipes := make([]*pipe, 0, len(s.pipes))
	for p := range s.pipes {
		pipes = append(pipes, p)
	}
	s.mu.Unlock()
	s.door.waiting.closeAll()
	flushed := s.flush(pipes)
	s.ending.Store(true)
	for i, p := range pipes {
		if l := p.link.Load(); l != nil {
			l.end(ErrClosed, i < flushed)
		}
	}
	s.stop()
	s.tasks.Wait()
	s.monitor.OnCompleted()
}

// flush waits for the queues, for Linger at most, and moves those pipes to the front that are empty.
func (s *Socket) flush(pipes []*pipe) (flushed int) {
	timer := time.NewTimer(max(s.opts.Linger, 0))
	defer timer.Stop()
	expired := false
	for i, p := range pipes {
		idle := p.out.drain()
		if !expired {
			select {
			case <-idle:
			case <-timer.C:
				expired = true
			}
		}
		select {
		case <-idle:
			pipes[flushed], pipes[i] = pipes[i], pipes[flushed]
			flushed++
		default:
		}
	}
	return flushed
}

// start runs a task unless the socket is closed.
func (s *Socket) start(task func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.tasks.Go(task)
	return nil
}

// enter makes p one of the socket's pipes.
func (s *Socket) enter(p *pipe) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := s.pattern.join(p); err != nil {
		return err
	}
	s.pipes[p] = struct{}{}
	return nil
}

func (s *Socket) leave(p *pipe) {
	p.out.close()
	s.pattern.leave(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pipes, p)
}

// Addr returns the address of the last Listen, nil if there was none.
func (s *Socket) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.binds) == 0 {
		return nil
	}
	return s.binds[len(s.binds)-1].listener.Addr()
}

// Addrs returns the endpoints that are bound, with the real ports, in the order of Listen.
func (s *Socket) Addrs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []string
	for _, b := range s.binds {
		addrs = append(addrs, b.endpoint)
	}
	return addrs
}

// Unbind stops accepting at an endpoint, as given to Listen or as in Addrs. Its peers stay.
func (s *Socket) Unbind(endpoint string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.binds, func(b bind) bool { return b.endpoint == endpoint || b.given == endpoint })
	if i < 0 {
		return fmt.Errorf("zeromq: unbind %s: %w", endpoint, errNoEndpoint)
	}
	s.binds[i].listener.Close()
	s.binds = slices.Delete(s.binds, i, i+1)
	return nil
}

// Disconnect takes one Dial back at once: what is queued for that peer is discarded.
func (s *Socket) Disconnect(endpoint string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.dials, func(d dial) bool { return d.endpoint == endpoint })
	if i < 0 {
		return fmt.Errorf("zeromq: disconnect %s: %w", endpoint, errNoEndpoint)
	}
	s.dials[i].stop()
	s.dials = slices.Delete(s.dials, i, i+1)
	return nil
}

var errNoEndpoint = errors.New("no such endpoint")

func cloneFrames(frames [][]byte) [][]byte {
	size := 0
	for _, f := range frames {
		size += len(f)
	}
	slab, all := make([]byte, 0, size), make([][]byte, len(frames))
	for i, f := range frames {
		at := len(slab)
		slab = append(slab, f...)
		all[i] = slab[at:len(slab):len(slab)]
	}
	return all
}
