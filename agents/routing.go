package agents

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unicode/utf8"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/observables"
)

// ClientConfig describes a client of a router of names.
type ClientConfig struct {
	Name     string // what other clients call this one, 1 to 255 bytes of UTF-8; empty means the agent's name
	Endpoint string // of the router: of Agent.Router, of a Python agent or of an agent that relays (Config.Relay)
	Buffer   int    // messages that wait for a subscriber, then the socket is not read; 0 means 1024

	Options zeromq.Options // of the DEALER; RoutingID is Name
}

// ClientMessage is what another client sent.
type ClientMessage struct {
	From    string // its name
	Payload string
}

// RoutingClient speaks with other clients by name, through a router: Python's Message.Client on the wire.
// It is closed with its agent. All methods are safe for concurrent use.
type RoutingClient struct {
	socket    *Socket
	messages  observables.Stream[ClientMessage]
	malformed atomic.Uint64
}

// Client connects to a router of names and returns at once; what is sent meanwhile waits. It may be called
// from a Module's Setup on, until the agent stops.
func (a *Agent) Client(cfg ClientConfig) (*RoutingClient, error) {
	def(&cfg.Name, a.cfg.Name)
	def(&cfg.Buffer, 1024)
	switch {
	case len(cfg.Name) > 255 || cfg.Name[0] == 0 || !utf8.ValidString(cfg.Name):
		return nil, errors.New("agents: ClientConfig.Name must be at most 255 bytes of UTF-8 that do not begin with a zero")
	case cfg.Endpoint == "":
		return nil, errors.New("agents: ClientConfig.Endpoint is empty")
	}
	cfg.Options.RoutingID = cfg.Name
	def(&cfg.Options.Logger, a.log.With("client", cfg.Name))
	socket, err := a.Connect(SocketConfig{Type: zeromq.DEALER, Endpoint: cfg.Endpoint, Buffer: cfg.Buffer, Options: cfg.Options})
	if err != nil {
		return nil, err
	}
	c := &RoutingClient{socket: socket}
	c.messages = observables.Pipe2(socket.receive(), observables.MapErr(c.read),
		observables.Share[ClientMessage](observables.Config{Buffer: cfg.Buffer}))
	return c, nil
}

func (c *RoutingClient) read(m zeromq.Received) (ClientMessage, error) {
	from, payload, err := triple(m.Frames, relayFrame)
	if err != nil {
		c.malformed.Add(1)
	}
	return ClientMessage{From: from, Payload: payload}, err
}

// Messages is what other clients send to this one; see Socket.Messages. A message that cannot be read is
// left out, counted, and reported to the subscribers as an ItemError of ErrForeign.
func (c *RoutingClient) Messages() observables.Stream[ClientMessage] { return c.messages }

// Events reports the connection to the router.
func (c *RoutingClient) Events() observables.Stream[zeromq.MonitorEvent] { return c.socket.Events() }

// Send queues a message for the client called to, from any goroutine; a name that nobody has is the
// router's to know, so no error tells of it. It waits while Options.SendHWM messages are queued, for
// Options.SendTimeout at most.
func (c *RoutingClient) Send(to, payload string) error {
	frames, err := newTriple(to, relayFrame, payload)
	switch {
	case err != nil:
		return err
	case to == "" || len(to) > 255:
		return fmt.Errorf("agents: the name of a client has 1 to 255 bytes, not %d", len(to))
	}
	return c.socket.Send(frames...)
}

// Malformed counts the messages that could not be read.
func (c *RoutingClient) Malformed() uint64 { return c.malformed.Load() }

// Close closes the client before its agent ends.
func (c *RoutingClient) Close() { c.socket.Close() }
