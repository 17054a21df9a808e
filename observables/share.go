package observables

import (
	"context"
	"sync"
)

// Share has all subscribers of the resulting stream run the stages above it once, together. The first one
// starts them, the last one to leave ends them; what failed there is reported to all. Each subscriber has a
// buffer by cfg; one that is full and blocks holds up the others.
func Share[T any](cfg Config) Op[T, T] {
	return func(s Stream[T]) Stream[T] {
		h := &shared[T]{source: s, cfg: cfg}
		return Stream[T]{attach: h.attach}
	}
}

type shared[T any] struct {
	source Stream[T]
	cfg    Config

	mu    sync.Mutex
	users int
	hub   *Subject[T] // nil when there are no users
	up    *Subscription
}

// attach keeps the lock while it starts the source, so that a second subscriber cannot return before the
// source is registered. Starting runs no callbacks.
func (h *shared[T]) attach(ctx context.Context, sc *scope, k sink[T]) {
	h.mu.Lock()
	if h.users++; h.users == 1 {
		h.hub = NewSubject[T](h.cfg)
	}
	hub := h.hub
	hub.Stream().attach(ctx, sc, k)
	if h.users == 1 {
		h.up = h.source.SubscribeBatch(context.WithoutCancel(ctx),
			func(vs []T) { _ = hub.PublishBatch(nil, vs) }, //nolint:staticcheck,contextcheck // nil: freed when its subscribers leave
			hub.report, hub.finish)
	}
	h.mu.Unlock()
	sc.onClose(func(error) { h.leave() })
}

func (h *shared[T]) leave() {
	h.mu.Lock()
	up := h.up
	h.users--
	last := h.users == 0
	if last {
		h.hub, h.up = nil, nil
	}
	h.mu.Unlock()
	if last {
		up.Dispose()
	}
}
