package agents

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/agentmesh/agentmesh/agents/message"
)

// Relay says whose messages a ZeroMQ endpoint passes on to other clients by name, as the router of Very
// Powerful Agents does: [name, 0x01, payload] from the client called sender reaches the client called name
// as [sender, 0x01, payload], on whatever agent of the mesh that one is. A name is one client's in the mesh: a
// second client of that name is refused while the first is there, and for a lease after its agent has died. It is
// at most once, and not a job: nobody keeps what nobody takes.
type Relay string

// The ways to relay.
const (
	RelayBound Relay = "bound" // from connections with a session whose routing id is the user's id or begins with it and a dot
	RelayOpen  Relay = "open"  // from everybody; for trusted networks
	RelayOff   Relay = "off"
)

func (r Relay) validate() error {
	switch r {
	case RelayBound, RelayOpen, RelayOff:
		return nil
	}
	return fmt.Errorf("agents: Relay %q: want bound, open or off", string(r))
}

// maxName is how long a routing id can be.
const maxName = 255

// relayType marks a request to relay among the messages of a client.
const relayType = "mesh.relay"

// isRelay reports whether frames are [name, type 1, payload, …].
func isRelay(frames [][]byte) bool { return len(frames) >= 3 && isKind(frames[1], relayFrame) }

// forAgent reports whether the name of a relay message is the agent's own: its payload is an envelope.
func (a *Agent) forAgent(name []byte) bool { return len(name) == 0 || string(name) == a.cfg.Name }

// relay passes a message on, and reports whether it was let through.
func (a *Agent) relay(ctx context.Context, c *client, r request) bool {
	from, ok := c.link.(*dealer)
	if !ok || !a.mayCarry(from.RoutingID(), string(r.relay[0]), r.relay[1:]) {
		return false
	}
	if len(r.relay[0]) > maxName {
		return false // nobody can have it; it would be looked up and remembered at its length
	}
	if a.cfg.Relay == RelayBound {
		s, bound := c.identity()
		if id := from.RoutingID(); !bound || !r.verdict.Valid || !ownName(id, s.User) || !a.mesh.names.Has(id) {
			return false
		}
	}
	if a.cfg.Relay == RelayOff {
		return false
	}
	if a.cfg.Relay == RelayBound && a.limits.allow(ctx, c, r) != nil {
		return false
	}
	r.relay[1] = []byte{relayFrame} // however long it came
	m := passing{from: from.RoutingID(), to: string(r.relay[0]), frames: r.relay[1:]}
	if to, here := a.mesh.local(m.to); here {
		return m.deliver(to) == nil
	}
	return a.mesh.pass(m)
}

// mayCarry says whether a message is one that the client it is for can take: a Python client dies of what is not
// UTF-8 or not three frames. frames begin with the type.
func (a *Agent) mayCarry(from, to string, frames [][]byte) bool {
	return a.cfg.RelayRaw || (len(frames) == 2 && utf8.Valid(frames[1]) && utf8.ValidString(from) && utf8.ValidString(to))
}

// ownName says whether a routing id belongs to a user: it is his id, or begins with it and a dot.
func ownName(routingID, user string) bool {
	rest, ok := strings.CutPrefix(routingID, user)
	return ok && (rest == "" || rest[0] == '.')
}

// relayed is the request to relay frames.
func (a *Agent) relayed(ctx context.Context, c *client, frames [][]byte) request {
	r := request{client: c, m: &message.Message{Type: relayType}, relay: frames}
	if err := a.limits.connection(ctx, c, r.m); err != nil {
		return request{client: c, silent: true, err: err} // who relays need not understand an Error
	}
	if a.cfg.Relay == RelayBound {
		r.digest = c.digest
	}
	return r
}
