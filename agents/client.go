package agents

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/telemetry"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// What carries connections.
const (
	overZeroMQ    = "zeromq"
	overWebSocket = "websocket"
)

// link is a connection, whatever carries it.
type link interface {
	Send(body []byte) error              // queues an envelope, never blocks
	Release(n int)                       // n received messages have been dealt with
	Close(code closeCode, reason string) // flushes, then closes; returns at once
	Backlog() int                        // envelopes queued and not on their way yet
	BacklogBytes() int                   // the bytes of those queued
	Done() <-chan struct{}               // closed when the connection has ended
}

// client is one connection: who is behind it and what of it is in work.
//
// Its messages are processed in order by one goroutine at a time. That is the dispatching goroutine of
// its socket as long as nothing slow is to be done; while a slow operation runs (Login, JoinRoom …) what
// comes after it waits here, bounded by the socket's window, and is processed by that operation's
// goroutine when it is done. So a slow client never holds up another.
type client struct {
	agent     *Agent
	link      link
	key       uint64
	name      string // the key as Message.Conn
	transport string
	meter     *telemetry.Metrics // nil: nobody counts

	claimed message.Credential // the last session this client showed; its decoding goroutine only
	digest  string             // of claimed

	named atomic.Bool // its routing id is claimed in the mesh

	mu       sync.Mutex
	closed   bool
	ending   closeCode // why the agent closed it; 0: it did not
	quiet    bool      // nothing more is taken in
	busy     bool      // another goroutine than the dispatching one processes
	inflight int       // messages whose handlers have not settled
	waiting  []request // in order, behind what is in work
	session  session.Session
	bound    bool
	expires  time.Time
	born     time.Time // since when it may be unbound
}

// Key names the connection in this process.
func (c *client) Key() uint64 { return c.key }

// Send queues an envelope for the client.
func (c *client) Send(body []byte) error {
	if c.meter != nil {
		c.meter.Out(body)
	}
	return c.link.Send(body)
}

// backlogUnit is how many bytes that wait count as one envelope: a replay, which goes on while few wait,
// keeps far below the bytes that a connection may have queued, however large its envelopes are.
const backlogUnit = 8 << 10

// Backlog is how many envelopes wait to be sent; large ones count for several.
func (c *client) Backlog() int { return max(c.link.Backlog(), c.link.BacklogBytes()/backlogUnit) }

// claim notes the session that a message brought along.
func (c *client) claim(credential message.Credential) {
	if credential != c.claimed {
		c.claimed, c.digest = credential, session.Digest(credential.Reveal())
	}
}

// take processes r, now or in its turn.
func (c *client) take(ctx context.Context, r request) {
	c.mu.Lock()
	if c.closed || c.quiet {
		c.mu.Unlock()
		c.link.Release(1)
		return
	}
	if c.busy || len(c.waiting) > 0 {
		c.waiting = append(c.waiting, r)
		c.mu.Unlock()
		return
	}
	op := c.agent.operation(c, r)
	if op == nil {
		c.mu.Unlock()
		c.agent.process(ctx, c, r)
		return
	}
	c.waiting = append(c.waiting, r)
	if c.inflight == 0 {
		c.startLocked(ctx)
	}
	c.mu.Unlock()
}

// startLocked hands the waiting requests to a goroutine of their own.
func (c *client) startLocked(ctx context.Context) {
	c.busy = true
	c.agent.operations.Go(func() { c.work(ctx) })
}

// work processes what waits until nothing does, or until a slow operation must wait for messages before
// it to settle.
func (c *client) work(ctx context.Context) {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 || c.closed {
			dropped := len(c.waiting)
			c.waiting, c.busy = nil, false
			c.mu.Unlock()
			if dropped > 0 {
				c.link.Release(dropped)
			}
			return
		}
		op := c.agent.operation(c, c.waiting[0])
		if op != nil && c.inflight > 0 {
			c.busy = false // settle starts it again
			c.mu.Unlock()
			return
		}
		r := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		if op == nil {
			c.agent.process(ctx, c, r)
			continue
		}
		if !c.agent.admit(ctx) {
			c.link.Release(1)
			continue
		}
		began := time.Now()
		op(ctx, c, r)
		c.agent.countOperation(r, began)
		c.agent.leave()
		c.agent.stillOpen(c) // also after an operation that failed half way
	}
}

// begin counts a message whose handler may settle later.
func (c *client) begin() {
	c.mu.Lock()
	c.inflight++
	c.mu.Unlock()
}

// settle ends what begin began.
func (c *client) settle(ctx context.Context) {
	c.mu.Lock()
	c.inflight--
	if c.inflight == 0 && !c.busy && len(c.waiting) > 0 && !c.closed {
		c.startLocked(ctx)
	}
	c.mu.Unlock()
	c.link.Release(1)
}

// bind remembers who is behind the connection. A newer session of the same user replaces the old one.
func (c *client) bind(v session.Verdict) {
	c.mu.Lock()
	old := c.session.Digest
	c.session, c.bound, c.expires = v.Session, true, time.Now().Add(v.Left)
	closed := c.closed
	c.mu.Unlock()
	if !closed && old != v.Session.Digest {
		c.agent.clients.indexSession(c, old, v.Session.Digest)
	}
}

// unbind undoes bind when the connection could not be attached.
func (c *client) unbind() {
	c.mu.Lock()
	old := c.session.Digest
	c.session, c.bound, c.born = session.Session{}, false, time.Now()
	c.mu.Unlock()
	c.agent.clients.indexSession(c, old, "")
}

// identity returns the session that the connection is bound to.
func (c *client) identity() (session.Session, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.bound
}

// quiesce makes the client take nothing more in. What it has taken is finished and answered; the rest was
// never accepted, and is sent again elsewhere by a client that wants its Ack.
func (c *client) quiesce() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quiet = true
}

func (c *client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// markClosed reports whether this call was the one that closed the client. What waits is dropped.
func (c *client) markClosed(why closeCode) bool {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return false
	}
	c.closed, c.ending = true, why
	dropped := 0
	if !c.busy {
		dropped, c.waiting = len(c.waiting), nil
	}
	c.mu.Unlock()
	if dropped > 0 {
		c.link.Release(dropped)
	}
	return true
}

// endedWith is why the agent closed the connection; 0 if it did not.
func (c *client) endedWith() closeCode {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}

// logout says goodbye with a reason, flushes and closes.
func (c *client) logout(reason string, code closeCode) {
	if !c.markClosed(code) {
		return
	}
	c.agent.forget(c)
	_ = c.Send(message.AppendLogout(nil, reason)) // a full or closed queue: the close says enough
	c.link.Close(code, reason)
}

// drop closes without a Logout.
func (c *client) drop(code closeCode, reason string) {
	if c.markClosed(code) {
		c.agent.forget(c)
		c.link.Close(code, reason)
	}
}

type standing uint8

const (
	inOrder  standing = iota
	expired           // its session has run out
	stranger          // it has shown no session in time
)

func (c *client) standing(now time.Time, patience time.Duration) standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.bound && now.After(c.expires):
		return expired
	case !c.bound && !c.busy && len(c.waiting) == 0 && now.Sub(c.born) > patience && !c.mayRelay():
		return stranger
	}
	return inOrder
}

// mayRelay reports whether the connection is of use without a session.
func (c *client) mayRelay() bool { return c.transport == overZeroMQ && c.agent.cfg.Relay == RelayOpen }

// atWork reports whether a message of the client has yet to settle.
func (c *client) atWork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && (c.inflight > 0 || c.busy || len(c.waiting) > 0)
}
