package zeromq

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// pipe is a Socket's end towards one peer. One that was accepted lives as long as its connection; one that
// was dialled lives until Disconnect or Close, keeps its queue while there is no connection, and its place
// among the others.
type pipe struct {
	sock     *Socket
	endpoint string
	dialed   bool
	out      outbox
	in       *lane
	link     atomic.Pointer[link] // nil: not connected

	// Guarded by the pattern.
	id         string              // routing id
	replaces   *pipe               // has not answered a PING and loses its routing id to this one
	topics     map[string]struct{} // what it has subscribed to
	topicBytes int64
	mark       uint64 // of the last message matched

	came   uint64        // messages that have taken the way over the inbox; of the reader
	passed atomic.Uint64 // and those of them that whoever received them is through with
}

func (s *Socket) newPipe(endpoint string, dialed bool) *pipe {
	p := &pipe{sock: s, endpoint: endpoint, dialed: dialed, in: newLane()}
	o := &p.out // filled in place: a copy would lie on the stack of every idle connection
	o.maxCount, o.maxBytes, o.buffers = s.opts.SendHWM, int(s.opts.SendBytes), &s.buffers
	o.failed, o.wrote = p.end, s.wrote
	return p
}

// wrote is told how many messages have left.
func (s *Socket) wrote(n int) {
	s.stats.out.Add(uint64(n))
	s.room.ring()
}

// end closes the connection there is.
func (p *pipe) end(reason error) {
	if l := p.link.Load(); l != nil {
		l.end(reason, false)
	}
}

// link is one connection of a pipe, past its handshake.
type link struct {
	pipe    *pipe
	conn    net.Conn
	sealer  *curve.Sealer // nil: frames travel as they are
	in      *decoder
	origin  *Origin
	answers bool // it speaks ZMTP 3.1, so it has to answer PING
	pulse   pulse
	items   []item // of one batch, used again

	once   sync.Once
	gone   chan struct{} // closed by end
	polite bool          // all is written: hang up instead of just closing
	reason error
}

// newLink prepares for a handshake over conn.
func (s *Socket) newLink(p *pipe, conn net.Conn) *link {
	l := &link{pipe: p, conn: conn, gone: make(chan struct{})}
	c := &commands{out: &p.out, ttl: l.pulse.expect}
	l.in = &decoder{
		conn: conn, limits: s.opts.limits(), buf: make([]byte, minReadBuffer),
		onRead: l.pulse.hear, onCommand: c.handle,
	}
	if sub, ok := s.pattern.(*subscriber); ok && sub.extended {
		l.in.forward = func(buf []byte) int { return l.forward(sub, buf) }
	}
	if s.kind.publishes() {
		c.other = l.subscription
	}
	return l
}

// subscription turns the commands of ZMTP 3.1 into the messages of 3.0, at their place among the others.
func (l *link) subscription(name string, data []byte) (bool, error) {
	var first byte
	switch name {
	case "SUBSCRIBE":
		first = 1
	case "CANCEL":
	default:
		return false, nil
	}
	l.in.batch = append(l.in.batch, Message{Frames: [][]byte{append([]byte{first}, data...)}})
	return true, nil
}

// run serves the connection until it ends. All it starts has ended when it returns. While the peer is idle
// its frame, and those below it, are what the peer costs in stack: they are kept small.
func (l *link) run() {
	err := l.begin()
	known := err == nil
	if known {
		err = l.read()
	}
	l.finish(known, err)
}

// begin makes the connection one that messages go over, unless the pattern refuses it.
func (l *link) begin() error {
	p, s := l.pipe, l.pipe.sock
	p.link.Store(l)
	if s.ending.Load() { // Close may have looked before there was a link
		l.end(ErrClosed, false)
	}
	l.pulse.ask = func() { p.out.command("PING", pingBody(s.opts.HeartbeatTTL)) }
	l.pulse.silent = func() { l.end(ErrSilent, false) }
	if l.answers {
		l.pulse.interval, l.pulse.timeout = s.opts.HeartbeatInterval, s.opts.HeartbeatTimeout
	}
	if err := s.pattern.connected(l); err != nil {
		return err
	}
	s.report(MonitorEvent{Kind: PeerUp, Endpoint: p.endpoint, Origin: l.origin})
	l.pulse.start()
	p.out.attach(l.conn, l.sealer)
	s.room.ring() // Immediate
	return nil
}

// finish is the end of the connection; known says that PeerUp has been reported.
func (l *link) finish(known bool, err error) {
	p, s := l.pipe, l.pipe.sock
	l.end(err, false)
	l.pulse.stop()
	if l.polite {
		hangUp(l.conn)
	}
	l.conn.Close()
	p.link.Store(nil)
	p.out.detach()
	s.pattern.disconnected(p)
	kind := Refused
	if known {
		kind = PeerDown
	}
	s.report(MonitorEvent{Kind: kind, Endpoint: p.endpoint, Origin: l.origin, Reason: l.reason})
}

// alive reports whether the peer says something within timeout. One that has just spoken is not asked, so
// strangers who claim its id cannot have it flooded; one whose reader is held back by us cannot be heard and
// counts as alive, as does one that need not know PING.
func (l *link) alive(timeout time.Duration) bool {
	began := time.Now()
	if !l.answers || began.Sub(time.Unix(0, l.pulse.heard.Load())) < timeout/16 {
		return true
	}
	l.pulse.ask()
	timer, look := time.NewTimer(timeout), time.NewTicker(max(timeout/200, time.Millisecond))
	defer timer.Stop()
	defer look.Stop()
	for {
		if l.pulse.heard.Load() >= began.UnixNano() || !l.pulse.reading.Load() {
			return true
		}
		select {
		case <-look.C:
		case <-l.gone:
			return false
		case <-timer.C:
			return false
		}
	}
}

func (l *link) read() error {
	for {
		l.pulse.reading.Store(true)
		batch, err := l.in.next()
		l.pulse.reading.Store(false)
		if err != nil {
			return err
		}
		l.pipe.sock.stats.in.Add(uint64(len(batch)))
		if cap(l.items) > maxIdleQueue {
			l.items = nil
		}
		l.items = l.items[:0]
		for i := range batch {
			if batch[i].TooLarge {
				return ErrLimit
			}
			l.items = append(l.items, item{batch[i].Frames, l.pipe, l.origin})
		}
		err = l.pipe.sock.pattern.arrived(l, l.items)
		clear(l.items)
		if err != nil {
			return err
		}
		l.pulse.hear() // the wait was ours
	}
}

// end ends the connection, politely if all has been written. It does not wait.
func (l *link) end(reason error, polite bool) {
	l.once.Do(func() {
		l.reason, l.polite = reason, polite
		close(l.gone)
		if polite && l.conn.SetReadDeadline(time.Unix(1, 0)) == nil {
			return
		}
		l.conn.Close()
	})
}
