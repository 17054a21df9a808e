package rx

import (
	"context"
	"sync"

	"github.com/agentmesh/agentmesh/observables"
)

// Observables is the flow through a Subject and typed operators.
func Observables(ctx context.Context, s Shape) Flow {
	subject := observables.NewSubject[*Item](observables.Config{})
	var subs []*observables.Subscription
	for range s.Subscribers {
		stream := subject.Stream()
		for i := range s.Operators {
			if i%2 == 0 {
				stream = stream.Pipe(observables.Map(Step))
			} else {
				stream = stream.Pipe(observables.Filter(Keep))
			}
		}
		var handled int64
		subs = append(subs, stream.Subscribe(ctx, func(m *Item) { handled += m.N }, nil, nil))
	}
	return Flow{Publish: subject.OnNext, Finish: func() {
		subject.OnCompleted()
		for _, sub := range subs {
			<-sub.Done()
		}
	}}
}

// Direct is the same work as plain calls of functions that the compiler cannot see into, under a lock that
// gives handlers one item at a time.
func Direct(_ context.Context, s Shape) Flow {
	var mu sync.Mutex
	var handlers []func(*Item)
	for range s.Subscribers {
		var handled int64
		next := func(m *Item) { handled += m.N }
		for i := range s.Operators {
			after := next
			if i%2 == 0 {
				next = func(m *Item) { after(Step(m)) }
			} else {
				next = func(m *Item) {
					if Keep(m) {
						after(m)
					}
				}
			}
		}
		handlers = append(handlers, next)
	}
	return Flow{Finish: func() {}, Publish: func(m *Item) {
		mu.Lock()
		defer mu.Unlock()
		for _, h := range handlers {
			h(m)
		}
	}}
}
