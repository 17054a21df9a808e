package middleware

import (
	"container/list"
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/agentmesh/agentmesh/agents/message"
)

// RateLimitConfig configures a RateLimit.
type RateLimitConfig struct {
	PerSecond float64 // required: tokens a key gains each second
	Burst     int     // tokens a key can save, and has at first; 0 means PerSecond rounded up

	// Key names the bucket that pays for a message, or says that the message is free. nil means
	// that each sender (m.From.ID) has a bucket for everything.
	Key func(m *message.Message) (key string, limited bool)

	// Keys is how many buckets are remembered; beyond, the one unused for the longest time is
	// forgotten and begins full again. 0 means 65536; each costs about 200 bytes and its key.
	Keys int
}

func (c *RateLimitConfig) setDefaults() {
	if c.Burst == 0 {
		c.Burst = int(math.Ceil(min(c.PerSecond, math.MaxInt32)))
	}
	if c.Key == nil {
		c.Key = func(m *message.Message) (string, bool) { return m.From.ID, true }
	}
	if c.Keys == 0 {
		c.Keys = 65536
	}
}

func (c *RateLimitConfig) validate() error {
	switch {
	case !(c.PerSecond > 0) || math.IsInf(c.PerSecond, 0):
		return errors.New("middleware: RateLimitConfig.PerSecond must be positive")
	case c.Burst < 0:
		return errors.New("middleware: RateLimitConfig.Burst is negative")
	case c.Keys < 0:
		return errors.New("middleware: RateLimitConfig.Keys is negative")
	}
	return nil
}

// RateLimit is a token bucket for each key. Its Middleware refuses a message that finds its bucket empty
// with RateLimited and the time after which there is a token. The buckets are this process's own.
type RateLimit struct {
	config RateLimitConfig

	mu      sync.Mutex
	buckets map[string]*list.Element // of *bucket
	recent  *list.List               // the most recently used first
}

type bucket struct {
	key     string
	limiter *rate.Limiter
}

// NewRateLimit makes a RateLimit.
func NewRateLimit(c RateLimitConfig) (*RateLimit, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	c.setDefaults()
	return &RateLimit{config: c, buckets: map[string]*list.Element{}, recent: list.New()}, nil
}

// Middleware applies the limit to next.
func (l *RateLimit) Middleware(next message.Handler) message.Handler {
	return message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if key, limited := l.config.Key(m); limited {
			if wait := l.Take(key); wait > 0 {
				return &message.Error{
					Code: message.RateLimited, Message: "too many messages, slow down",
					Retry: true, RetryAfter: wait,
				}
			}
		}
		return next.Handle(ctx, m)
	})
}

// Take takes a token from the bucket of key and returns 0, or takes none and returns how long it will be
// until there is one.
func (l *RateLimit) Take(key string) time.Duration {
	now := time.Now()
	limiter := l.limiter(key)
	if limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - limiter.TokensAt(now)
	return max(time.Duration(missing/l.config.PerSecond*float64(time.Second)), time.Millisecond)
}

func (l *RateLimit) limiter(key string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.buckets[key]; known {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket).limiter
	}
	if l.recent.Len() >= l.config.Keys {
		oldest := l.recent.Remove(l.recent.Back()).(*bucket)
		delete(l.buckets, oldest.key)
	}
	b := &bucket{key: key, limiter: rate.NewLimiter(rate.Limit(l.config.PerSecond), l.config.Burst)}
	l.buckets[key] = l.recent.PushFront(b)
	return b.limiter
}
