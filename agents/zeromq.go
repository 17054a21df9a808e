package agents

import (
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// closeCode is why a connection is closed: a WebSocket close code. A ZeroMQ peer is just closed.
type closeCode int

const (
	closeNormal    closeCode = 1000
	closeGoingAway closeCode = 1001
	closeSession   closeCode = 4401
	closeIdle      closeCode = 4408
	closeSlow      closeCode = 4413
	closeRate      closeCode = 4429
)

// flushWithin is how long a connection that is being closed may take for what is queued.
const flushWithin = 2 * time.Second

// dealer is a ZeroMQ client as a link. Envelopes go to it as one frame, or as a message from the client
// that the agent itself is, if that is how it speaks.
type dealer struct {
	*zeromq.Peer
	agent   []byte      // the agent's name
	relays  atomic.Bool // it sends envelopes as [agent, 0x01, envelope] and gets them so
	hasJSON atomic.Bool // it sends envelopes as one frame
}

func (d *dealer) Send(body []byte) error {
	if d.relays.Load() {
		return d.Peer.Send(d.agent, []byte{relayFrame}, body)
	}
	return d.Peer.Send(body)
}

func (d *dealer) Close(closeCode, string) { d.CloseAfterFlush(flushWithin) }

// arrivedZeroMQ makes an arrival of what a ZeroMQ peer sent: one frame is an envelope, three of the right
// kind are a message to relay or an envelope in that form.
func (a *Agent) arrivedZeroMQ(m zeromq.Message) arrival {
	c := a.dealerClient(m.Peer)
	d, _ := c.link.(*dealer) // dealerClient makes no other
	switch {
	case m.TooLarge:
		return arrival{client: c, tooLarge: true}
	case len(m.Frames) == 1:
		d.hasJSON.Store(true)
		d.relays.Store(false)
		return arrival{client: c, body: m.Frames[0]}
	case !isRelay(m.Frames):
		return arrival{client: c, foreign: true, silent: !d.hasJSON.Load()}
	case a.forAgent(m.Frames[0]):
		d.relays.Store(true)
		return arrival{client: c, body: m.Frames[2]}
	}
	return arrival{client: c, relay: m.Frames, silent: !d.hasJSON.Load()}
}

// dealerClient returns the client behind a peer. Its first message or its up event makes it, whichever
// is seen first.
func (a *Agent) dealerClient(p *zeromq.Peer) *client {
	if c, ok := p.Value().(*client); ok {
		return c
	}
	a.newClients.Lock()
	defer a.newClients.Unlock()
	if c, ok := p.Value().(*client); ok {
		return c
	}
	c := a.newClient(&dealer{Peer: p, agent: []byte(a.cfg.Name)}, overZeroMQ)
	p.SetValue(c)
	return c
}

func (a *Agent) zeromqEvent(e zeromq.Event) {
	switch e.Kind {
	case zeromq.PeerUp:
		a.dealerClient(e.Peer)
	case zeromq.PeerDown:
		a.gone(a.dealerClient(e.Peer), e.Reason)
	case zeromq.Refused: // the router logs it
	}
}
