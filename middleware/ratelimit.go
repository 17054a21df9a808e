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

	// Key names the bucket that pays for a message, or says that the message is free: PerUser (which nil
	// means), PerConnection, PerRoom, PerGame, PerType or a function of one's own.
	Key func(m *message.Message) (key string, limited bool)

	// Keys is how many buckets are remembered; beyond, the one unused for the longest time is
	// forgotten and begins full again. 0 means 65536; each costs about 200 bytes and its key.
	Keys int

	// Exceeded is told when a key has been refused Strikes times within Window: who goes on in spite of
	// RateLimited. Then its refusals are counted anew. It runs on the goroutine of the message that was
	// refused; nil means nobody is told.
	Exceeded func(ctx context.Context, key string, m *message.Message)
	Strikes  int           // 0 means 100
	Window   time.Duration // 0 means 10 s
}

func (c *RateLimitConfig) setDefaults() {
	if c.Burst == 0 {
		c.Burst = int(math.Ceil(min(c.PerSecond, math.MaxInt32)))
	}
	if c.Key == nil {
		c.Key = PerUser
	}
	if c.Keys == 0 {
		c.Keys = 65536
	}
	if c.Strikes == 0 {
		c.Strikes = 100
	}
	if c.Window == 0 {
		c.Window = 10 * time.Second
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
	case c.Strikes < 0:
		return errors.New("middleware: RateLimitConfig.Strikes is negative")
	case c.Window < 0:
		return errors.New("middleware: RateLimitConfig.Window is negative")
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
	strikes int // since the first, under the mutex of the RateLimit
	first   time.Time
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
			if err := l.Allow(ctx, key, m); err != nil {
				return err
			}
		}
		return next.Handle(ctx, m)
	})
}

// Allow takes a token from the bucket of key for m. If there is none it returns what the client is told, a
// *message.Error, and counts the refusal.
func (l *RateLimit) Allow(ctx context.Context, key string, m *message.Message) error {
	b := l.bucket(key)
	wait := l.take(b)
	if wait == 0 {
		return nil
	}
	if l.config.Exceeded != nil && l.strike(b) {
		l.config.Exceeded(ctx, key, m)
	}
	return &message.Error{
		Code: message.RateLimited, Message: "too many messages, slow down",
		Retry: true, RetryAfter: wait,
	}
}

// Take takes a token from the bucket of key and returns 0, or takes none and returns how long it will be
// until there is one.
func (l *RateLimit) Take(key string) time.Duration { return l.take(l.bucket(key)) }

func (l *RateLimit) take(b *bucket) time.Duration {
	now := time.Now()
	if b.limiter.AllowN(now, 1) {
		return 0
	}
	missing := 1 - b.limiter.TokensAt(now)
	return max(time.Duration(missing/l.config.PerSecond*float64(time.Second)), time.Millisecond)
}

// strike counts a refusal and reports whether it is the last that the window allows.
func (l *RateLimit) strike(b *bucket) bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(b.first) > l.config.Window {
		b.strikes, b.first = 0, now
	}
	if b.strikes++; b.strikes < l.config.Strikes {
		return false
	}
	b.strikes = 0
	return true
}

func (l *RateLimit) bucket(key string) *bucket {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, known := l.buckets[key]; known {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if l.recent.Len() >= l.config.Keys {
		oldest := l.recent.Remove(l.recent.Back()).(*bucket)
		delete(l.buckets, oldest.key)
	}
	b := &bucket{key: key, limiter: rate.NewLimiter(rate.Limit(l.config.PerSecond), l.config.Burst)}
	l.buckets[key] = l.recent.PushFront(b)
	return b
}
