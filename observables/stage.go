package observables

import (
	"context"
	"sync/atomic"
	"time"
)

// stage is an operator with a goroutine and a clock of its own: items come through a ring, and the clock
// wakes the ring's consumer. So all of a stage runs on one goroutine, without a lock, and what follows it is
// called like behind any source.
type stage[A, B any] struct {
	next func(A)
	tick func(now time.Time) (wake time.Time) // after each batch, and at wake or later; zero: no need to wake
	last func(err error)                      // what is still to be emitted at the end; may be nil
}

// staging is what a stage's functions have of the subscription they run in.
type staging[B any] struct {
	ctx context.Context //nolint:containedctx // of the chain that runs, like the rest here
	sc  *scope
	k   sink[B]
	one []B
}

// emit hands v on from tick or last, where no item is at hand for a panic below to cost.
func (st *staging[B]) emit(v B) {
	st.one[0] = v
	deliver(st.sc, st.one, st.k.next)
	clear(st.one)
}

// staged makes an operator of a stage behind a buffer. latest has the buffer give up its oldest items when
// it is full, for operators that want only the newest; else what comes before waits.
func staged[A, B any](latest bool, start func(*staging[B]) stage[A, B]) Op[A, B] {
	return func(s Stream[A]) Stream[B] {
		return Stream[B]{attach: func(ctx context.Context, sc *scope, k sink[B]) {
			in := newRing[A](Config{}, sc)
			if latest {
				in.policy, in.dropped = DropOldest, new(atomic.Uint64) // superseded, not lost
			}
			c := newClock(sc, in.poke)
			up, own := sc.child(ctx)
			f := start(&staging[B]{ctx: up, sc: sc, k: k, one: make([]B, 1)})
			in.run(sc, sink[A]{
				next: f.next,
				flush: func() {
					c.wake(f.tick(time.Now()))
					if k.flush != nil {
						k.flush()
					}
				},
				end: func(err error) {
					c.stop()
					if f.last != nil {
						f.last(err)
					}
					flush(sc, k.flush)
					own.close(err)
					k.end(err)
				},
			})
			s.attach(up, own, sink[A]{
				next: func(v A) { _ = in.push(up, v) }, // fails only when nobody wants v any more
				end:  in.close,
			})
		}}
	}
}

// clock calls f, on a goroutine of its own, when it is time to.
type clock struct {
	sc    *scope
	timer *time.Timer
	armed time.Time
}

func newClock(sc *scope, f func()) *clock {
	c := &clock{sc: sc, timer: time.AfterFunc(time.Hour, f)}
	c.timer.Stop()
	sc.onClose(func(error) { c.timer.Stop() })
	return c
}

// wake asks for a call at t, if it is not zero. One that has been asked for earlier stays.
func (c *clock) wake(t time.Time) {
	now := time.Now()
	if t.IsZero() || c.armed.After(now) && !c.armed.After(t) {
		return
	}
	c.armed = t
	c.timer.Reset(t.Sub(now))
	if c.sc.closed.Load() {
		c.timer.Stop()
	}
}

func (c *clock) stop() { c.timer.Stop() }
