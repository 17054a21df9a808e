package observables_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/reactivex/rxgo/v2"

	"github.com/agentmesh/agentmesh/observables"
)

func ExampleSubject() {
	words := observables.NewSubject[string](observables.Config{})
	lengths := observables.Pipe2(words.Stream(),
		observables.Filter(func(w string) bool { return w != "" }),
		observables.Map(func(w string) int { return len(w) }))
	sub := lengths.Subscribe(context.Background(), func(n int) { fmt.Println(n) }, nil, nil)
	words.OnNext("observable")
	words.OnNext("")
	words.OnNext("of")
	words.OnCompleted()
	<-sub.Done()
	// Output:
	// 10
	// 2
}

func ExampleMapErr() {
	words := observables.NewSubject[string](observables.Config{})
	polite := observables.MapErr(func(w string) (string, error) {
		if w == "damn" {
			return "", errors.New("not here")
		}
		return strings.ToUpper(w), nil
	})(words.Stream())
	sub := polite.Subscribe(context.Background(),
		func(w string) { fmt.Println(w) },
		func(err error) { fmt.Println(err) },
		func(err error) { fmt.Println("end:", err) })
	_ = words.PublishBatch(context.Background(), []string{"well", "damn", "then"})
	words.OnCompleted()
	<-sub.Done()
	// Output:
	// WELL
	// observables: item failed: not here
	// THEN
	// end: <nil>
}

func ExampleStream_SubscribeBatch() {
	rows := observables.NewSubject[int](observables.Config{})
	sub := rows.Stream().SubscribeBatch(context.Background(), func(batch []int) { fmt.Println("insert", batch) }, nil, nil)
	_ = rows.PublishBatch(context.Background(), []int{1, 2, 3})
	rows.OnCompleted()
	<-sub.Done()
	// Output: insert [1 2 3]
}

func ExampleRx() {
	numbers := observables.NewSubject[int](observables.Config{})
	squares := observables.Rx[int, int](16, func(o rxgo.Observable) rxgo.Observable {
		return o.Map(func(_ context.Context, v any) (any, error) { return v.(int) * v.(int), nil })
	})(numbers.Stream())
	sub := squares.Subscribe(context.Background(), func(n int) { fmt.Println(n) }, nil, nil)
	_ = numbers.PublishBatch(context.Background(), []int{1, 2, 3})
	numbers.OnCompleted()
	<-sub.Done()
	// Output:
	// 1
	// 4
	// 9
}

func ExampleChecker() {
	type request struct{ client, session string }
	sessions, err := observables.NewChecker(observables.CheckConfig[request, string, string, string]{
		Key:   func(r request) string { return r.session },
		Order: func(r request) string { return r.client },
		Lookup: func(_ context.Context, session string) (user string, err error) {
			if session == "s-1" {
				return "ada", nil
			}
			return "", errors.New("no such session")
		},
		TTL: func(string, error) time.Duration { return time.Second },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	requests := observables.NewSubject[request](observables.Config{})
	sub := sessions.Op()(requests.Stream()).Subscribe(context.Background(), func(c observables.Checked[request, string]) {
		fmt.Printf("%s: %q %v\n", c.Item.client, c.Verdict, c.Err)
	}, nil, nil)
	requests.OnNext(request{"c-1", "s-1"})
	requests.OnNext(request{"c-1", "s-2"})
	requests.OnCompleted()
	<-sub.Done()
	// Output:
	// c-1: "ada" <nil>
	// c-1: "" no such session
}
