package router

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Carrier brings messages to other agents. Both methods return at once, keep the order of calls for one
// incarnation, and call done exactly once, from any goroutine, when the message is stored for its recipient.
type Carrier interface {
	// SendTo hands m to one incarnation of an agent. An error for which errors.Is(err, ErrNoAgent) holds
	// says that it is gone for good.
	SendTo(incarnation string, m *message.Message, done func(error))
	// Broadcast hands m to all agents; whether to this one too does not matter.
	Broadcast(m *message.Message, done func(error))
}

// Conn is a client's connection, as the router sees it.
type Conn interface {
	// Send queues one envelope and never blocks. It may call Detach. After an error the router detaches
	// the connection.
	Send(body []byte) error
	// Backlog is how many envelopes are queued and not yet on their way. Replays wait for it to shrink,
	// so that history never fills the queue that live messages need.
	Backlog() int
	// Key is unique among all connections this process ever has.
	Key() uint64
}

// Config says how a Router works.
type Config struct {
	Redis       *redisx.Client                // required
	Incarnation string                        // required: names this run of this agent, never used twice
	Carrier     Carrier                       // required
	Alive       func(incarnation string) bool // nil: all are; a dead holder gets no jobs
	Prefix      string                        // of all keys; "" means "m"

	Keep    int           // entries kept in each history; 0 means 1000, -1 none
	KeepFor time.Duration // how long they are kept; 0 means 24 h
	Dedup   time.Duration // how long a mark is remembered; 0 means 10 min

	Lease       time.Duration // how long an entry of a crashed agent stays; 0 means 30 s
	ReorderWait time.Duration // how long a hole may fill by itself before the history is read; 0 means 20 ms
	Patience    time.Duration // how long Redis may be away before posts that are certainly not stored fail; 0 means 5 s
	Drain       time.Duration // how long Run finishes what was accepted; 0 means 5 s

	Lanes     int // parallel pipelines to Redis; 0 means 4. Posts of one history share a lane
	LaneSize  int // accepted posts a lane holds, then it refuses; 0 means 8192
	LaneBytes int // the same in bytes of their bodies; 0 means 32 MiB

	HoldSize      int // live messages held back for a connection that is replaying; 0 means 256
	ReplayBacklog int // a replay goes on while a connection's backlog is at most this; 0 means 64

	Logger *slog.Logger // nil: slog.Default()
}

func (c *Config) setDefaults() {
	or(&c.Prefix, "m")
	or(&c.Keep, 1000)
	or(&c.KeepFor, 24*time.Hour)
	or(&c.Dedup, 10*time.Minute)
	or(&c.Lease, 30*time.Second)
	or(&c.ReorderWait, 20*time.Millisecond)
	or(&c.Patience, 5*time.Second)
	or(&c.Drain, 5*time.Second)
	or(&c.Lanes, 4)
	or(&c.LaneSize, 8192)
	or(&c.LaneBytes, 32<<20)
	or(&c.HoldSize, 256)
	or(&c.ReplayBacklog, 64)
	if c.Alive == nil {
		c.Alive = func(string) bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func (c *Config) validate() error {
	switch {
	case c.Redis == nil:
		return errors.New("router: Config.Redis is missing")
	case c.Incarnation == "":
		return errors.New("router: Config.Incarnation is missing")
	case c.Carrier == nil:
		return errors.New("router: Config.Carrier is missing")
	case strings.ContainsAny(c.Prefix, "{}"):
		return errors.New("router: Config.Prefix must not hold braces")
	case c.Keep < -1:
		return errors.New("router: Config.Keep is negative; -1 keeps nothing")
	}
	for name, v := range map[string]int64{
		"KeepFor": int64(c.KeepFor), "Dedup": int64(c.Dedup), "Lease": int64(c.Lease),
		"ReorderWait": int64(c.ReorderWait), "Patience": int64(c.Patience), "Drain": int64(c.Drain),
		"Lanes": int64(c.Lanes), "LaneSize": int64(c.LaneSize), "LaneBytes": int64(c.LaneBytes),
		"HoldSize": int64(c.HoldSize), "ReplayBacklog": int64(c.ReplayBacklog),
	} {
		if v < 0 {
			return fmt.Errorf("router: Config.%s is negative", name)
		}
	}
	for name, v := range map[string]time.Duration{"KeepFor": c.KeepFor, "Dedup": c.Dedup, "Lease": c.Lease} {
		if v < time.Millisecond {
			return fmt.Errorf("router: Config.%s is below a millisecond", name)
		}
	}
	return nil
}
