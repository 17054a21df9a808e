package rx

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
	"github.com/agentmesh/agentmesh/observables"
)

// frame is an envelope as a socket gives it.
type frame struct {
	client int
	body   []byte
}

type inbound struct {
	client int
	key    string
	m      *message.Message
}

// Watch is what of an agent's metrics a message passes; nil: none.
type Watch interface {
	middleware.Meter

	In(typ string)
}

// Inbound is the way of a message through an agent: decode, rate limit, session check with a cached verdict,
// mux and handler. All is done for each of 1000 clients in turn.
func Inbound(ctx context.Context, watch Watch) (Flow, error) {
	const clients = 1000
	limit, err := middleware.NewRateLimit(middleware.RateLimitConfig{PerSecond: 1e9, Burst: 1 << 30})
	if err != nil {
		return Flow{}, err
	}
	check, err := observables.NewChecker(observables.CheckConfig[inbound, string, int, string]{
		Key:   func(r inbound) string { return r.key },
		Order: func(r inbound) int { return r.client },
		LookupBatch: func(_ context.Context, keys []string) ([]string, error) {
			time.Sleep(time.Millisecond) // a round trip
			return keys, nil
		},
		TTL: func(string, error) time.Duration { return time.Minute },
	})
	if err != nil {
		return Flow{}, err
	}
	frames, keys := make([]frame, clients), make([]string, clients)
	for i := range frames {
		keys[i] = fmt.Sprintf("session-%d", i)
		frames[i] = frame{i, fmt.Appendf(nil, `{"type":"ChatRoomMessage","id":"m-%d","from":{"type":"User","id":"benjamin","session":"QWERTYUIOPASDFGHJKLZ-%s"},"to":{"type":"ChatRoom","id":"room1"},"message":"Hello world, this is a chat"}`, i, keys[i])}
	}
	mux, handled := message.NewMux(), 0
	mux.Register("ChatRoomMessage", message.HandlerFunc(func(context.Context, *message.Message) error { handled++; return nil }))
	var meter middleware.Meter
	if watch != nil {
		meter = watch
	}
	handler := middleware.Metrics(meter)(mux)
	arrived := observables.NewSubject[frame](observables.Config{})
	var failed atomic.Int64
	var reason atomic.Value
	sub := observables.Pipe3(arrived.Stream(),
		observables.MapErr(func(f frame) (inbound, error) {
			m, _, err := message.Decode(f.body, 1<<16)
			if watch != nil && err == nil {
				watch.In(m.Type)
			}
			return inbound{f.client, keys[f.client], m}, err
		}),
		observables.Filter(func(r inbound) bool { return limit.Take(r.key) == 0 }),
		check.Op(),
	).Subscribe(ctx, func(c observables.Checked[inbound, string]) {
		if c.Err != nil {
			failed.Add(1)
		} else if err := handler.Handle(ctx, c.Item.m); err != nil {
			failed.Add(1)
			reason.Store(err.Error())
		}
	}, func(err error) {
		failed.Add(1)
		reason.Store(err.Error())
	}, nil)
	next := 0
	return Flow{
		Publish: func(*Item) {
			_ = arrived.Publish(ctx, frames[next%clients])
			next++
		},
		Finish: func() {
			arrived.OnCompleted()
			<-sub.Done()
			if n := failed.Load(); n > 0 || handled != next {
				panic(fmt.Sprintf("inbound: %d published, %d handled, %d failed: %v", next, handled, n, reason.Load()))
			}
		},
	}, nil
}
