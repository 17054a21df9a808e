package zeromq

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"
)

// refusalPause is between two lines about refused connections: strangers must not fill the log.
const refusalPause = 10 * time.Second

// refusals tells the operator who was not let in and why: the other end is told little, by design.
type refusals struct {
	logger *slog.Logger

	mu     sync.Mutex
	quiet  time.Time // until then nothing is logged
	unsaid int
}

func (r *refusals) log(addr string, reason error) {
	if errors.Is(reason, io.EOF) { // it only looked whether somebody listens, as health checks do
		return
	}
	r.mu.Lock()
	now := time.Now()
	if now.Before(r.quiet) {
		r.unsaid++
		r.mu.Unlock()
		return
	}
	unsaid := r.unsaid
	r.quiet, r.unsaid = now.Add(refusalPause), 0
	r.mu.Unlock()
	r.logger.Warn("zeromq: a connection was refused", "addr", addr, "reason", reason, "others_before", unsaid)
}
