package main

import (
	"context"

	"github.com/reactivex/rxgo/v2"
	"github.com/samber/ro"

	"github.com/agentmesh/agentmesh/internal/bench/rx"
)

// rxgoFlow is rxgo as its manual shows it: an event source and native operators.
func rxgoFlow(ctx context.Context, s rx.Shape, opts ...rxgo.Option) rx.Flow {
	in := make(chan rxgo.Item, 1024)
	source := rxgo.FromEventSource(in, opts...)
	var dones []rxgo.Disposed
	for range s.Subscribers {
		o := source
		for i := range s.Operators {
			if i%2 == 0 {
				o = o.Map(func(_ context.Context, v any) (any, error) { return rx.Step(v.(*rx.Item)), nil })
			} else {
				o = o.Filter(func(v any) bool { return rx.Keep(v.(*rx.Item)) })
			}
		}
		var handled int64
		dones = append(dones, o.ForEach(func(v any) { handled += v.(*rx.Item).N }, func(error) {}, func() {}, opts...))
	}
	return rx.Flow{
		Publish: func(m *rx.Item) { in <- rxgo.Of(m) },
		Finish: func() {
			close(in)
			for _, done := range dones {
				<-done
			}
		},
	}
}

func rxgoUnbuffered(ctx context.Context, s rx.Shape) rx.Flow { return rxgoFlow(ctx, s) }

func rxgoBuffered(ctx context.Context, s rx.Shape) rx.Flow {
	return rxgoFlow(ctx, s, rxgo.WithContext(ctx), rxgo.WithBufferedChannel(1024))
}

// roFlow is samber/ro: everything runs in the publisher's goroutine, without a buffer.
func roFlow(_ context.Context, s rx.Shape) rx.Flow {
	subject := ro.NewPublishSubject[*rx.Item]()
	var subs []ro.Subscription
	for range s.Subscribers {
		var o ro.Observable[*rx.Item] = subject
		for i := range s.Operators {
			if i%2 == 0 {
				o = ro.Map(rx.Step)(o)
			} else {
				o = ro.Filter(rx.Keep)(o)
			}
		}
		var handled int64
		subs = append(subs, o.Subscribe(ro.OnNext(func(m *rx.Item) { handled += m.N })))
	}
	return rx.Flow{Publish: subject.Next, Finish: func() {
		subject.Complete()
		for _, sub := range subs {
			sub.Wait()
		}
	}}
}
