package agents

import (
	"context"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/websocket"
)

// browser is a WebSocket client as a link.
type browser struct{ *websocket.Conn }

func (b browser) Close(code closeCode, reason string) {
	b.CloseAfterFlush(int(code), reason, flushWithin)
}

func (a *Agent) arrivedWebSocket(ctx context.Context) func(websocket.Message) arrival {
	return func(m websocket.Message) arrival {
		return arrival{client: a.browserClient(ctx, m.Conn), body: m.Body, tooLarge: m.TooLarge}
	}
}

// browserClient returns the client behind a connection. Its first message or its up event makes it,
// whichever is seen first. One that showed its session at the handshake is bound from the start.
func (a *Agent) browserClient(ctx context.Context, conn *websocket.Conn) *client {
	if c, ok := conn.Value().(*client); ok {
		return c
	}
	a.newClients.Lock()
	defer a.newClients.Unlock()
	if c, ok := conn.Value().(*client); ok {
		return c
	}
	c := a.newClient(browser{conn}, overWebSocket)
	if id, ok := conn.Identity().(identity); ok {
		c.claim(id.credential)
		c.bind(id.verdict)
		c.mu.Lock()
		c.waiting = append(c.waiting, request{client: c, m: &message.Message{}, digest: c.digest, verdict: id.verdict, attach: true})
		c.startLocked(ctx)
		c.mu.Unlock()
	}
	conn.SetValue(c)
	return c
}

func (a *Agent) websocketEvent(ctx context.Context) func(websocket.Event) {
	return func(e websocket.Event) {
		c := a.browserClient(ctx, e.Conn)
		if e.Kind == websocket.Down {
			a.gone(c, e.Reason)
		}
	}
}
