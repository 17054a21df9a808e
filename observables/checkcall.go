package observables

import (
	"context"
	"fmt"
	"time"
)

// checkCall is one call of Lookup, for one key, or of LookupBatch, for several. A worker uses it again.
type checkCall[T any, K, O comparable, V any] struct {
	answers []checkAnswer[T, K, O, V]
	ids     []K // of LookupBatch
}

type checkAnswer[T any, K, O comparable, V any] struct {
	key     *checkKey[T, K, O, V]
	verdict V
	err     error
	ttl     time.Duration
}

// takeReady takes as many keys as one call may have. Their error is that of a call that never returns, until
// it has.
func (c *checking[T, K, O, V]) takeReady(call *checkCall[T, K, O, V]) {
	for n := c.cfg.batch(); c.ready != nil && n > 0; n-- {
		key := c.ready
		c.ready, key.nextReady = key.nextReady, nil
		c.readyN--
		key.stale = false
		call.answers = append(call.answers, checkAnswer[T, K, O, V]{key: key, err: ErrGoexit})
	}
}

// settle uses what a call has given.
func (c *checking[T, K, O, V]) settle(ctx context.Context, call *checkCall[T, K, O, V]) {
	if n := len(call.answers); n > 0 {
		c.stats.Calls++
		c.stats.Keys += uint64(n)
		if call.answers[0].err != nil {
			c.stats.Failed++
		}
	}
	for i := 0; i < len(call.answers) && !c.dead; i++ {
		a := &call.answers[i]
		c.resolve(ctx, a.key, a.verdict, a.ttl, a.err)
	}
	clear(call.answers)
	call.answers = call.answers[:0]
}

// lookup makes the call. What panics gives its error to the keys it is about.
func (c *checking[T, K, O, V]) lookup(ctx context.Context, call *checkCall[T, K, O, V]) {
	if c.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	if c.cfg.LookupBatch != nil {
		c.lookupBatch(ctx, call)
	} else {
		c.lookupOne(ctx, &call.answers[0])
	}
	for i := range call.answers {
		c.askTTL(&call.answers[i])
	}
}

func (c *checking[T, K, O, V]) lookupOne(ctx context.Context, a *checkAnswer[T, K, O, V]) {
	defer func() {
		if p := recover(); p != nil {
			a.err = panicError(nil, p)
		}
	}()
	a.verdict, a.err = c.cfg.Lookup(ctx, a.key.id)
}

func (c *checking[T, K, O, V]) lookupBatch(ctx context.Context, call *checkCall[T, K, O, V]) {
	var err error
	defer func() {
		if p := recover(); p != nil {
			err = panicError(nil, p)
		}
		if err == nil {
			return
		}
		for i := range call.answers {
			call.answers[i].err = err
		}
	}()
	defer clear(call.ids)
	call.ids = call.ids[:0]
	for i := range call.answers {
		call.ids = append(call.ids, call.answers[i].key.id)
	}
	verdicts, err := c.cfg.LookupBatch(ctx, call.ids)
	if err == nil && len(verdicts) != len(call.ids) {
		err = fmt.Errorf("observables: LookupBatch gave %d verdicts for %d keys", len(verdicts), len(call.ids))
	}
	if err != nil {
		return
	}
	for i, v := range verdicts {
		call.answers[i].verdict, call.answers[i].err = v, nil
	}
}

func (c *checking[T, K, O, V]) askTTL(a *checkAnswer[T, K, O, V]) {
	defer func() {
		if p := recover(); p != nil {
			a.ttl, a.err = 0, panicError(nil, p)
		}
	}()
	a.ttl = c.cfg.TTL(a.verdict, a.err)
}
