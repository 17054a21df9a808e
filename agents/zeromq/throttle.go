package zeromq

import (
	"net"
	"sync"
	"time"
)

// throttle bounds the connects per second of each remote address: one token bucket each, as many tokens as
// connects are allowed in a second. Full buckets are forgotten.
type throttle struct {
	rate float64 // 0 means unlimited

	mu      sync.Mutex
	buckets map[string]bucket
	swept   time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
}

// allow takes a token of addr's bucket.
func (t *throttle) allow(addr net.Addr, now time.Time) bool {
	tcp, ok := addr.(*net.TCPAddr)
	if t.rate == 0 || !ok {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.buckets == nil {
		t.buckets = map[string]bucket{}
	}
	if now.Sub(t.swept) > 2*time.Second {
		t.sweepLocked(now)
	}
	key := string(tcp.IP)
	b, ok := t.buckets[key]
	if !ok {
		b = bucket{tokens: t.rate, at: now}
	}
	b.tokens = min(t.rate, b.tokens+t.rate*now.Sub(b.at).Seconds())
	b.at = now
	allowed := b.tokens >= 1
	if allowed {
		b.tokens--
	}
	t.buckets[key] = b
	return allowed
}

func (t *throttle) sweepLocked(now time.Time) {
	t.swept = now
	for key, b := range t.buckets {
		if now.Sub(b.at) > time.Second {
			delete(t.buckets, key)
		}
	}
}
