package zeromq

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// Decode runs a decoder over data as it would arrive in reads of at most chunk bytes.
func Decode(data []byte, chunk int, message, frame int64, parts int) (all []Message, commands []string, err error) {
	return DecodeSealed(nil, data, chunk, message, frame, parts)
}

// DecodeSealed does it with frames that opener opens.
func DecodeSealed(opener *curve.Opener, data []byte, chunk int, message, frame int64, parts int) (all []Message, commands []string, err error) {
	d := &decoder{
		opener: opener,
		conn:   &chunked{data, chunk},
		limits: limits{frame: frame, message: message, parts: parts},
		buf:    make([]byte, minReadBuffer),
		onRead: func() {},
		onCommand: func(name string, data []byte) error {
			commands = append(commands, name+string(data))
			return nil
		},
	}
	for {
		batch, err := d.next()
		if err != nil {
			return all, commands, err
		}
		all = append(all, batch...)
	}
}

// AppendMessage encodes as the outbox does.
func AppendMessage(dst []byte, frames ...[]byte) []byte {
	for i, f := range frames {
		var flags byte
		if i < len(frames)-1 {
			flags = flagMore
		}
		dst = append(appendHeader(dst, flags, len(f)), f...)
	}
	return dst
}

// Handshake runs the gate of a ROUTER over what a peer sends.
func Handshake(data []byte, chunk int, s Security) (routingID string, err error) {
	d := &decoder{conn: &chunked{data, chunk}, buf: make([]byte, minReadBuffer), onRead: func() {}}
	h := handshake{own: zmq4.Router, routingID: "agent", security: &s, admit: func(ready) error { return nil }}
	r, err := h.perform(context.Background(), sink{}, d)
	return r.routingID, err
}

// WriteUntil runs the writer of an outbox, with a sealer or without, over a connection that fails after limit bytes.
func WriteUntil(limit int, messages [][][]byte, s *curve.Sealer) (written []byte, sent int, err error) {
	conn := &failing{left: limit}
	o := outbox{maxCount: len(messages), maxBytes: 1 << 30, buffers: &buffers{}}
	for _, m := range messages {
		if err := o.push(m); err != nil {
			return nil, 0, err
		}
	}
	o.conn, o.sealer, o.failed, o.wrote = conn, s, func(e error) { err = e }, func(n int) { sent += n }
	o.commands, o.writing = appendCommand(nil, "PONG", nil), true
	o.write()
	if left := o.backlog(); left != len(messages)-sent {
		return nil, 0, fmt.Errorf("%d of %d messages sent, %d left", sent, len(messages), left)
	}
	return conn.written, sent, err
}

// QueueMemory is what an outbox without a connection holds in buffers and in bodies once messages are queued.
func QueueMemory(messages [][][]byte) (held, counted int, err error) {
	o := outbox{maxCount: len(messages), maxBytes: 1 << 30, buffers: &buffers{}}
	for _, m := range messages {
		if err := o.push(m); err != nil {
			return 0, 0, err
		}
	}
	for i := range o.queue {
		if p := &o.queue[i]; p.encoded != nil {
			held += cap(*p.encoded)
		} else {
			held += p.size
		}
	}
	return held, o.bytes, nil
}

type failing struct {
	sink
	left    int
	written []byte
}

func (f *failing) SetWriteDeadline(time.Time) error { return nil }

func (f *failing) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	f.written = append(f.written, p[:n]...)
	if n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

type chunked struct {
	data  []byte
	chunk int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.chunk)], c.data)
	c.data = c.data[n:]
	return n, nil
}

type sink struct{ net.Conn }

func (sink) Write(p []byte) (int, error) { return len(p), nil }
func (sink) SetDeadline(time.Time) error { return nil }
func (sink) Close() error                { return nil }

// Trie is the trie of subscriptions, with strings that name their keys.
type Trie struct{ t trie[string] }

func (t *Trie) Add(key string)      { *t.t.at(key) = key }
func (t *Trie) Has(key string) bool { v := t.t.find(key); return v != nil && *v == key }
func (t *Trie) Remove(key string)   { t.t.remove(key) }
func (t *Trie) Keys() []string      { return t.t.keys("", nil) }
func (t *Trie) Nodes() int          { return t.t.nodes() }
func (t *Trie) Match(topic string) (keys []string) {
	t.t.match([]byte(topic), func(k *string) bool {
		keys = append(keys, *k)
		return true
	})
	return keys
}

func (t *trie[V]) nodes() int {
	n := 1
	for _, c := range t.children {
		n += c.nodes()
	}
	return n
}

// MemoryPipe is what inproc connections are made of.
func MemoryPipe() (net.Conn, net.Conn) { return newMemoryPipe(inprocAddr("test")) }

// UseListener takes the place of Listen.
func (r *Router) UseListener(l net.Listener) {
	r.listeners, r.addrs = []net.Listener{l}, []string{"tcp://" + l.Addr().String()}
}

// DecodeStream runs a decoder over n messages that an endless reader repeats, in reads as full as they can be.
func DecodeStream(n int, message []byte) error {
	d := &decoder{
		conn:   &endless{data: message},
		limits: limits{frame: 1 << 20, message: 1 << 20, parts: 16},
		buf:    make([]byte, minReadBuffer),
		onRead: func() {},
	}
	for n > 0 {
		batch, err := d.next()
		if err != nil {
			return err
		}
		n -= len(batch)
	}
	return nil
}

type endless struct {
	data []byte
	at   int
}

func (e *endless) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		m := copy(p[n:], e.data[e.at:])
		n += m
		if e.at += m; e.at == len(e.data) {
			e.at = 0
		}
	}
	return n, nil
}

// Unread is how many reports of an XPUB wait for Recv.
func Unread(s *Socket) int {
	b := s.pattern.(*publisher)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reports.Len()
}

// Listener is what a Socket accepts from.
func Listener(s *Socket) net.Listener { return s.binds[0].listener }

// ParseGreeting is what the gate does with the 64 bytes of a greeting.
func ParseGreeting(b []byte, mechanism string) (minor byte, err error) {
	return parseGreeting(b, mechanism)
}

// ParseReady is what the gate of a socket does with the metadata of READY.
func ParseReady(data []byte, own zmq4.SocketType) (peer zmq4.SocketType, routingID string, err error) {
	r, err := parseReady(data, own)
	return r.socketType, r.routingID, err
}

// AppendProperties encodes metadata as the gate passes it on.
func AppendProperties(peer zmq4.SocketType, routingID string) []byte {
	return appendReady(nil, ready{socketType: peer, routingID: routingID})
}

// Handshakes counts those under way.
func (r *Router) Handshakes() int {
	r.door.waiting.mu.Lock()
	defer r.door.waiting.mu.Unlock()
	return r.door.waiting.conns.Len()
}

// Conn is the connection of a Socket that has one.
func Conn(s *Socket) net.Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.pipes {
		if l := p.link.Load(); l != nil {
			return l.conn
		}
	}
	return nil
}
