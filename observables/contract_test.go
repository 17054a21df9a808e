package observables_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

// contract is the contract of doc.go, each sentence with the test that holds the package to it. What each names
// besides its own proof stands in other tests: the operators' bounds in theirs, chaos and races in TestChaos.
var contract = map[string]func(*testing.T){
	"Hot and multicast: every subscription gets every item that is published after Subscribe returned.": hot,
	"A subscription to a subject that has ended ends at once.":                                          endedSubject,
	"Ordered: what one goroutine publishes arrives in that order at every subscription.":                ordered,
	"What several publish at the same time may arrive in different orders at different subscriptions.":  noTotalOrder,
	"onNext and onDone of a subscription run on one goroutine, never concurrently.":                     neverConcurrent,
	"Shared: all subscriptions get the same item.":                                                      sameItem,
	"Who publishes a pointer must not change what it points to any more, nor may who receives it.":      sameItem,
	"Bounded: a subscription holds at most its buffer twice, once queued and once in process, for each stage that has a buffer: " +
		"the source, StartWith, Merge, CombineLatest, Share, ObserveOn, Delay, Rx, the operators with a clock, and Check and MapAsync with their Queue.": bounded,
	"Only the policy Block can slow a publisher; Dropped counts what the others cost.":                                                              onlyBlockSlows,
	"Operators that want only the latest item (Debounce, ThrottleLatest, Sample) never wait for a slow handler: they leave out what is superseded.": latestNeverWait,
	"On time: an operator with a clock runs, with what follows it, on one goroutine that wakes for items and for its time.":                         clockGoroutine,
	"Its time is when it sees an item.": clockTime,
	"Errors cost one item: a panic, or an error of MapErr, goes to onError as an *ItemError, and the stream goes on.":                                                                          errorsCostOneItem,
	"A stream as a whole ends only by OnCompleted or OnError of its source, by the policy Fail, by operators that say so, by Dispose or by the end of its context; onDone and Err tell which.": ends,
	"A callback that ends its goroutine by runtime.Goexit (t.FailNow) ends the subscription with ErrGoexit.":                                                                                   goexit,
	"Dispose never waits, may be called from anywhere and more than once.":                                                                                                                     disposeNeverWaits,
	"It unregisters, frees publishers that are blocked by the subscription and drops what is queued.":                                                                                          disposeFrees,
	"At most the call in progress finishes.":                         onlyTheCallInProgress,
	"Done is closed when nothing of the subscription runs any more.": doneIsTheEnd,
}

// TestContract: every sentence of the contract in doc.go has a test, and every test a sentence.
func TestContract(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(source), "# Contract")
	text, _, _ = strings.Cut(text, "# Traps")
	text = regexp.MustCompile(`\s+`).ReplaceAllString(strings.ReplaceAll(text, "//", ""), " ")
	for sentence, test := range contract {
		if !strings.Contains(text, sentence) {
			t.Errorf("doc.go does not say %q", sentence)
		}
		text = strings.Replace(text, sentence, "", 1)
		name, _, _ := strings.Cut(sentence, " (")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, test)
		})
	}
	if rest := strings.TrimSpace(text); rest != "" {
		t.Errorf("nothing tests what doc.go says: %q", rest)
	}
}

func hot(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{Buffer: 2})
	s.OnNext(-1) // nobody is there
	var all []func() []int
	for i := range 10 {
		_, got := collect(t, s.Stream())
		all = append(all, got)
		s.OnNext(i)
	}
	s.OnCompleted()
	for i, got := range all {
		if want := seq(10)[i:]; !slices.Equal(got(), want) {
			t.Errorf("who came before item %d got %v, want %v", i, got(), want)
		}
	}
}

func endedSubject(t *testing.T) {
	for _, end := range []error{nil, errors.New("broken")} {
		s := observables.NewSubject[int](observables.Config{})
		s.OnError(end)
		sub := s.Stream().Subscribe(t.Context(), nil, nil, nil)
		<-sub.Done()
		if sub.Err() != end {
			t.Errorf("got %v, want %v", sub.Err(), end)
		}
	}
}

// turn is the n-th item of a publisher.
type turn struct{ publisher, n int }

func ordered(t *testing.T) {
	s := observables.NewSubject[turn](observables.Config{Buffer: 3})
	var subs []*observables.Subscription
	for range 3 {
		var next [4]int
		subs = append(subs, s.Stream().Subscribe(t.Context(), func(v turn) {
			if next[v.publisher] != v.n {
				t.Errorf("publisher %d: item %d came where %d was due", v.publisher, v.n, next[v.publisher])
			}
			next[v.publisher]++
		}, nil, nil))
	}
	var publishers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for n := 0; n < 300; n += 3 {
				s.OnNext(turn{p, n})
				_ = s.PublishBatch(t.Context(), []turn{{p, n + 1}, {p, n + 2}})
			}
		})
	}
	publishers.Wait()
	s.OnCompleted()
	for _, sub := range subs {
		<-sub.Done()
	}
}

// noTotalOrder shows how it comes about: a publisher that waits for one subscription has reached the others.
func noTotalOrder(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	hold := make(chan struct{})
	var slow, fast []int
	full := s.StreamWith(observables.Config{Buffer: 1}).Subscribe(t.Context(), func(v int) { <-hold; slow = append(slow, v) }, nil, nil)
	free := s.Stream().Subscribe(t.Context(), func(v int) { fast = append(fast, v) }, nil, nil)
	s.OnNext(0)
	synctest.Wait()
	s.OnNext(1)
	var waiting sync.WaitGroup
	for _, v := range []int{2, 3} {
		waiting.Go(func() { s.OnNext(v) })
		synctest.Wait() // it waits for room
	}
	close(hold)
	waiting.Wait()
	s.OnCompleted()
	<-full.Done()
	<-free.Done()
	slices.Sort(slow)
	if !slices.Equal(slow, seq(4)) || !slices.Equal(fast, seq(4)) {
		t.Errorf("got %v and %v: an item is missing", slow, fast)
	}
}

func neverConcurrent(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{Buffer: 4})
	var inside atomic.Int32
	alone := func() {
		if inside.Add(1) > 1 {
			t.Error("two callbacks at the same time")
		}
		runtime.Gosched()
		inside.Add(-1)
	}
	sub := s.Stream().Subscribe(t.Context(), func(int) { alone() }, nil, func(error) { alone() })
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for i := range 200 {
				s.OnNext(i)
			}
		})
	}
	publishers.Wait()
	s.OnCompleted()
	<-sub.Done()
}

func sameItem(t *testing.T) {
	s := observables.NewSubject[*int](observables.Config{})
	_, a := collect(t, s.Stream())
	_, b := collect(t, s.Stream())
	v := new(int)
	s.OnNext(v)
	s.OnCompleted()
	if a()[0] != v || b()[0] != v {
		t.Error("the item was copied")
	}
}

func bounded(t *testing.T) {
	const buffer = 5
	s := observables.NewSubject[int](observables.Config{Buffer: buffer})
	hold := make(chan struct{})
	sub := s.Stream().Subscribe(t.Context(), func(int) { <-hold }, nil, nil)
	published := make(chan int, 1000)
	go func() {
		defer close(published)
		for i := range 100 {
			s.OnNext(i)
			published <- i
		}
	}()
	synctest.Wait()
	if n := len(published); n > 2*buffer {
		t.Errorf("%d items are inside, want at most %d", n, 2*buffer)
	}
	close(hold)
	synctest.Wait()
	s.OnCompleted()
	<-sub.Done()
}

func onlyBlockSlows(t *testing.T) {
	for _, policy := range []observables.Overflow{observables.Block, observables.DropOldest, observables.DropNewest, observables.Fail} {
		s := observables.NewSubject[int](observables.Config{Buffer: 2, Overflow: policy})
		hold := make(chan struct{})
		got := 0
		sub := s.Stream().Subscribe(t.Context(), func(int) { <-hold; got++ }, nil, nil)
		published := make(chan struct{})
		go func() {
			defer close(published)
			for i := range 100 {
				s.OnNext(i)
			}
		}()
		synctest.Wait()
		slowed := false
		select {
		case <-published:
		default:
			slowed = true
		}
		if slowed != (policy == observables.Block) {
			t.Errorf("%v: the publisher is slowed: %v", policy, slowed)
		}
		close(hold)
		<-published
		s.OnCompleted()
		<-sub.Done()
		if missed := 100 - got; policy != observables.Fail && sub.Dropped() != uint64(missed) || policy == observables.Fail && sub.Dropped() != 1 {
			t.Errorf("%v: %d are missing, Dropped says %d", policy, missed, sub.Dropped())
		}
	}
}

func latestNeverWait(t *testing.T) {
	for name, op := range map[string]observables.Op[int, int]{
		"Debounce": observables.Debounce[int](ms), "ThrottleLatest": observables.ThrottleLatest[int](ms), "Sample": observables.Sample[int](ms),
	} {
		s := observables.NewSubject[int](observables.Config{Buffer: 2})
		var got []int
		sub := s.Stream().Pipe(op).Subscribe(t.Context(), func(v int) {
			time.Sleep(time.Hour)
			got = append(got, v)
		}, nil, nil)
		begin := time.Now()
		for i := range 5000 {
			s.OnNext(i)
			time.Sleep(ms / 10)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("%s: the publisher was held up for %v", name, took)
		}
		time.Sleep(4 * time.Hour)
		s.OnCompleted()
		<-sub.Done()
		if len(got) == 0 || len(got) > 4 || got[len(got)-1] != 4999 || sub.Dropped() > 0 {
			got = got[:min(len(got), 10)]
			t.Errorf("%s: got %v and %d dropped, want a few of which 4999 is the last, and none dropped", name, got, sub.Dropped())
		}
	}
}

func clockGoroutine(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	inside, calls := 0, 0 // without a lock: the race detector would see a second goroutine
	count := observables.Do(func([]int) { inside++ })
	sub := observables.Pipe2(s.Stream(), observables.Buffer[int](3, time.Second), count).Subscribe(t.Context(), func([]int) {
		calls++
		if calls != inside {
			t.Error("something runs beside the handler")
		}
	}, nil, nil)
	for i := range 10 { // three by their number, the last by the clock
		s.OnNext(i)
		synctest.Wait()
	}
	time.Sleep(2 * time.Second)
	synctest.Wait()
	s.OnCompleted()
	<-sub.Done()
	if calls != 4 {
		t.Errorf("%d batches, want 4", calls)
	}
}

// clockTime: an item that waited behind a slow one is timed from when the operator sees it, not from when it was
// published.
func clockTime(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	begin := time.Now()
	var at []time.Duration
	sub := s.Stream().Pipe(observables.Do(func(int) { time.Sleep(time.Minute) }), observables.Delay[int](time.Second, observables.Config{})).
		Subscribe(t.Context(), func(int) { at = append(at, time.Since(begin)) }, nil, nil)
	s.OnNext(1)
	s.OnNext(2)
	s.OnCompleted()
	<-sub.Done()
	if len(at) != 2 || at[0] < time.Minute+time.Second || at[1] < 2*time.Minute+time.Second {
		t.Errorf("items came out at %v", at)
	}
}

func errorsCostOneItem(t *testing.T) {
	bug := errors.New("bug")
	s := observables.NewSubject[int](observables.Config{})
	var good []int
	var bad []any
	sub := observables.Pipe2(s.Stream(),
		observables.MapErr(func(v int) (int, error) {
			if v == 2 {
				return 0, bug
			}
			return v, nil
		}),
		observables.Map(func(v int) int {
			if v == 5 {
				panic(bug)
			}
			return v
		})).Subscribe(t.Context(), func(v int) {
		if v == 7 {
			panic(bug)
		}
		good = append(good, v)
	}, func(err error) {
		if item, ok := errors.AsType[*observables.ItemError](err); ok && errors.Is(err, bug) {
			bad = append(bad, item.Item)
		}
	}, nil)
	for i := range 10 {
		s.OnNext(i)
	}
	s.OnCompleted()
	<-sub.Done()
	if !slices.Equal(good, []int{0, 1, 3, 4, 6, 8, 9}) || !slices.Equal(bad, []any{2, 5, 7}) || sub.Err() != nil {
		t.Errorf("got %v, failed %v, %v", good, bad, sub.Err())
	}
}

func ends(t *testing.T) {
	broken, reason := errors.New("broken"), errors.New("reason")
	for name, c := range map[string]struct {
		op   observables.Op[int, int]
		end  func(*observables.Subject[int], *observables.Subscription, context.CancelCauseFunc)
		want error
	}{
		"OnCompleted": {nil, func(s *observables.Subject[int], _ *observables.Subscription, _ context.CancelCauseFunc) {
			s.OnCompleted()
		}, nil},
		"OnError": {nil, func(s *observables.Subject[int], _ *observables.Subscription, _ context.CancelCauseFunc) {
			s.OnError(broken)
		}, broken},
		"Fail": {nil, func(s *observables.Subject[int], _ *observables.Subscription, _ context.CancelCauseFunc) {
			_ = s.PublishBatch(t.Context(), seq(100))
		}, observables.ErrOverflow},
		"Take": {observables.Take[int](1), func(s *observables.Subject[int], _ *observables.Subscription, _ context.CancelCauseFunc) { s.OnNext(1) }, nil},
		"Timeout": {observables.Timeout[int](time.Second), func(*observables.Subject[int], *observables.Subscription, context.CancelCauseFunc) {
			time.Sleep(time.Minute)
		}, observables.ErrTimeout},
		"Dispose": {nil, func(_ *observables.Subject[int], sub *observables.Subscription, _ context.CancelCauseFunc) {
			sub.Dispose()
		}, observables.ErrDisposed},
		"context": {nil, func(_ *observables.Subject[int], _ *observables.Subscription, cancel context.CancelCauseFunc) {
			cancel(reason)
		}, reason},
	} {
		s := observables.NewSubject[int](observables.Config{Buffer: 10, Overflow: observables.Fail})
		ctx, cancel := context.WithCancelCause(t.Context())
		told, times := errors.New("nothing"), 0
		stream := s.Stream()
		if c.op != nil {
			stream = stream.Pipe(c.op)
		}
		sub := stream.Subscribe(ctx, func(int) {}, nil, func(err error) { told = err; times++ })
		s.OnNext(0)
		synctest.Wait()
		if c.op == nil && (times != 0 || sub.Err() != nil) {
			t.Errorf("%s: it ended by itself with %v", name, told)
		}
		c.end(s, sub, cancel)
		<-sub.Done()
		if told != c.want || sub.Err() != c.want || times != 1 {
			t.Errorf("%s: onDone got %v, Err says %v, %d ends; want %v once", name, told, sub.Err(), times, c.want)
		}
		cancel(nil)
	}
}

func goexit(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	sub := s.Stream().Subscribe(t.Context(), func(int) { runtime.Goexit() }, nil, nil)
	s.OnNext(1)
	<-sub.Done()
	if !errors.Is(sub.Err(), observables.ErrGoexit) || s.Subscribers() != 0 {
		t.Errorf("got %v and %d subscribers", sub.Err(), s.Subscribers())
	}
}

func disposeNeverWaits(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	hold := make(chan struct{})
	var sub *observables.Subscription
	sub = s.Stream().Subscribe(t.Context(), func(int) { <-hold; sub.Dispose() }, nil, func(error) { sub.Dispose() })
	s.OnNext(1)
	synctest.Wait() // the handler is busy
	for range 10 {
		go sub.Dispose()
		sub.Dispose() // would hang if it waited
	}
	select {
	case <-sub.Done():
		t.Error("Done is closed while the handler runs")
	default:
	}
	close(hold)
	<-sub.Done()
	sub.Dispose()
	if !errors.Is(sub.Err(), observables.ErrDisposed) {
		t.Errorf("got %v", sub.Err())
	}
}

func disposeFrees(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{Buffer: 2})
	hold, published := make(chan struct{}), make(chan struct{})
	got := 0
	sub := s.Stream().Subscribe(t.Context(), func(int) { <-hold; got++ }, nil, nil)
	go func() {
		defer close(published)
		for i := range 100 {
			s.OnNext(i)
		}
	}()
	synctest.Wait()
	sub.Dispose()
	<-published // though the handler is still busy
	if n := s.Subscribers(); n != 0 {
		t.Errorf("%d subscribers are registered, want 0", n)
	}
	close(hold)
	<-sub.Done()
	if got != 1 {
		t.Errorf("%d items were handled, want 1: the rest was queued", got)
	}
}

func onlyTheCallInProgress(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	hold := make(chan struct{})
	begun, finished := 0, 0
	sub := s.Stream().Subscribe(t.Context(), func(int) { begun++; <-hold; finished++ }, nil, nil)
	_ = s.PublishBatch(t.Context(), seq(10))
	synctest.Wait()
	sub.Dispose()
	close(hold)
	<-sub.Done()
	if begun != 1 || finished != 1 {
		t.Errorf("%d calls begun and %d finished, want 1 and 1", begun, finished)
	}
}

func doneIsTheEnd(t *testing.T) {
	s := observables.NewSubject[int](observables.Config{})
	var running atomic.Int32
	slow := func(int) int {
		running.Add(1)
		time.Sleep(time.Second)
		running.Add(-1)
		return 0
	}
	// Five goroutines: the source's, that of each boundary, and the handler's.
	on := observables.ObserveOn[int](observables.Config{})
	sub := observables.Pipe5(s.Stream(), observables.Map(slow), on, observables.Map(slow), on, observables.Map(slow)).
		Subscribe(t.Context(), nil, nil, func(error) { slow(0) })
	for i := range 3 {
		s.OnNext(i)
	}
	time.Sleep(1500 * time.Millisecond) // all are busy
	sub.Dispose()
	<-sub.Done()
	if n := running.Load(); n != 0 {
		t.Errorf("%d functions of the subscription run after Done", n)
	}
}
