package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/middleware"
	"github.com/agentmesh/agentmesh/observables"
)

// meter writes down what it hears.
type meter []string

func (m *meter) Handled(typ, outcome string, took time.Duration) {
	*m = append(*m, fmt.Sprint(typ, " ", outcome, " ", took))
}

// TestMetrics: each message is counted once, when its work has ended, with how it ended.
func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var heard meter
		var going message.Pending
		h := middleware.Metrics(&heard)(message.HandlerFunc(func(_ context.Context, m *message.Message) error {
			time.Sleep(time.Second)
			switch m.Type {
			case "refused":
				return fmt.Errorf("wrapped: %w", refusal)
			case "broken":
				return errors.New("no disk")
			case "panics":
				panic("boom")
			case "later":
				return &going
			}
			return nil
		}))
		send := func(typ string) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic %v", p)
				}
			}()
			return h.Handle(t.Context(), &message.Message{Type: typ})
		}
		if err := send("panics"); err == nil || err.Error() != "panic boom" {
			t.Errorf("a panic came out as %v", err)
		}
		for _, typ := range []string{"good", "refused", "broken"} {
			_ = send(typ)
		}
		settled := false
		message.Settle(send("later"), func(r message.Result, err error) { settled = r.Seq == 7 && err == nil })
		time.Sleep(time.Second)
		going.Done(message.Result{Seq: 7}, nil)
		want := meter{"panics failed 1s", "good done 1s", "refused " + string(refusal.Code) + " 1s", "broken failed 1s", "later done 2s"}
		if !slices.Equal(heard, want) || !settled {
			t.Errorf("got %q, settled %v; want %q", heard, settled, want)
		}
	})
}

type spanKey struct{}

// tracer writes down spans, each with the one around it.
type tracer struct{ ended []string }

func (tr *tracer) Start(ctx context.Context, typ string) (context.Context, func(error)) {
	above, _ := ctx.Value(spanKey{}).(string)
	name := above + "/" + typ
	return context.WithValue(ctx, spanKey{}, name), func(err error) { tr.ended = append(tr.ended, fmt.Sprint(name, " ", err)) }
}

// TestTracing: the work runs in the span's context, and the span ends with the work, once.
func TestTracing(t *testing.T) {
	t.Parallel()
	var spans tracer
	var going message.Pending
	inner := middleware.Tracing(&spans)(message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if ctx.Value(spanKey{}) != "/outer/"+m.Type {
			t.Errorf("the handler runs in span %v", ctx.Value(spanKey{}))
		}
		switch m.Type {
		case "later":
			return &going
		case "panics":
			panic("boom")
		}
		return refusal
	}))
	outer := middleware.Tracing(&spans)(message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		return inner.Handle(ctx, &message.Message{Type: m.ID})
	}))
	send := func(typ string) error {
		defer func() { _ = recover() }()
		return outer.Handle(t.Context(), &message.Message{Type: "outer", ID: typ})
	}
	_ = send("now")
	pending := send("later")
	if len(spans.ended) != 2 {
		t.Errorf("a span ended before its work: %q", spans.ended)
	}
	going.Done(message.Result{}, nil)
	if _, ok := pending.(*message.Pending); !ok {
		t.Errorf("got %v, want the work's own Pending", pending)
	}
	_ = send("panics")
	want := []string{
		"/outer/now " + refusal.Error(), "/outer " + refusal.Error(), "/outer/later <nil>", "/outer <nil>",
		"/outer/panics middleware: the handler panicked", "/outer middleware: the handler panicked",
	}
	if !slices.Equal(spans.ended, want) {
		t.Errorf("got %q, want %q", spans.ended, want)
	}
}

// TestWatchingOffCostsNothing: without a meter and a tracer nothing is wrapped.
func TestWatchingOffCostsNothing(t *testing.T) {
	t.Parallel()
	h := &nothing{}
	if got := message.Chain(middleware.Metrics(nil), middleware.Tracing(nil))(h); got != message.Handler(h) {
		t.Errorf("got %T, want the handler itself", got)
	}
}

type nothing struct{ _ int }

func (*nothing) Handle(context.Context, *message.Message) error { return nil }

// TestLiftWatches: metrics and tracing as an operator of a stream.
func TestLiftWatches(t *testing.T) {
	t.Parallel()
	var heard meter
	var spans tracer
	in := observables.NewSubject[*message.Message](observables.Config{})
	sub := in.Stream().Pipe(middleware.Lift(t.Context(), middleware.Metrics(&heard), middleware.Tracing(&spans))).
		Subscribe(t.Context(), nil, nil, nil)
	in.OnNext(&message.Message{Type: "a"})
	in.OnNext(&message.Message{Type: "b"})
	in.OnCompleted()
	<-sub.Done()
	if len(heard) != 2 || !slices.Equal(spans.ended, []string{"/a <nil>", "/b <nil>"}) {
		t.Errorf("got %q and %q", heard, spans.ended)
	}
}

// TestLiftEveryMiddleware: each middleware that stands alone works as an operator too.
func TestLiftEveryMiddleware(t *testing.T) {
	t.Parallel()
	rate := newLimit(t, middleware.RateLimitConfig{PerSecond: 1e-6, Burst: 2, Key: middleware.PerConnection})
	once := middleware.Once(middleware.NewOnceMemory(10), nil)
	rules := middleware.Authorise(middleware.Rules{{Type: "no", Roles: []string{"nobody"}}},
		func(context.Context, *message.Message) []string { return nil })
	in := observables.NewSubject[*message.Message](observables.Config{})
	var got []string
	var refused int
	sub := in.Stream().Pipe(middleware.Lift(t.Context(), middleware.Correlate(nil), middleware.Timeout(time.Minute), once, rules, rate.Middleware)).
		Subscribe(t.Context(), func(m *message.Message) { got = append(got, m.ID) }, func(error) { refused++ }, nil)
	for _, m := range []message.Message{
		{ID: "1", Conn: "a"}, {ID: "1", Conn: "a"}, // once
		{ID: "2", Conn: "a"}, {ID: "3", Conn: "a"}, // refused: the third of this connection
		{ID: "4", Conn: "b"}, {ID: "5"}, // another connection, none
		{ID: "6", Type: "no"}, // refused by the rules
	} {
		in.OnNext(&m)
	}
	in.OnCompleted()
	<-sub.Done()
	if !slices.Equal(got, []string{"1", "2", "4", "5"}) || refused != 2 {
		t.Errorf("got %q and %d refusals, want 1 2 4 5 and 2", got, refused)
	}
}

// TestPerConnectionDoesNotAllocate: the key of a connection is there already.
func TestPerConnectionDoesNotAllocate(t *testing.T) {
	rate := newLimit(t, middleware.RateLimitConfig{PerSecond: 1e9, Key: middleware.PerConnection})
	h := rate.Middleware(&nothing{})
	m := &message.Message{Conn: "17"}
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(t.Context(), m) }); n > 0 {
		t.Errorf("%v allocations a message", n)
	}
}
