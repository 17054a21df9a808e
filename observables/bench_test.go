package observables_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/reactivex/rxgo/v2"

	"github.com/agentmesh/agentmesh/observables"
)

type benchItem struct{ n int }

func inc(m *benchItem) *benchItem { m.n++; return m }

func fiveOps(s observables.Stream[*benchItem]) observables.Stream[*benchItem] {
	return observables.Pipe5(s, observables.Map(inc), observables.Filter(func(m *benchItem) bool { return m.n > 0 }),
		observables.Map(inc), observables.Do(func(*benchItem) {}), observables.Map(inc))
}

// The price of an item from Publish through five typed operators to the handler.
func BenchmarkFiveOperators(b *testing.B) {
	for _, subscribers := range []int{1, 3} {
		for _, batch := range []int{1, 64} {
			b.Run(fmt.Sprintf("subscribers=%d/batch=%d", subscribers, batch), func(b *testing.B) {
				s := observables.NewSubject[*benchItem](observables.Config{})
				var subs []*observables.Subscription
				for range subscribers {
					subs = append(subs, fiveOps(s.Stream()).Subscribe(b.Context(), nil, nil, nil))
				}
				items := make([]*benchItem, batch)
				for i := range items {
					items[i] = &benchItem{}
				}
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					if batch == 1 {
						s.OnNext(items[0])
					} else if n%batch == 0 {
						_ = s.PublishBatch(b.Context(), items)
					}
				}
				s.OnCompleted()
				for _, sub := range subs {
					<-sub.Done()
				}
			})
		}
	}
}

// The same through rxgo alone, for comparison: an event source and five native operators.
func BenchmarkFiveNativeOperators(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	in := make(chan rxgo.Item, 1024)
	step := func(_ context.Context, v any) (any, error) { return v.(*benchItem), nil }
	all := func(v any) bool { return v.(*benchItem).n >= 0 }
	done := rxgo.FromEventSource(in, rxgo.WithContext(ctx)).Map(step).Filter(all).Map(step).Map(step).Map(step).
		ForEach(func(any) {}, func(error) {}, func() {}, rxgo.WithContext(ctx), rxgo.WithBufferedChannel(1024))
	item := rxgo.Of(&benchItem{})
	b.ReportAllocs()
	for b.Loop() {
		in <- item
	}
	close(in)
	<-done
	cancel()
}

// One native operator spliced into a typed chain.
func BenchmarkRx(b *testing.B) {
	s := observables.NewSubject[*benchItem](observables.Config{})
	sub := s.Stream().Pipe(observables.Rx[*benchItem, *benchItem](1024, func(o rxgo.Observable) rxgo.Observable {
		return o.Map(func(_ context.Context, v any) (any, error) { return v, nil })
	})).Subscribe(b.Context(), nil, nil, nil)
	item := &benchItem{}
	b.ReportAllocs()
	for b.Loop() {
		s.OnNext(item)
	}
	s.OnCompleted()
	<-sub.Done()
}

func BenchmarkCheck(b *testing.B) {
	for name, ttl := range map[string]time.Duration{"cached": time.Hour, "uncached": 0} {
		b.Run(name, func(b *testing.B) {
			c, err := observables.NewChecker(observables.CheckConfig[int, int, int, bool]{
				Key: func(v int) int { return v % 1000 }, Order: func(v int) int { return v % 1000 },
				Lookup: func(context.Context, int) (bool, error) { time.Sleep(500 * time.Microsecond); return true, nil },
				TTL:    func(bool, error) time.Duration { return ttl },
			})
			if err != nil {
				b.Fatal(err)
			}
			s := observables.NewSubject[int](observables.Config{})
			sub := c.Op()(s.Stream()).Subscribe(b.Context(), nil, nil, nil)
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				s.OnNext(n)
			}
			s.OnCompleted()
			<-sub.Done()
		})
	}
}
