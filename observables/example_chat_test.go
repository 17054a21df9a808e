package observables_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// line is one message of a chat in the examples.
type line struct{ Room, User, Text string }

var chat = []line{
	{"lobby", "ada", "hello"}, {"lobby", "bob", "buy GOLD now"}, {"games", "eve", "gg"},
	{"lobby", "ada", "!roll"}, {"lobby", "bob", "hi ada"},
}

// publish plays the chat and ends it.
func publish(s *observables.Subject[line]) {
	_ = s.PublishBatch(context.Background(), chat)
	s.OnCompleted()
}

// Moderation: what is refused goes to onError with its item, and the stream goes on.
func Example_moderation() {
	said := observables.NewSubject[line](observables.Config{})
	moderated := observables.Pipe2(said.Stream(),
		observables.MapErr(func(l line) (line, error) {
			if strings.Contains(l.Text, "GOLD") {
				return l, errors.New("advertising")
			}
			return l, nil
		}),
		observables.Map(func(l line) string { return l.User + ": " + l.Text }))
	sub := moderated.Subscribe(context.Background(),
		func(text string) { fmt.Println(text) },
		func(err error) {
			if item, ok := errors.AsType[*observables.ItemError](err); ok {
				fmt.Printf("(%s is warned: %v)\n", item.Item.(line).User, item.Err)
			}
		}, nil)
	publish(said)
	<-sub.Done()
	// Output:
	// ada: hello
	// (bob is warned: advertising)
	// eve: gg
	// ada: !roll
	// bob: hi ada
}

// A throttle for each room: a group is a stream of its own, with its own state.
func Example_throttleOfEachRoom() {
	said := observables.NewSubject[line](observables.Config{})
	rooms, err := observables.GroupBy(observables.GroupConfig[line, string]{
		Key: func(l line) string { return l.Room },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	var all sync.WaitGroup
	sub := rooms(said.Stream()).Subscribe(context.Background(), func(room observables.Group[line, string]) {
		all.Add(1)
		room.Pipe(observables.ThrottleFirst[line](time.Hour)).Subscribe(context.Background(),
			func(l line) { fmt.Println(room.Key, l.User, l.Text) }, nil, func(error) { all.Done() })
	}, nil, nil)
	publish(said)
	<-sub.Done()
	all.Wait()
	// Unordered output:
	// lobby ada hello
	// games eve gg
}

// A typing indicator: only the latest state counts, and a slow client never slows anybody.
func Example_typingIndicator() {
	typing := observables.NewSubject[string](observables.Config{})
	shown := typing.Stream().Pipe(observables.Debounce[string](5 * time.Second))
	sub := shown.Subscribe(context.Background(), func(who string) { fmt.Println(who, "is typing") }, nil, nil)
	for _, who := range []string{"ada", "bob", "ada", "eve"} {
		typing.OnNext(who)
	}
	typing.OnCompleted() // what waits at the end is shown
	<-sub.Done()
	// Output: eve is typing
}

// A score board of windows: each slice of points becomes one board.
func Example_scoreBoard() {
	type point struct {
		Player string
		Points int
	}
	points := observables.NewSubject[point](observables.Config{})
	boards := observables.Pipe2(points.Stream(),
		observables.Buffer[point](3, time.Second), // three points, or what came within a second
		observables.Map(func(window []point) map[string]int {
			board := map[string]int{}
			for _, p := range window {
				board[p.Player] += p.Points
			}
			return board
		}))
	sub := boards.Subscribe(context.Background(), func(board map[string]int) { fmt.Println(board) }, nil, nil)
	_ = points.PublishBatch(context.Background(), []point{{"ada", 3}, {"bob", 1}, {"ada", 4}, {"eve", 5}})
	points.OnCompleted()
	<-sub.Done()
	// Output:
	// map[ada:7 bob:1]
	// map[eve:5]
}

// Two streams joined: the score of a match changes when either side's does.
func Example_join() {
	home, away := observables.NewBehaviorSubject(0, observables.Config{}), observables.NewBehaviorSubject(0, observables.Config{})
	score := observables.CombineLatest(home.Stream(), away.Stream(), func(h, a int) string {
		return fmt.Sprintf("%d:%d", h, a)
	})
	shown, sub := score.ToChan(context.Background(), 0, nil)
	fmt.Println(<-shown)
	home.OnNext(1)
	fmt.Println(<-shown)
	away.OnNext(1)
	fmt.Println(<-shown)
	sub.Dispose()
	<-sub.Done()
	// Output:
	// 0:0
	// 1:0
	// 1:1
}

// A bot: it listens to the same stream as everybody and answers into it, through a subject that drops what
// it cannot take instead of waiting for itself.
func Example_bot() {
	room := observables.NewSubject[line](observables.Config{})
	bot := observables.Pipe3(room.StreamWith(observables.Config{Buffer: 64, Overflow: observables.DropNewest}),
		observables.Filter(func(l line) bool { return l.User != "bot" && strings.HasPrefix(l.Text, "!") }),
		observables.Map(func(l line) line { return line{l.Room, "bot", l.User + " rolls a 4"} }),
		observables.Take[line](1))
	answers := bot.Subscribe(context.Background(), room.OnNext, nil, nil)
	seen, stop := room.Stream().ToChan(context.Background(), 16, nil)
	for _, l := range chat {
		room.OnNext(l)
	}
	<-answers.Done()
	room.OnCompleted()
	for l := range seen {
		if l.User == "bot" || strings.HasPrefix(l.Text, "!") {
			fmt.Printf("%s: %s\n", l.User, l.Text)
		}
	}
	<-stop.Done()
	// Output:
	// ada: !roll
	// bot: ada rolls a 4
}

// A loop over a stream: errors come as values, and leaving the loop leaves the stream.
func ExampleStream_Each() {
	numbers := observables.NewReplaySubject[int](10, observables.Config{})
	for i := range 10 {
		numbers.OnNext(i)
	}
	for n, err := range numbers.Stream().Each(context.Background()) {
		if err != nil || n == 3 {
			break
		}
		fmt.Println(n)
	}
	// Output:
	// 0
	// 1
	// 2
}
