package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// OnceMemory is Claims in this process. It remembers a number of keys; a further one takes the place of the
// oldest. It is safe for concurrent use.
type OnceMemory struct {
	mu   sync.Mutex
	at   map[string]int // where in ring
	ring []string       // the next to go is at next; empty: released
	next int
}

var _ Claims = (*OnceMemory)(nil)

// NewOnceMemory makes an OnceMemory for a number of keys; 0 means 65536.
func NewOnceMemory(keys int) *OnceMemory {
	if keys <= 0 {
		keys = 65536
	}
	return &OnceMemory{at: make(map[string]int), ring: make([]string, keys)}
}

// Claim never fails.
func (o *OnceMemory) Claim(_ context.Context, key string) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, claimed := o.at[key]; claimed {
		return false, nil
	}
	delete(o.at, o.ring[o.next])
	o.ring[o.next], o.at[key] = key, o.next
	o.next = (o.next + 1) % len(o.ring)
	return true, nil
}

// Release never fails.
func (o *OnceMemory) Release(_ context.Context, key string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if i, claimed := o.at[key]; claimed {
		o.ring[i] = ""
		delete(o.at, key)
	}
	return nil
}

// OnceRedis is Claims of all agents together, a key of Redis for each: {PREFIX:o:KEY}.
type OnceRedis struct {
	Redis  *redisx.Client // stays the caller's to close
	Prefix string         // empty means "m"
	Keep   time.Duration  // how long a claim is remembered; 0 means 10 min, the protocol's time for repeats
}

var _ Claims = OnceRedis{}

// claimSource. KEYS[1]: the claim. ARGV[1]: ms to keep it. Returns 1 for the first claim, 0 for others.
const claimSource = `return redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) and 1 or 0`

// Claim asks Redis, in one round trip.
func (o OnceRedis) Claim(ctx context.Context, key string) (bool, error) {
	if o.Redis == nil {
		return false, errors.New("middleware: OnceRedis.Redis is required")
	}
	keep := o.Keep
	if keep <= 0 {
		keep = 10 * time.Minute
	}
	first, err := o.Redis.Eval(ctx, claimScript, []string{o.key(key)}, keep.Milliseconds()).Bool()
	if err != nil {
		return false, fmt.Errorf("middleware: claim: %w", err)
	}
	return first, nil
}

// Release asks Redis, in one round trip.
func (o OnceRedis) Release(ctx context.Context, key string) error {
	if err := o.Redis.Del(ctx, o.key(key)).Err(); err != nil {
		return fmt.Errorf("middleware: release: %w", err)
	}
	return nil
}

// claimScript is a constant that Go cannot spell as such.
var claimScript = redisx.NewScript(claimSource)

func (o OnceRedis) key(key string) string {
	prefix := o.Prefix
	if prefix == "" {
		prefix = "m"
	}
	return "{" + prefix + ":o:" + key + "}"
}
