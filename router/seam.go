package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

const (
	slowAfter = 10 * time.Second     // a connection that takes nothing of its replay for this long is given up
	paceTick  = 2 * time.Millisecond // how often its backlog is looked at
)

var errLife = errors.New("router: the history began a new life meanwhile")

// attachment is one history that a connection attaches to: what is asked, and then what came of it.
type attachment struct {
	feed   *feed
	sub    *sub // nil: only the feed is opened
	isNew  bool
	member string // a user who must be a member of the room
	resume Resume
	token  string // of the room in the user's index, when it was found there

	notMember bool
	standing  Standing
	from      int64 // the replay begins after
}

// prepare subscribes c to h and holds its live messages back. c's turn must be held.
func (r *Router) prepare(ctx context.Context, c *connection, h History, resume Resume) (*attachment, error) {
	f, err := r.pin(ctx, h)
	if err != nil {
		return nil, err
	}
	a := &attachment{feed: f, resume: resume}
	if h.Kind == Room {
		a.member = c.user
	}
	if a.sub, a.isNew, err = c.subscribe(f); err != nil {
		f.unpin()
		return nil, err
	}
	if !a.isNew {
		a.sub.hold()
	}
	return a, nil
}

// attach registers this agent at the histories and learns where they stand. It is the first half of the
// seam: from here on every later message comes live and is held.
func (r *Router) attach(ctx context.Context, all []*attachment) error {
	for len(all) > 0 {
		n := min(batchSize, len(all))
		if err := r.attachBatch(ctx, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

func (r *Router) attachBatch(ctx context.Context, batch []*attachment) error {
	names := make([]any, len(batch))
	calls := make([]redisx.Call, len(batch))
	for i, a := range batch {
		h := a.feed.h
		names[i] = h.name()
		a.feed.mu.Lock()
		generation := a.feed.generation
		a.feed.mu.Unlock()
		calls[i] = redisx.Call{
			Script: r.scripts.attach,
			Keys:   []string{r.key(h, ":h"), r.key(h, ":l"), r.key(h, ":at"), r.key(h, ":mem")},
			Args: []any{
				r.me, r.config.Lease.Milliseconds(), generation, r.newEpoch(), r.config.KeepFor.Milliseconds(), a.member,
			},
		}
	}
	if err := r.remember(ctx, names); err != nil {
		return fmt.Errorf("router: attach: %w", err)
	}
	for i, cmd := range r.redis.EvalAll(ctx, calls) {
		v := reply(cmd)
		if v.int(0) == 0 && v.err == nil {
			batch[i].notMember = true
			continue
		}
		seq, epoch, oldest, floor := v.int(1), v.str(2), v.int(3), v.int(4)
		if v.err != nil {
			return fmt.Errorf("router: attach: %w", v.err)
		}
		if err := r.attached(ctx, batch[i], Standing{Seq: seq, Epoch: epoch, Oldest: oldest}, floor); err != nil {
			return err
		}
	}
	return nil
}

// attached plans the replay of one attachment.
func (r *Router) attached(ctx context.Context, a *attachment, s Standing, floor int64) error {
	from, life, same := a.feed.opened(s.Seq, s.Epoch)
	if !same {
		if err := a.feed.catchUp(ctx); err != nil {
			return err
		}
		if from, life, same = a.feed.opened(s.Seq, s.Epoch); !same {
			return errLife
		}
	}
	s.Seq = max(s.Seq, from)
	a.from, s.Gap = plan(s, a.resume, floor, a.feed.h.Kind)
	s.Oldest = max(s.Oldest, floor+1)
	a.standing = s
	if a.sub == nil {
		return nil
	}
	a.sub.mu.Lock()
	defer a.sub.mu.Unlock()
	if !a.isNew && !a.resume.Since.Known && a.sub.life == life {
		a.from = min(a.from, a.sub.cursor) // it was live before: nothing may fall into the hold
	}
	a.sub.life, a.sub.cursor = life, s.Seq
	return nil
}

// seam attaches c to all, and to what more finds once those are registered: it registers, replays, calls
// ack, and lets live messages through. c's turn must be held.
func (r *Router) seam(ctx context.Context, c *connection, all []*attachment, more func() ([]*attachment, error), ack func([]*attachment)) error {
	defer func() {
		for _, a := range all {
			a.feed.unpin()
		}
	}()
	err := r.attachAgain(ctx, all)
	if err == nil && more != nil {
		var found []*attachment
		if found, err = more(); err == nil {
			all = append(all, found...)
			err = r.attachAgain(ctx, found)
		}
	}
	for _, a := range all {
		if err == nil && !a.notMember {
			err = r.replayAll(ctx, a)
		}
	}
	if err == nil && c.ended() {
		err = ErrDetached
	}
	if err != nil {
		for _, a := range all {
			if a.isNew {
				c.unsubscribe(a.feed.h)
			} else if r.letThrough(ctx, a.sub) != nil {
				r.Detach(c.conn) // it would have a hole
			}
		}
		return err
	}
	if ack != nil {
		ack(all)
	}
	for _, a := range all {
		if a.notMember {
			c.unsubscribe(a.feed.h)
		} else if err := r.letThrough(ctx, a.sub); err != nil {
			r.Detach(c.conn)
			return err
		}
	}
	return nil
}

// attachAgain attaches, and starts over when a history begins a new life meanwhile.
func (r *Router) attachAgain(ctx context.Context, all []*attachment) (err error) {
	for range 3 {
		if err = r.attach(ctx, all); !errors.Is(err, errLife) {
			break
		}
	}
	return err
}

// replayAll replays one history; when it begins a new life meanwhile, that one is replayed too.
func (r *Router) replayAll(ctx context.Context, a *attachment) (err error) {
	a.sub.missed = false
	defer func() {
		if a.sub.missed && a.resume.claims() {
			a.standing.Gap = true
		}
	}()
	for range 3 {
		if err = r.replay(ctx, a.sub, a.from, a.standing); !errors.Is(err, errLife) {
			break
		}
		if err = r.attachAgain(ctx, []*attachment{a}); err != nil {
			break
		}
		err = errLife
	}
	return err
}

// replay sends what the history holds after from and up to where it stood. A history that is written to is
// also trimmed: what went after it stood there is noted as missed.
func (r *Router) replay(ctx context.Context, s *sub, from int64, to Standing) error {
	for from < to.Seq {
		p, err := r.page(ctx, s.f.h, from+1, seqText(to.Seq))
		if err != nil {
			return err
		}
		if p.epoch != to.Epoch {
			return errLife
		}
		for _, e := range p.entries {
			if err := r.pace(ctx, s); err != nil {
				return err
			}
			if s.gone.Load() {
				return nil
			}
			if err := s.c.conn.Send(Stamp(e.body, e.seq, to.Epoch)); err != nil {
				r.Detach(s.c.conn)
				return ErrDetached
			}
			s.missed = s.missed || e.seq != from+1
			from = e.seq
		}
		if len(p.entries) < pageSize {
			break
		}
	}
	s.missed = s.missed || from < to.Seq
	return nil
}

// letThrough is the second half of the seam: it sends what was held, until nothing is, and then s is live.
func (r *Router) letThrough(ctx context.Context, s *sub) error {
	for {
		batch, overflow, live := s.taken()
		if live || s.gone.Load() {
			return nil
		}
		for _, m := range batch {
			if err := r.pace(ctx, s); err != nil {
				return err
			}
			if s.gone.Load() {
				return nil
			}
			s.pass(m)
		}
		if !overflow {
			continue
		}
		s.f.mu.Lock()
		life, to := s.f.order.life, Standing{Seq: s.f.order.last, Epoch: s.f.order.epoch}
		s.f.mu.Unlock()
		if life != s.life {
			s.cursor = 0
		}
		if err := r.replay(ctx, s, s.cursor, to); err != nil && !errors.Is(err, errLife) {
			return err
		}
		s.life, s.cursor = life, max(s.cursor, to.Seq)
	}
}

// pace waits until the connection's queue has room, or s is gone: then there is nothing to wait for.
func (r *Router) pace(ctx context.Context, s *sub) error {
	if s.gone.Load() {
		return nil
	}
	least := s.c.conn.Backlog()
	if least <= r.config.ReplayBacklog {
		return nil
	}
	tick := time.NewTicker(paceTick)
	defer tick.Stop()
	progress := time.Now()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			n := s.c.conn.Backlog()
			switch {
			case s.gone.Load():
				return nil
			case n <= r.config.ReplayBacklog:
				return nil
			case n < least:
				least, progress = n, now
			case now.Sub(progress) > slowAfter:
				return ErrSlow
			}
		}
	}
}
