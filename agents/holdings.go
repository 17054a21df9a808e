package agents

import (
	"context"
	"errors"
	"sync"
)

// ErrNotRunning is returned to who opens a socket before its agent runs: a Module's Setup is early enough.
var ErrNotRunning = errors.New("agents: the agent is not running yet; open sockets in a Module's Setup or later")

// holdings are what a program has opened through its agent: its sockets, or the servers it runs. They end
// with the agent, after the modules have shut down.
type holdings struct {
	mu    sync.Mutex
	life  context.Context //nolint:containedctx // what is opened lives as long as the agent, not as long as a call
	ended bool
	all   map[holding]struct{}
}

// holding is something that ends with the agent. end joins what it started, or gives up with ctx.
type holding interface{ end(ctx context.Context) }

func (h *holdings) begin(life context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.life, h.all = life, make(map[holding]struct{})
}

// hold keeps what open makes, unless the agent is not running.
func (h *holdings) hold(open func(life context.Context) (holding, error)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.ended:
		return ErrStopped
	case h.life == nil:
		return ErrNotRunning
	}
	opened, err := open(h.life) // it waits for nothing
	if err == nil {
		h.all[opened] = struct{}{}
	}
	return err
}

// drop forgets what has been ended by its owner.
func (h *holdings) drop(one holding) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.all, one)
}

// end ends everything at once; nothing can be opened any more.
func (h *holdings) end(ctx context.Context) {
	h.mu.Lock()
	h.ended = true
	all := h.all
	h.all = nil
	h.mu.Unlock()
	var ending sync.WaitGroup
	for one := range all {
		ending.Go(func() { one.end(ctx) })
	}
	ending.Wait()
}
