package router

import (
	"context"
	"slices"
	"sync"
	"time"
)

// feed brings one history to the local connections that are interested in it.
type feed struct {
	r *Router
	h History

	mu         sync.Mutex
	order      sequencer
	subs       []*sub        // copied on write
	pins       int           // attaches in progress; the feed stays
	releasing  chan struct{} // closed when the feed has been taken out of Redis
	generation uint64        // of the entry in Redis
	out        []emission
	sending    bool // one goroutine sends at a time, so that the order stands
	timer      *time.Timer
	waiting    bool            // the timer runs
	tasks      [taskKinds]bool // queued
}

func newFeed(r *Router, h History) *feed {
	f := &feed{r: r, h: h, order: newSequencer(r.config.HoldSize)}
	f.timer = time.AfterFunc(time.Hour, f.holeIsOld)
	f.timer.Stop()
	return f
}

// deliver takes one message of the history, in whatever order.
func (f *feed) deliver(seq int64, epoch string, body []byte) {
	f.mu.Lock()
	want := f.order.accept(seq, epoch, body)
	f.flush(want)
}

// volatile sends a message that is in no history to whoever is attached.
func (f *feed) volatile(body []byte) {
	f.mu.Lock()
	f.out = append(f.out, emission{life: f.order.life, body: body, subs: f.subs})
	f.flush(nothing)
}

// flush sends what is ready and unlocks f. While another goroutine sends it leaves the work to that one.
func (f *feed) flush(want wants) {
	f.collect()
	switch {
	case f.order.epoch == "":
	case want == history:
		f.r.tasks.addLocked(f, syncTask)
	case want == time4it && !f.waiting:
		f.waiting = true
		f.timer.Reset(f.r.reorderWait)
	}
	if f.sending {
		f.mu.Unlock()
		return
	}
	f.sending = true
	for len(f.out) > 0 {
		batch := f.out
		f.out = nil
		f.mu.Unlock()
		for i := range batch {
			f.send(&batch[i])
		}
		f.mu.Lock()
	}
	f.sending = false
	f.mu.Unlock()
}

// collect moves what the sequencer let through to the way out. f is locked.
func (f *feed) collect() {
	for _, e := range f.order.ready {
		if len(f.subs) == 0 {
			continue
		}
		e.subs = f.subs
		f.out = append(f.out, e)
	}
	clear(f.order.ready)
	f.order.ready = f.order.ready[:0]
}

func (f *feed) send(e *emission) {
	body := e.body
	if e.seq > 0 {
		body = Stamp(body, e.seq, e.epoch) // once for all
	}
	for _, s := range e.subs {
		s.offer(held{seq: e.seq, life: e.life, body: body})
	}
}

func (f *feed) holeIsOld() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting = false
	if f.order.first(f.order.epoch) > 0 {
		f.r.stats.holes.Add(1)
		f.r.tasks.addLocked(f, syncTask)
	}
}

// opened is told where the history stood when an attach was executed. It returns from where on the feed
// is complete; that may be later than seq, when another attach was answered first.
func (f *feed) opened(seq int64, epoch string) (from int64, life uint64, same bool) {
	f.mu.Lock()
	if f.order.epoch == "" {
		f.order.open(seq, epoch)
	}
	from, life, same = max(seq, f.order.start), f.order.life, f.order.epoch == epoch
	want := nothing
	if len(f.order.early) > 0 {
		want = time4it
	}
	f.flush(want)
	return from, life, same
}

// catchUp reads what the feed misses from the history.
func (f *feed) catchUp(ctx context.Context) error {
	for {
		f.mu.Lock()
		last, epoch := f.order.last, f.order.epoch
		f.mu.Unlock()
		if epoch == "" {
			return nil // not open yet
		}
		p, err := f.r.page(ctx, f.h, last+1, "+")
		switch {
		case err != nil:
			return err
		case p.epoch == "":
			return nil // the history was lost; it begins anew with the next message
		case p.epoch != epoch:
			err = f.changeLife(ctx, epoch)
		case p.seq < last:
			// Redis came back without its last entries: numbers that went through will be, or have
			// been, given to other messages. The history goes on under a new epoch.
			f.r.log.Warn("router: Redis lost entries of a history; it goes on under a new epoch")
			keys := []string{f.r.key(f.h, ":h")}
			err = f.r.redis.Eval(ctx, f.r.scripts.renew, keys, epoch, last, f.r.newEpoch()).Err()
		default:
			if f.take(p, epoch) {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// take feeds a page of the running life and says whether it was the last one.
func (f *feed) take(p page, epoch string) (done bool) {
	f.mu.Lock()
	if f.order.epoch != epoch {
		f.mu.Unlock()
		return false // somebody else was faster
	}
	for _, e := range p.entries {
		f.order.fill(e.seq, e.body)
	}
	f.r.stats.filled.Add(uint64(len(p.entries)))
	want := nothing
	done = len(p.entries) < pageSize
	if done {
		upto := p.seq
		if f.r.config.Keep < 0 {
			upto = min(upto, f.order.first(epoch)-1) // what is not early may still come
		}
		f.order.skip(upto)
		if f.order.first(epoch) > 0 {
			want = time4it
		}
	}
	f.flush(want)
	return done
}

// changeLife follows the history into another epoch than the old one. What still is as it went through is
// not sent again: usually the history says up to where that is, else the entries are compared. Otherwise all
// that the new life holds is new.
func (f *feed) changeLife(ctx context.Context, old string) error {
	f.mu.Lock()
	last := f.order.last
	f.mu.Unlock()
	p, err := f.r.page(ctx, f.h, max(1, last-memory/2), "+")
	if err != nil || p.epoch == old || p.epoch == "" {
		return err
	}
	if len(p.entries) == 0 && p.seq < last { // it may have lost more than that
		if p, err = f.r.page(ctx, f.h, max(1, p.seq-memory/2), "+"); err != nil {
			return err
		}
	}
	f.mu.Lock()
	if upto, known := p.agrees(old, f.order.last); known && f.order.epoch == old {
		f.order.follow(upto, p.epoch)
	} else if f.order.epoch == old {
		from := f.order.common(p.entries)
		if from == 0 {
			from = max(0, p.oldest-1)
		}
		if first := f.order.first(p.epoch); first > 0 && f.r.config.Keep < 0 {
			from = min(from, first-1)
		}
		f.order.open(from, p.epoch)
	}
	f.flush(nothing)
	return nil
}

func (f *feed) add(s *sub) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.subs = append(slices.Clone(f.subs), s)
}

func (f *feed) remove(s *sub) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := slices.Index(f.subs, s)
	if i < 0 {
		return
	}
	f.subs = slices.Delete(slices.Clone(f.subs), i, i+1)
	f.idleLocked()
}

func (f *feed) unpin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pins--
	f.idleLocked()
}

func (f *feed) idleLocked() {
	if len(f.subs) == 0 && f.pins == 0 && f.releasing == nil {
		f.timer.Stop()
		f.waiting = false
		f.r.tasks.addLocked(f, releaseTask)
	}
}
