package redisx

import (
	"fmt"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Embedded is a Redis server inside this process, on a loopback port so that other processes reach it
// too. It holds everything in memory: nothing survives its process.
type Embedded struct {
	server *miniredis.Miniredis
	stop   chan struct{}
	once   sync.Once
	ended  sync.WaitGroup
}

// expiryTick is how late a key of the embedded server may expire.
const expiryTick = 50 * time.Millisecond

// StartEmbedded starts the server on addr (host:port, port 0 picks a free one).
func StartEmbedded(addr string) (*Embedded, error) {
	e := &Embedded{server: miniredis.NewMiniRedis(), stop: make(chan struct{})}
	if err := e.server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("redis: the embedded server cannot listen on %s (does another agent run? give this one an address of its own, or both the same Redis): %w", addr, err)
	}
	e.ended.Go(e.expire)
	return e, nil
}

// URL is what Open takes to reach the server.
func (e *Embedded) URL() string { return "redis://" + e.server.Addr() }

// Addr is the host:port it listens on.
func (e *Embedded) Addr() string { return e.server.Addr() }

// Close stops the server. It is idempotent.
func (e *Embedded) Close() {
	e.once.Do(func() { close(e.stop) })
	e.ended.Wait()
	e.server.Close()
}

// expire moves the server's clock for time-to-live on: it stands still by itself.
func (e *Embedded) expire() {
	tick := time.NewTicker(expiryTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-e.stop:
			return
		case now := <-tick.C:
			e.server.FastForward(now.Sub(last))
			last = now
		}
	}
}
