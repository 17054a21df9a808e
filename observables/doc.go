// Package observables is the reactive layer of the mesh: hot, multicast, bounded streams of typed items on
// top of rxgo.
//
// rxgo is the boundary and the language for others: each subscription is an rxgo observable of tokens with
// rxgo's ForEach at its end, native observables come in by From, go out by Observable, and native operators
// fit into a chain by Rx. Between two boundaries typed operators are plain function calls, and a boundary
// costs one channel hop for all the items that have piled up, not one for each. So an item through a
// Subject and five operators costs about as much as a mutex and a few calls, and no allocation.
//
// # Usage
//
//	subject := observables.NewSubject[*Message](observables.Config{})
//	chat := observables.Pipe2(subject.Stream(),
//		observables.Filter(isChat),
//		observables.MapErr(redact))
//	sub := chat.Subscribe(ctx, write, failed, nil)
//	defer sub.Dispose()
//	subject.OnNext(m)
//
// # Operators
//
//	each item      Map MapErr Filter Do FlatMap Scan Changed Distinct
//	slow calls     Checker (verdicts, shared and cached), MapAsync (a call for each item)
//	ends           Take TakeWhile TakeUntil Skip Timeout Retry Catch
//	time           Debounce ThrottleFirst ThrottleLatest Sample Delay
//	pieces         Buffer Window GroupBy
//	several        Merge CombineLatest WithLatestFrom Share StartWith
//	goroutines     ObserveOn
//	sources        Subject ReplaySubject BehaviorSubject From FromChan FromSeq Defer Empty Throw
//	sinks          Subscribe SubscribeBatch Each ToChan Tap Observable
//	native rxgo    Rx
//
// # Contract
//
// Hot and multicast: every subscription gets every item that is published after Subscribe returned. A
// subscription to a subject that has ended ends at once.
//
// Ordered: what one goroutine publishes arrives in that order at every subscription. What several publish at
// the same time may arrive in different orders at different subscriptions. onNext and onDone of a
// subscription run on one goroutine, never concurrently.
//
// Shared: all subscriptions get the same item. Who publishes a pointer must not change what it points to
// any more, nor may who receives it.
//
// Bounded: a subscription holds at most its buffer twice, once queued and once in process, for each stage
// that has a buffer: the source, StartWith, Merge, CombineLatest, Share, ObserveOn, Delay, Rx, the operators
// with a clock, and Check and MapAsync with their Queue. Only the policy Block can slow a publisher; Dropped
// counts what the others cost. Operators that want only the latest item (Debounce, ThrottleLatest, Sample)
// never wait for a slow handler: they leave out what is superseded.
//
// On time: an operator with a clock runs, with what follows it, on one goroutine that wakes for items and for
// its time. Its time is when it sees an item.
//
// Errors cost one item: a panic, or an error of MapErr, goes to onError as an *ItemError, and the stream
// goes on. A stream as a whole ends only by OnCompleted or OnError of its source, by the policy Fail, by
// operators that say so, by Dispose or by the end of its context; onDone and Err tell which. A callback that
// ends its goroutine by runtime.Goexit (t.FailNow) ends the subscription with ErrGoexit.
//
// Dispose never waits, may be called from anywhere and more than once. It unregisters, frees publishers that
// are blocked by the subscription and drops what is queued. At most the call in progress finishes. Done is
// closed when nothing of the subscription runs any more.
//
// # Traps
//
// A handler that publishes to the subject it handles waits for itself when its buffer is full: use another
// policy than Block or another goroutine. Subscribing twice runs the operators twice: put Share after what is
// expensive. A batch of SubscribeBatch is valid only during the call. A group or window is hot as all streams
// are: subscribe to it in the handler that gets it, or its first items are missed.
//
// # Testing
//
// Each sentence of the contract has a test of its own in contract_test.go; its examples show whole programs.
//
// Publish, complete the subject, wait for Done, look at what the handler got: nothing needs a sleep. In a
// synctest bubble synctest.Wait says that all that was published has been handled. A test that forgets to
// end a subscription fails its package's goleak check.
package observables
