package rx_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/agentmesh/agentmesh/internal/bench/rx"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestFlowsRun(t *testing.T) {
	t.Parallel()
	for _, flow := range []func(context.Context, rx.Shape) rx.Flow{rx.Observables, rx.Direct} {
		if c := rx.Measure(flow(t.Context(), rx.Shape{Operators: 5, Subscribers: 3}), 4, 1000); c.Wall <= 0 {
			t.Errorf("got %+v, want a time", c)
		}
	}
	for _, watch := range []rx.Watch{nil, rx.Metrics()} {
		f, err := rx.Inbound(t.Context(), watch)
		if err != nil {
			t.Fatal(err)
		}
		rx.Measure(f, 1, 5000) // panics if one is lost
	}
}

func BenchmarkInbound(b *testing.B) {
	for name, watch := range map[string]rx.Watch{"metrics=off": nil, "metrics=on": rx.Metrics()} {
		b.Run(name, func(b *testing.B) {
			f, err := rx.Inbound(b.Context(), watch)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Publish(nil)
			}
			f.Finish()
		})
	}
}

func BenchmarkObservables(b *testing.B) {
	for _, k := range []int{0, 1, 3, 5} {
		b.Run(fmt.Sprintf("operators=%d", k), func(b *testing.B) {
			f, item := rx.Observables(b.Context(), rx.Shape{Operators: k, Subscribers: 1}), &rx.Item{}
			b.ReportAllocs()
			for b.Loop() {
				f.Publish(item)
			}
			f.Finish()
		})
	}
}
