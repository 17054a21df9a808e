package zeromq

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

// pulse keeps watch over one connection: it asks a silent peer for a sign of life, and notices when there is
// none, or none within the time to live that the peer announced itself. It costs two timers, no goroutine.
type pulse struct {
	interval, timeout time.Duration // interval 0: the peer is not asked
	ask               func()        // sends a PING
	silent            func()        // ends the connection

	heard   atomic.Int64 // UnixNano
	reading atomic.Bool  // false while we do not listen: then silence means nothing

	mu      sync.Mutex
	stopped bool
	pinged  time.Time
	ttl     time.Duration
	beat    *time.Timer
	expiry  *time.Timer
}

func (p *pulse) start() {
	p.hear()
	if p.interval <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.beat = time.AfterFunc(p.period(), p.check)
}

func (p *pulse) period() time.Duration {
	return max(min(p.interval, p.timeout)/2, time.Millisecond)
}

func (p *pulse) hear() { p.heard.Store(time.Now().UnixNano()) }

func (p *pulse) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	heard, now := time.Unix(0, p.heard.Load()), time.Now()
	switch {
	case !p.reading.Load() || now.Sub(heard) < p.interval:
	case p.pinged.Before(heard):
		p.pinged = now
		p.ask()
	case now.Sub(p.pinged) >= p.timeout:
		p.silent()
		return
	}
	p.beat.Reset(p.period())
}

// expect starts the watch that the peer asked for.
func (p *pulse) expect(ttl time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ttl = ttl
	if p.expiry == nil && !p.stopped {
		p.expiry = time.AfterFunc(ttl, p.expire)
	}
}

func (p *pulse) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	left := p.ttl - time.Since(time.Unix(0, p.heard.Load()))
	if left <= 0 && p.reading.Load() {
		p.silent()
		return
	}
	p.expiry.Reset(max(left, p.ttl/4))
}

func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.beat != nil {
		p.beat.Stop()
	}
	if p.expiry != nil {
		p.expiry.Stop()
	}
}

// pingBody is the time to live, in tenths of a second, of a PING (RFC 37).
func pingBody(ttl time.Duration) []byte {
	return binary.BigEndian.AppendUint16(nil, uint16(ttl/(100*time.Millisecond)))
}
