package observables_test

import (
	"context"
	"errors"
	"testing"

	"github.com/reactivex/rxgo/v2"
)

// What the package relies on in rxgo, so that another version of it cannot change it unnoticed.

func TestRxgoFromChannelGivesTheChannelItself(t *testing.T) {
	t.Parallel()
	ch := make(chan rxgo.Item)
	var read <-chan rxgo.Item = ch
	o := rxgo.FromChannel(ch)
	if o.Observe() != read || o.Observe(rxgo.WithContext(t.Context())) != read {
		t.Error("FromChannel no longer hands out its channel: the boundary pays for another hop")
	}
}

func TestRxgoForEachGoesOnAfterErrorsAndCompletesOnClose(t *testing.T) {
	t.Parallel()
	for _, o := range []func(rxgo.Observable) rxgo.Observable{
		func(o rxgo.Observable) rxgo.Observable { return o },
		func(o rxgo.Observable) rxgo.Observable {
			return o.Map(func(_ context.Context, v any) (any, error) { return v, nil })
		},
	} {
		ch := make(chan rxgo.Item)
		var calls []string
		done := o(rxgo.FromChannel(ch)).ForEach(
			func(any) { calls = append(calls, "next") },
			func(error) { calls = append(calls, "error") },
			func() { calls = append(calls, "completed") },
			rxgo.WithErrorStrategy(rxgo.ContinueOnError))
		for _, it := range []rxgo.Item{rxgo.Of(1), rxgo.Error(errors.New("x")), rxgo.Of(2)} {
			ch <- it
		}
		close(ch)
		<-done
		if got := len(calls); got != 4 || calls[1] != "error" || calls[2] != "next" || calls[3] != "completed" {
			t.Errorf("got %v, want next error next completed", calls)
		}
	}
}

func TestRxgoDeferPassesContextAndCapacity(t *testing.T) {
	t.Parallel()
	type key struct{}
	got := make(chan int, 1)
	o := rxgo.Defer([]rxgo.Producer{func(ctx context.Context, next chan<- rxgo.Item) {
		if ctx.Value(key{}) == "mine" {
			got <- cap(next)
		} else {
			got <- -1
		}
	}})
	for range o.Observe(rxgo.WithContext(context.WithValue(t.Context(), key{}, "mine")), rxgo.WithBufferedChannel(7)) {
	}
	if c := <-got; c != 7 {
		t.Errorf("got capacity %d, want 7 (-1: not the observer's context)", c)
	}
}

func TestRxgoTakeDoesNotCompleteUnderContinueOnError(t *testing.T) {
	t.Parallel()
	ch := make(chan rxgo.Item)
	ctx, cancel := context.WithCancel(t.Context())
	out := rxgo.FromChannel(ch).Take(1).Observe(rxgo.WithContext(ctx), rxgo.WithBufferedChannel(4), rxgo.WithErrorStrategy(rxgo.ContinueOnError))
	for range 4 { // the fourth is taken up only after the third is dealt with
		ch <- rxgo.Of(1)
	}
	<-out
	select {
	case it, ok := <-out:
		t.Errorf("got %v, %t; want silence: the remark at Rx is out of date", it, ok)
	default:
	}
	cancel()
	for range out {
	}
}
