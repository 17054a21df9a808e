package observables

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// CheckConfig says how a Checker looks up verdicts. T is the item, K what is looked up (a session), O what
// must stay in order (a client), V the verdict.
type CheckConfig[T any, K, O comparable, V any] struct {
	Key   func(T) K // required
	Order func(T) O // required

	// Lookup gives the verdict for a key. It must return when ctx ends. It or LookupBatch is required.
	Lookup func(ctx context.Context, key K) (V, error)

	// LookupBatch gives the verdicts for several different keys at once, in their order: for example by one
	// pipeline instead of a round trip each. The unknown keys among the items that have piled up are looked
	// up by one call; an error is that of all its keys. It must return when ctx ends and not keep keys.
	LookupBatch func(ctx context.Context, keys []K) ([]V, error)

	// Known gives the verdict for a key that needs no lookup, for example no session at all. An item with such
	// a key waits for nothing but the items of its order before it, also while lookups hang. It must be quick;
	// nil means that every key is looked up.
	Known func(K) (V, bool)

	// TTL is how long a verdict may be used for items that arrive after it; nil or 0 means not at all: only
	// the items that waited for it share it. It is asked once for each lookup, also a failed one.
	TTL func(V, error) time.Duration

	Parallel int           // calls in flight; 0 means 64, with LookupBatch 4
	Batch    int           // keys of one LookupBatch; 0 means 256
	Queue    int           // items waiting; when full the stages above wait; 0 means 4096
	MaxKeys  int           // cached verdicts; the oldest goes first; 0 means 100000
	Timeout  time.Duration // of the context of a call; 0 means none
}

func (c *CheckConfig[T, K, O, V]) setDefaults() {
	if c.Known == nil {
		c.Known = func(K) (v V, known bool) { return v, false }
	}
	if c.TTL == nil {
		c.TTL = func(V, error) time.Duration { return 0 }
	}
	switch {
	case c.Parallel != 0:
	case c.LookupBatch != nil:
		c.Parallel = 4
	default:
		c.Parallel = 64
	}
	if c.Batch == 0 {
		c.Batch = 256
	}
	if c.Queue == 0 {
		c.Queue = 4096
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = 100_000
	}
}

func (c *CheckConfig[T, K, O, V]) validate() error {
	switch {
	case c.Key == nil:
		return errors.New("observables: CheckConfig.Key is required")
	case c.Order == nil:
		return errors.New("observables: CheckConfig.Order is required")
	case c.Lookup == nil && c.LookupBatch == nil:
		return errors.New("observables: CheckConfig.Lookup or LookupBatch is required")
	case c.Lookup != nil && c.LookupBatch != nil:
		return errors.New("observables: CheckConfig.LookupBatch cannot stand beside Lookup")
	}
	for _, f := range [...]struct {
		name string
		n    int64
	}{{"Parallel", int64(c.Parallel)}, {"Batch", int64(c.Batch)}, {"Queue", int64(c.Queue)}, {"MaxKeys", int64(c.MaxKeys)}, {"Timeout", int64(c.Timeout)}} {
		if f.n < 0 {
			return fmt.Errorf("observables: CheckConfig.%s is %d, want 0 or more", f.name, f.n)
		}
	}
	return nil
}

// batch is how many keys one call may have.
func (c *CheckConfig[T, K, O, V]) batch() int {
	if c.LookupBatch == nil {
		return 1
	}
	return c.Batch
}

// Checked is an item with what the lookup of its key gave. Every item comes out, whatever the verdict; only
// one for which Key or Order panics costs itself, like any item that an operator fails at.
type Checked[T, V any] struct {
	Item    T
	Verdict V
	Err     error // of the lookup; an *ItemError if it panicked, ErrGoexit if it never returned
}

// Checker looks up a verdict for each item without letting slow lookups hold up others:
//
//   - at most one lookup is in flight for a key, and at most Parallel calls in all;
//   - items with the same order key leave in the order they came, also when their keys differ;
//   - items with different order keys do not wait for one another;
//   - items that arrived before a lookup returned share its verdict;
//   - an item with a fresh verdict and nothing waiting before it passes at once, without a goroutine or an
//     allocation.
//
// These hold for each subscription, which has lookups and cached verdicts of its own: share the stream
// below (Share) instead of subscribing twice.
type Checker[T any, K, O comparable, V any] struct {
	cfg CheckConfig[T, K, O, V]

	mu   sync.Mutex
	runs map[*checking[T, K, O, V]]struct{}
	past CheckStats // of the runs that have ended
}

// CheckStats counts what a Checker did since it was made.
type CheckStats struct {
	Known  uint64 // items that needed no verdict looked up
	Cached uint64 // items that passed at once with a verdict looked up before
	Waited uint64 // items that waited: for a lookup, or for one before them in their order
	Calls  uint64 // of Lookup or LookupBatch
	Keys   uint64 // looked up by them
	Failed uint64 // calls that returned an error, or panicked
}

// Plus gives the sums of s and t.
func (s CheckStats) Plus(t CheckStats) CheckStats {
	return CheckStats{
		Known: s.Known + t.Known, Cached: s.Cached + t.Cached, Waited: s.Waited + t.Waited,
		Calls: s.Calls + t.Calls, Keys: s.Keys + t.Keys, Failed: s.Failed + t.Failed,
	}
}

// Stats returns the counts, those of ended subscriptions included.
func (c *Checker[T, K, O, V]) Stats() CheckStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	sum := c.past
	for run := range c.runs {
		sum = sum.Plus(run.count())
	}
	return sum
}

// NewChecker makes a checker.
func NewChecker[T any, K, O comparable, V any](cfg CheckConfig[T, K, O, V]) (*Checker[T, K, O, V], error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Checker[T, K, O, V]{cfg: cfg, runs: make(map[*checking[T, K, O, V]]struct{})}, nil
}

// Op is the operator. What follows it runs on a goroutine of its own, behind a buffer of 1024 items; that
// and Queue together bound what is inside. When the stream above ends, the items inside are still answered.
func (c *Checker[T, K, O, V]) Op() Op[T, Checked[T, V]] {
	return func(s Stream[T]) Stream[Checked[T, V]] {
		return Stream[Checked[T, V]]{attach: func(ctx context.Context, sc *scope, k sink[Checked[T, V]]) {
			run := newChecking(&c.cfg, sc)
			c.mu.Lock()
			c.runs[run] = struct{}{}
			c.mu.Unlock()
			run.out.run(sc, k)
			sc.onClose(func(error) {
				run.stop()
				c.mu.Lock()
				delete(c.runs, run)
				c.past = c.past.Plus(run.count())
				c.mu.Unlock()
			})
			s.attach(ctx, sc, sink[T]{
				next:  func(v T) { run.submit(ctx, v) },
				flush: func() { run.flush(ctx) },
				end: func(err error) {
					run.pass(ctx)
					run.end(ctx, err)
				},
			})
		}}
	}
}

// Invalidate drops the verdict for key at once. A lookup in flight is not used: the items that wait for it
// get another. Items that have left with the old verdict keep it.
func (c *Checker[T, K, O, V]) Invalidate(key K) {
	c.each(func(run *checking[T, K, O, V]) { run.invalidate(key) })
}

// InvalidateAll drops all verdicts like Invalidate.
func (c *Checker[T, K, O, V]) InvalidateAll() {
	c.each(func(run *checking[T, K, O, V]) { run.invalidateAll() })
}

func (c *Checker[T, K, O, V]) each(f func(*checking[T, K, O, V])) {
	c.mu.Lock()
	runs := make([]*checking[T, K, O, V], 0, len(c.runs))
	for run := range c.runs {
		runs = append(runs, run)
	}
	c.mu.Unlock()
	for _, run := range runs {
		f(run)
	}
}
