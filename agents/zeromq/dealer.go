package zeromq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// Dealer is a DEALER socket connected to one ROUTER. It reconnects for ever; what is sent while there is no
// connection waits in its bounded queue. A message of which the ROUTER received only a part is sent again
// whole; one that was handed to the kernel is not.
type Dealer struct {
	cfg      DealerConfig
	endpoint endpoint
	buffers  buffers
	out      outbox
	room     chan struct{} // capacity 1; the queue has become shorter
	waiting  atomic.Int32  // Sends that wait for room
	messages chan [][]byte
	pile     *pile // in place of messages; nil: not asked for
	events   chan DealerEvent
	started  atomic.Bool
	done     chan struct{}
}

// DealerEvent reports a connection gained or lost; Err is why it was lost or could not be had.
type DealerEvent struct {
	Connected bool
	Err       error
}

// NewDealer validates cfg and starts nothing.
func NewDealer(cfg DealerConfig) (*Dealer, error) {
	cfg.setDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	d := &Dealer{
		cfg: cfg, endpoint: e,
		room:     make(chan struct{}, 1),
		messages: make(chan [][]byte, cfg.Inbox),
		events:   make(chan DealerEvent, 64),
		done:     make(chan struct{}),
	}
	d.out = outbox{
		maxCount: cfg.QueueMessages, maxBytes: int(cfg.QueueBytes), timeout: cfg.WriteTimeout,
		buffers: &d.buffers, wrote: func(int) { d.wake() },
	}
	if cfg.Batches {
		d.pile = newPile(cfg.Inbox)
	}
	return d, nil
}

// Messages is what the ROUTER sends, in order; it is closed when Run ends. While it is full the socket is
// not read.
func (d *Dealer) Messages() <-chan [][]byte { return d.messages }

// Events reports connects and disconnects; it is closed when Run ends. It holds 64, then the oldest is
// dropped.
func (d *Dealer) Events() <-chan DealerEvent { return d.events }

// Send queues one message and blocks while the queue is full, connected or not, until ctx ends. It returns
// ErrClosed once Run is ending. A message of up to 8 KB is copied; the bytes of a longer one must not be
// modified afterwards.
func (d *Dealer) Send(ctx context.Context, frames ...[]byte) error {
	for {
		err := d.out.push(frames)
		if err == nil {
			if d.waiting.Load() > 0 && d.out.hasRoom() {
				d.wake()
			}
			return nil
		}
		if !errors.Is(err, ErrFull) {
			return err
		}
		if err := d.awaitRoom(ctx); err != nil {
			return err
		}
	}
}

// awaitRoom waits for the queue to become shorter. A token is never missed for good: as long as somebody
// waits there is a message queued, and writing it brings another token.
func (d *Dealer) awaitRoom(ctx context.Context) error {
	d.waiting.Add(1)
	defer d.waiting.Add(-1)
	select {
	case <-d.room:
		return nil
	case <-d.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// wake lets one blocked Send try again.
func (d *Dealer) wake() {
	select {
	case d.room <- struct{}{}:
	default:
	}
}

// Run connects, and connects again, until ctx ends. Then it flushes the queue for Linger at most if there is
// a connection, closes it, joins all that it started and returns nil. A Dealer runs once.
func (d *Dealer) Run(ctx context.Context) error {
	if d.started.Swap(true) {
		return errors.New("zeromq: a Dealer runs once")
	}
	defer close(d.events)
	defer close(d.messages)
	defer close(d.done)
	defer d.out.close()
	for delay := d.cfg.ReconnectMin; ctx.Err() == nil; delay = min(2*delay, d.cfg.ReconnectMax) {
		connected, err := d.connect(ctx)
		if connected {
			delay = d.cfg.ReconnectMin
		}
		d.report(DealerEvent{Err: err})
		d.cfg.Logger.Debug("zeromq: not connected", "endpoint", d.endpoint.String(), "err", err)
		// Full jitter would allow no pause at all; half keeps a floor.
		if ctx.Err() == nil {
			sleep(ctx, delay/2+rand.N(delay/2+1))
		}
	}
	return nil
}

func (d *Dealer) report(e DealerEvent) {
	for {
		select {
		case d.events <- e:
			return
		default:
		}
		select {
		case <-d.events:
		default:
		}
	}
}

// connect is the life of one connection.
func (d *Dealer) connect(ctx context.Context) (connected bool, err error) {
	dialer := net.Dialer{Timeout: d.cfg.DialTimeout}
	conn, err := dialer.DialContext(ctx, d.endpoint.network, d.endpoint.address)
	if err != nil {
		return false, fmt.Errorf("zeromq: %w", err)
	}
	defer conn.Close()
	c := &dealing{dealer: d, conn: conn, failed: make(chan error, 1)}
	c.pulse.ask = func() { d.out.command("PING", pingBody(0)) }
	c.pulse.silent = func() { c.fail(ErrSilent) }
	in := &decoder{
		conn: conn, buf: make([]byte, minReadBuffer), onRead: c.pulse.hear,
		limits:    limits{frame: d.cfg.MaxFrame, message: d.cfg.MaxMessage, parts: d.cfg.MaxParts},
		onCommand: (&commands{out: &d.out, ttl: c.pulse.expect}).handle,
	}
	sealer, peer, err := d.shakeHands(ctx, conn, in)
	if err != nil {
		return false, fmt.Errorf("zeromq: handshake: %w", err)
	}
	d.out.onFailure(c.fail)
	d.report(DealerEvent{Connected: true})
	if peer.minor >= 1 {
		c.pulse.interval, c.pulse.timeout = d.cfg.HeartbeatInterval, d.cfg.HeartbeatTimeout
	}
	return true, c.run(ctx, in, sealer)
}

func (d *Dealer) shakeHands(ctx context.Context, conn net.Conn, in *decoder) (*curve.Sealer, ready, error) {
	if err := conn.SetDeadline(time.Now().Add(d.cfg.HandshakeTimeout)); err != nil {
		return nil, ready{}, err
	}
	interrupt := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	h := handshake{own: zmq4.Dealer, routingID: d.cfg.RoutingID, security: &d.cfg.Security, addr: remoteAddr(conn)}
	peer, err := h.perform(ctx, conn, in)
	if !interrupt() {
		return nil, ready{}, context.Cause(ctx)
	}
	if err != nil {
		return nil, ready{}, err
	}
	return h.sealer, peer, conn.SetDeadline(time.Time{})
}

// dealing is one connection of a Dealer.
type dealing struct {
	dealer *Dealer
	conn   net.Conn
	pulse  pulse
	failed chan error // capacity 1: the first reason
}

func (c *dealing) fail(err error) {
	select {
	case c.failed <- err:
	default:
	}
}

// run serves the connection until it fails or ctx ends. All it starts has ended when it returns.
func (c *dealing) run(ctx context.Context, in *decoder, sealer *curve.Sealer) error {
	d := c.dealer
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var tasks sync.WaitGroup
	tasks.Go(func() { c.fail(c.read(reading, in)) })
	c.pulse.start()
	defer c.pulse.stop()
	d.out.attach(c.conn, sealer)
	var err error
	select {
	case err = <-c.failed:
	case <-ctx.Done():
		err = ErrClosed
		c.linger()
	}
	stop()
	c.conn.Close()
	tasks.Wait()
	d.out.detach()
	return err
}

// linger writes what is queued and hangs up.
func (c *dealing) linger() {
	timer := time.NewTimer(c.dealer.cfg.Linger)
	defer timer.Stop()
	select {
	case <-c.dealer.out.drain():
		hangUp(c.conn)
	case <-c.failed: //nolint:errcheck // whoever failed has said so
	case <-timer.C:
	}
}

func (c *dealing) read(ctx context.Context, in *decoder) error {
	for {
		c.pulse.reading.Store(true)
		batch, err := in.next()
		c.pulse.reading.Store(false)
		if err != nil {
			return err
		}
		if err := c.deliver(ctx, batch); err != nil {
			return err
		}
		c.pulse.hear()
	}
}

func (c *dealing) deliver(ctx context.Context, batch []Message) error {
	batch = slices.DeleteFunc(batch, func(m Message) bool {
		if m.TooLarge {
			c.dealer.cfg.Logger.Warn("zeromq: message over MaxMessage skipped", "endpoint", c.dealer.endpoint.String())
		}
		return m.TooLarge
	})
	if c.dealer.pile != nil {
		return c.dealer.pile.put(ctx, batch)
	}
	for _, m := range batch {
		select {
		case c.dealer.messages <- m.Frames:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
