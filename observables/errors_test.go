package observables_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/reactivex/rxgo/v2"

	"github.com/agentmesh/agentmesh/observables"
)

func TestItemErrorNeverShowsTheItem(t *testing.T) {
	t.Parallel()
	type secret struct{ token string }
	for want, e := range map[string]*observables.ItemError{
		"observables: item failed: no":                             {Err: errors.New("no")},
		"observables: panic: no":                                   {Err: errors.New("no"), Panic: errors.New("no")},
		"observables: panic: index":                                {Panic: "index"},
		"observables: panic with a observables_test.secret":        {Panic: secret{"hunter2"}},
		"observables: panic with a *observables_test.secret":       {Panic: &secret{"hunter2"}},
		"observables: panic with a map[string]int":                 {Panic: map[string]int{"hunter2": 1}},
		"observables: panic with a []observables_test.secret":      {Panic: []secret{{"hunter2"}}},
		"observables: panic with a func() observables_test.secret": {Panic: func() secret { return secret{"hunter2"} }},
	} {
		e.Item = secret{"hunter2"}
		if got := e.Error(); got != want || strings.Contains(got, "hunter2") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestOverflowString(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]observables.Overflow{"Block": observables.Block, "DropOldest": observables.DropOldest,
		"DropNewest": observables.DropNewest, "Fail": observables.Fail, "Overflow(?)": 9} {
		if got := o.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// An idle subscription keeps nothing of what it has handled.
func TestHandledItemsCanBeCollected(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[*[64]byte](observables.Config{})
	handled := make(chan struct{}, 2)
	a := s.Stream().Pipe(observables.Skip[*[64]byte](0)).Subscribe(t.Context(), func(*[64]byte) { handled <- struct{}{} }, nil, nil)
	b := s.Stream().Pipe(observables.Skip[*[64]byte](0)).SubscribeBatch(t.Context(), func([]*[64]byte) { handled <- struct{}{} }, nil, nil)
	item := new([64]byte)
	ref := weak.Make(item)
	s.OnNext(item)
	item = nil //nolint:ineffassign,wastedassign // lets go of it
	<-handled
	<-handled
	for deadline := time.Now().Add(20 * time.Second); ref.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatal("the item is still held")
		}
	}
	a.Dispose()
	b.Dispose()
	wait(t, "done", a.Done())
	wait(t, "done", b.Done())
}

func TestAnOperatorThatPanicsWhenBuiltLeavesNothingRunning(t *testing.T) {
	t.Parallel()
	s := observables.NewSubject[int](observables.Config{})
	broken := observables.Merge(s.Stream(), s.Stream().Pipe(observables.Rx[int, int](0, func(rxgo.Observable) rxgo.Observable { panic("bug") })))
	func() {
		defer func() {
			if p := recover(); p != "bug" {
				t.Errorf("recovered %v, want bug", p)
			}
		}()
		broken.Subscribe(context.Background(), nil, nil, nil)
	}()
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers left, want 0", n)
	}
}
