package agents

import (
	"errors"
	"sync/atomic"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/observables"
)

// NotificationConfig describes a client of a broker of notifications.
type NotificationConfig struct {
	Publish   string   // the broker's endpoint for publishers; empty means this client does not publish
	Subscribe string   // the broker's endpoint for subscribers; empty means this client does not listen
	Topics    []string // prefixes of what it listens to; none means everything
	Buffer    int      // notifications that wait for a subscriber, then the socket is not read; 0 means 1024

	Options zeromq.Options // of both sockets
}

// Notification is what somebody published.
type Notification struct {
	Topic   string
	Payload string
}

// NotificationClient publishes to everybody who listens to a topic: Python's Message.Notification on the
// wire. It is closed with its agent. All methods are safe for concurrent use.
type NotificationClient struct {
	publisher  *Socket // nil: does not publish
	subscriber *Socket // nil: does not listen
	messages   observables.Stream[Notification]
	malformed  atomic.Uint64
}

// NotificationClient connects to a broker of notifications and returns at once. It may be called from a
// Module's Setup on, until the agent stops.
func (a *Agent) NotificationClient(cfg NotificationConfig) (*NotificationClient, error) {
	def(&cfg.Buffer, 1024)
	switch {
	case cfg.Publish == "" && cfg.Subscribe == "":
		return nil, errors.New("agents: NotificationConfig has neither Publish nor Subscribe")
	case cfg.Subscribe == "" && len(cfg.Topics) > 0:
		return nil, errors.New("agents: NotificationConfig.Topics without Subscribe")
	}
	c := &NotificationClient{messages: observables.Throw[Notification](zeromq.ErrUnsupported)}
	if cfg.Subscribe != "" {
		if err := c.subscribe(a, cfg); err != nil {
			c.Close()
			return nil, err
		}
	}
	if cfg.Publish != "" {
		var err error
		c.publisher, err = a.Connect(SocketConfig{Type: zeromq.PUB, Endpoint: cfg.Publish, Options: cfg.Options})
		if err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *NotificationClient) subscribe(a *Agent, cfg NotificationConfig) (err error) {
	c.subscriber, err = a.Connect(SocketConfig{Type: zeromq.SUB, Buffer: cfg.Buffer, Options: cfg.Options})
	if err != nil {
		return err
	}
	if len(cfg.Topics) == 0 {
		cfg.Topics = []string{""}
	}
	for _, topic := range cfg.Topics {
		if err := c.Listen(topic); err != nil {
			return err
		}
	}
	c.messages = observables.Pipe2(c.subscriber.receive(), observables.MapErr(c.read),
		observables.Share[Notification](observables.Config{Buffer: cfg.Buffer}))
	return c.subscriber.Connect(cfg.Subscribe)
}

func (c *NotificationClient) read(m zeromq.Received) (Notification, error) {
	topic, payload, err := triple(m.Frames, notificationFrame)
	if err != nil {
		c.malformed.Add(1)
	}
	return Notification{Topic: topic, Payload: payload}, err
}

// Messages is what is published under the topics; see Socket.Messages. A message that cannot be read is
// left out, counted, and reported to the subscribers as an ItemError of ErrForeign.
func (c *NotificationClient) Messages() observables.Stream[Notification] { return c.messages }

// Publish sends a notification to everybody who listens to a prefix of topic, from any goroutine. It never
// waits: nobody gets what is published before the broker has said that somebody listens, and a broker that
// does not keep up misses the newest (Dropped).
func (c *NotificationClient) Publish(topic, payload string) error {
	if c.publisher == nil {
		return zeromq.ErrUnsupported
	}
	frames, err := newTriple(topic, notificationFrame, payload)
	if err != nil {
		return err
	}
	return c.publisher.Send(frames...)
}

// Listen asks for notifications whose topic begins with prefix. Prefixes are counted.
func (c *NotificationClient) Listen(prefix string) error {
	if c.subscriber == nil {
		return zeromq.ErrUnsupported
	}
	return c.subscriber.Subscribe(prefix)
}

// Ignore takes one Listen back.
func (c *NotificationClient) Ignore(prefix string) error {
	if c.subscriber == nil {
		return zeromq.ErrUnsupported
	}
	return c.subscriber.Unsubscribe(prefix)
}

// Audience lists the prefixes that the broker has said somebody listens to.
func (c *NotificationClient) Audience() []string {
	if c.publisher == nil {
		return nil
	}
	return c.publisher.zmq.Topics()
}

// Dropped counts the notifications that the broker was too slow to take.
func (c *NotificationClient) Dropped() uint64 {
	if c.publisher == nil {
		return 0
	}
	return c.publisher.Dropped()
}

// Malformed counts the messages that could not be read.
func (c *NotificationClient) Malformed() uint64 { return c.malformed.Load() }

// Close closes the client before its agent ends.
func (c *NotificationClient) Close() {
	for _, s := range []*Socket{c.publisher, c.subscriber} {
		if s != nil {
			s.Close()
		}
	}
}
