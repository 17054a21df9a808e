package agents

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/telemetry"
)

// Config says what an Agent is and where it listens. The zero value is an agent without sockets on an
// embedded broker: it can still take jobs.
type Config struct {
	Name   string   // for people and as the ROUTER's own routing id; empty means one made up
	ZeroMQ []string // endpoints of the ROUTER, as tcp://127.0.0.1:5555 or ipc:///run/mesh.sock; port 0 picks a free one
	HTTP   string   // host:port of the WebSocket bridge (/ws) and, with Dev, the chat page; empty means none

	// NotifyPub and NotifySub are endpoints of a broker of notifications, apart from the mesh: PUB sockets
	// connect to the one, SUB sockets to the other, and a subscriber gets [topic, 0x00, payload] by a prefix
	// of the topic. Whoever may connect may publish and hear everything. Both or neither.
	NotifyPub, NotifySub []string

	Redis        string // URL of the broker; empty or "embedded" means one inside this process, which forgets everything at exit; see NoBroker
	EmbeddedAddr string // host:port of the embedded broker; empty means a free loopback port
	Prefix       string // of all keys; empty means "m"
	Partitions   int    // of each queue of jobs, the same for all agents of a mesh; 0 means what it has, else 8 on a Cluster and 1 elsewhere

	Origins []string // from which browsers may connect; empty means this host only, "*" any
	Dev     bool     // the page may make its own sessions; refused unless HTTP is loopback
	// Insecure allows ZeroMQ without Security.CurveServer on an address other machines can reach: sessions are
	// readable on the way.
	Insecure bool
	Security zeromq.Security // of the ZeroMQ endpoints; zero means NULL and everybody
	// RelayRaw relays any frames behind the type. Python clients of Very Powerful Agents stop for ever at what is not
	// [UTF-8 name, 0x01, UTF-8 payload], which is all that passes otherwise.
	RelayRaw bool
	Relay    Relay // whose messages ZeroMQ clients may send each other by name; empty means RelayBound

	MaxMessage  int           // bytes of an envelope; 0 means 64 KiB, at most 192 KiB
	Window      int           // messages of one client in work at a time, then its socket is not read; 0 means 256
	Queue       int           // envelopes waiting for one client, then it is closed as a slow consumer; 0 means 4096
	BindTimeout time.Duration // for a new connection to show a session; 0 means 10 s
	SessionTTL  time.Duration // how long a verdict about a session is reused; 0 means 5 s, negative means not at all
	Lease       time.Duration // after which a crashed agent's jobs are taken over; 0 means 3 s
	DrainWithin time.Duration // for everything in hand at the end; 0 means 5 s
	History     int           // messages kept of each inbox and room; 0 means 1,000, negative none
	HistoryFor  time.Duration // 0 means 24 h
	Workers     int           // handlers that run at the same time for each job type; 0 means 64

	// Rate is how many messages of one user this agent takes per second, Burst how many at once. A user who
	// is refused Strikes times within 10 s in spite of RateLimited loses the connection (4429). Ping is free.
	Rate    float64 // 0 means any number
	Burst   int     // 0 means one second's worth
	Strikes int     // 0 means 100

	// ConnRate and ConnBurst are the same for each connection, before its session is looked up: they hold for
	// clients without a session too, and are best some times what one user may.
	ConnRate  float64 // 0 means any number
	ConnBurst int     // 0 means one second's worth

	GlobalRate  float64 // GlobalMessages of one user per second; 0 means 1, negative means any number
	GlobalBurst int     // 0 means 5

	// Authorise decides who may do what, after the session check; nil allows everything. It must not block.
	Authorise func(Request) error

	Metrics string // host:port where Prometheus finds /metrics; empty means nowhere, and nothing is counted
	// OTLP is the URL of a collector that takes traces by OTLP over HTTP, as http://127.0.0.1:4318, or
	// OTLPFromEnvironment; empty means none are made. The OTEL_ variables hold for all that it does not say.
	OTLP string

	Logger *slog.Logger // nil means slog.Default()
	Ready  func(Addresses)
}

// NoBroker as Config.Redis makes an agent that is no part of a mesh: it starts no Redis and has no sessions,
// handlers or rooms, only sockets of its own (Bind, Connect, Client and their like), modules and background
// work. It needs ZeroMQ and HTTP to be empty, because their clients need sessions.
const NoBroker = "none"

// Request is what Authorise is asked about.
type Request struct {
	User  string
	Roles []string
	Type  string          // the message's type
	To    message.Address // zero when it has none
	Game  string
}

// Addresses are where a running agent can be reached; ports are real.
type Addresses struct {
	ZeroMQ []string
	// NotifyPub and NotifySub are those of the notification broker.
	NotifyPub, NotifySub []string

	HTTP    string
	Metrics string // the URL
	Redis   string // without credentials
}

func (c *Config) setDefaults() {
	if c.Name == "" {
		c.Name = "agent-" + newID()[:8]
	}
	def(&c.Prefix, "m")
	def(&c.EmbeddedAddr, "127.0.0.1:0")
	def(&c.Relay, RelayBound)
	def(&c.MaxMessage, message.MaxMessage)
	def(&c.Window, 256)
	def(&c.Queue, 4096)
	def(&c.BindTimeout, 10*time.Second)
	def(&c.SessionTTL, 5*time.Second)
	def(&c.Lease, 3*time.Second)
	def(&c.DrainWithin, 5*time.Second)
	def(&c.Workers, 64)
	def(&c.GlobalRate, 1)
	def(&c.GlobalBurst, 5)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	c.Logger = c.Logger.With("agent", c.Name)
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c *Config) embedded() bool { return c.Redis == "" || c.Redis == "embedded" }

// Validate reports the first setting that cannot be.
func (c *Config) Validate() error {
	switch {
	case len(c.Name) > 128 || strings.ContainsFunc(c.Name, func(r rune) bool { return r < 0x20 }):
		return errors.New("agents: Name must be at most 128 bytes without control characters")
	case c.MaxMessage < 1024 || c.MaxMessage > message.HardMessage:
		return fmt.Errorf("agents: MaxMessage must be 1024 to %d bytes", message.HardMessage)
	case c.Window < 1:
		return errors.New("agents: Window must be at least 1")
	case c.Queue < 1:
		return errors.New("agents: Queue must be at least 1")
	case c.BindTimeout < 0:
		return errors.New("agents: BindTimeout must not be negative")
	case c.Lease < 0:
		return errors.New("agents: Lease must not be negative")
	case c.DrainWithin < 0:
		return errors.New("agents: DrainWithin must not be negative")
	case c.HistoryFor < 0:
		return errors.New("agents: HistoryFor must not be negative")
	case c.Workers < 1:
		return errors.New("agents: Workers must be at least 1")
	case c.GlobalRate >= 0 && c.GlobalBurst < 0:
		return errors.New("agents: GlobalBurst must not be negative")
	case !(c.Rate >= 0) || c.Rate > 1e9:
		return errors.New("agents: Rate must be 0 to 1e9 messages a second")
	case !(c.ConnRate >= 0) || c.ConnRate > 1e9:
		return errors.New("agents: ConnRate must be 0 to 1e9 messages a second")
	case c.ConnBurst < 0:
		return errors.New("agents: ConnBurst must not be negative")
	case c.Burst < 0:
		return errors.New("agents: Burst must not be negative")
	case c.Partitions < 0 || c.Partitions > 1024:
		return errors.New("agents: Partitions must be 0 to 1024")
	case c.Strikes < 0:
		return errors.New("agents: Strikes must not be negative")
	case c.Dev && c.HTTP == "":
		return errors.New("agents: Dev needs HTTP: without it nobody can see the page")
	case c.Dev && !loopback(c.HTTP):
		return fmt.Errorf("agents: Dev lets anybody make a session, so HTTP must be a loopback address, not %s", c.HTTP)
	case c.Redis == NoBroker && (len(c.ZeroMQ) > 0 || c.HTTP != ""):
		return errors.New("agents: ZeroMQ and HTTP need a broker, which Redis says there is none of; Bind opens sockets without one")
	case c.embedded() && !loopback(c.EmbeddedAddr):
		return fmt.Errorf("agents: EmbeddedAddr must be a loopback address, not %s: the embedded broker knows no password", c.EmbeddedAddr)
	}
	if err := c.Relay.validate(); err != nil {
		return err
	}
	if c.OTLP != OTLPFromEnvironment {
		if err := (&telemetry.TracingConfig{URL: c.OTLP}).Validate(); err != nil {
			return fmt.Errorf("agents: OTLP: %w", err)
		}
	}
	if _, _, err := net.SplitHostPort(c.Metrics); err != nil && c.Metrics != "" {
		return fmt.Errorf("agents: Metrics must be host:port, not %s", c.Metrics)
	}
	return c.validateZeroMQ()
}

func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
