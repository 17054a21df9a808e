package jobs

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Config describes a Broker.
type Config struct {
	Redis       *redisx.Client // required; it stays the caller's to close
	Incarnation string         // the name of this start of the agent; empty: a random one
	Prefix      string         // of every key; empty means m. Letters, digits, - _ .
	Partitions  int            // per queue, the same in all agents, see Partitions; 0 means 1. A Cluster wants 8 to 16

	Lease    time.Duration // how long a job may go without its worker renewing it; 0 means 10 s
	AgentTTL time.Duration // how long an agent is believed to live without a sign; 0 means 3 s
	Block    time.Duration // how long a read waits in Redis, and so how long a drain may take to notice; 0 means 1 s

	LaneJobs  int           // jobs waiting per lane before ErrRefused; 0 means 16384
	LaneBytes int           // bytes waiting per lane before ErrRefused; 0 means 32 MiB
	BatchJobs int           // jobs per script call, at most 256; 0 means 256
	MaxLen    int64         // jobs per queue, and per inbox, before ErrRefused; 0 means 1,000,000
	Flush     time.Duration // how long Run goes on flushing after its context ended; 0 means 5 s

	BroadcastKeep int64         // broadcasts kept for agents that fall behind, about; 0 means 100,000
	BackoffBase   time.Duration // first retry delay, doubled for each attempt, half of it random; 0 means 500 ms
	BackoffMax    time.Duration // 0 means 10 min
	MaxAttempts   int           // failed attempts before a job becomes a dead letter; 0 means 12
	MaxDeliveries int           // workers that may die or stall over a job before it becomes a dead letter; 0 means 5
	DeadKeep      int64         // dead letters kept per queue, about; 0 means 10,000

	Logger  *slog.Logger // nil means slog.Default()
	Metrics Metrics      // nil means none
}

// Metrics hears what happens, by event name and queue (empty for inboxes and broadcasts). It must not block.
type Metrics interface {
	Count(event, queue string, n int)
	Time(event, queue string, d time.Duration)
}

type noMetrics struct{}

func (noMetrics) Count(string, string, int)          {}
func (noMetrics) Time(string, string, time.Duration) {}

func or[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func (c *Config) setDefaults() {
	or(&c.Incarnation, NewIncarnation())
	or(&c.Prefix, "m")
	or(&c.Partitions, 1)
	or(&c.Lease, 10*time.Second)
	or(&c.AgentTTL, 3*time.Second)
	or(&c.Block, time.Second)
	or(&c.LaneJobs, 16384)
	or(&c.LaneBytes, 32<<20)
	or(&c.BatchJobs, 256)
	or(&c.MaxLen, 1_000_000)
	or(&c.Flush, 5*time.Second)
	or(&c.BroadcastKeep, 100_000)
	or(&c.BackoffBase, 500*time.Millisecond)
	or(&c.BackoffMax, 10*time.Minute)
	or(&c.MaxAttempts, 12)
	or(&c.MaxDeliveries, 5)
	or(&c.DeadKeep, 10_000)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Metrics == nil {
		c.Metrics = noMetrics{}
	}
}

func (c *Config) validate() error {
	if c.Redis == nil {
		return errors.New("jobs: Config.Redis is missing")
	}
	for name, v := range map[string]string{"Prefix": c.Prefix, "Incarnation": c.Incarnation} {
		if !validName(v) {
			return fmt.Errorf("jobs: Config.%s %q: want 1 to 64 letters, digits, - _ or dots", name, v)
		}
	}
	for name, ok := range map[string]bool{
		"Partitions": c.Partitions > 0 && c.Partitions <= 1024, "Lease": c.Lease >= 100*time.Millisecond,
		"AgentTTL": c.AgentTTL >= 100*time.Millisecond, "Block": c.Block >= 10*time.Millisecond && c.Block <= time.Second,
		"LaneJobs": c.LaneJobs > 0, "LaneBytes": c.LaneBytes > 0, "BatchJobs": c.BatchJobs > 0 && c.BatchJobs <= maxBatch,
		"MaxLen": c.MaxLen > 0, "Flush": c.Flush > 0, "BroadcastKeep": c.BroadcastKeep > 0, "BackoffBase": c.BackoffBase > 0,
		"BackoffMax": c.BackoffMax > 0, "MaxAttempts": c.MaxAttempts > 0, "MaxDeliveries": c.MaxDeliveries > 0, "DeadKeep": c.DeadKeep > 0,
	} {
		if !ok {
			return fmt.Errorf("jobs: Config.%s is out of range", name)
		}
	}
	return nil
}

// backoff is how long to wait after a job's attempt-th failure: exponential, half of it random.
func (c *Config) backoff(attempt int) time.Duration {
	d := c.BackoffMax
	if attempt < 30 && c.BackoffBase<<(attempt-1) < d && c.BackoffBase<<(attempt-1) > 0 {
		d = c.BackoffBase << (attempt - 1)
	}
	return d/2 + rand.N(d/2+1)
}

// validName admits what can stand in a key without breaking its hash tag.
func validName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
