package observables_test

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

func TestPipeline(t *testing.T) {
	t.Parallel()
	even := observables.NewPipeline(observables.Filter(func(v int) bool { return v%2 == 0 }))
	next := even.Pipe(observables.Map(func(v int) int { return v + 1 }))
	text := observables.Then(next, observables.Map(strconv.Itoa))
	s := observables.NewSubject[int](observables.Config{})
	_, a := collect(t, even.Transform()(s.Stream()))
	_, b := collect(t, text.Transform()(s.Stream()))
	_ = s.PublishBatch(t.Context(), seq(5))
	s.OnCompleted()
	if !slices.Equal(a(), []int{0, 2, 4}) || !slices.Equal(b(), []string{"1", "3", "5"}) {
		t.Errorf("got %v and %v", a(), b())
	}
}

func TestRxTx(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	var sent []string
	arriving := observables.NewSubject[int](observables.Config{})
	link := observables.NewRxTx(arriving.Stream(), func(v string) error {
		if len(sent) == 1 {
			return full
		}
		sent = append(sent, v)
		return nil
	})
	_, got := collect(t, link.Pipe(observables.Take[int](2)))
	_ = arriving.PublishBatch(t.Context(), seq(3))
	if err := link.OnNext("a"); err != nil {
		t.Error(err)
	}
	if err := link.OnNext("b"); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	if !slices.Equal(got(), seq(2)) || !slices.Equal(sent, []string{"a"}) {
		t.Errorf("got %v and sent %v", got(), sent)
	}
}
