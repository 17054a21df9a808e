package jobs

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

var errBeingReaped = errors.New("jobs: another agent is emptying this agent's inbox")

// reaper looks after the dead: one agent at a time holds the lock of a dead one's inbox, hands out each job
// that is left there, then has the agent forgotten and the inbox removed. If it dies too, the lock runs out
// and another begins where it stood: a job leaves the inbox only after it was dealt with.
type reaper struct {
	w    *Worker
	poke chan struct{}
}

func newReaper(w *Worker) *reaper { return &reaper{w: w, poke: make(chan struct{}, 1)} }

// hold is for how long the lock of an inbox is taken.
func (r *reaper) hold() time.Duration { return max(2*r.w.b.cfg.AgentTTL, time.Second) }

// keep looks for dead agents until the worker stops.
func (r *reaper) keep(ctx context.Context) {
	if r.w.cfg.Orphan == nil {
		return
	}
	every := r.w.b.cfg.AgentTTL / 3
	for wait := rand.N(every); ; wait = every - every/8 + rand.N(every/4) {
		t := time.NewTimer(wait)
		select {
		case <-r.w.stop:
			t.Stop()
			return
		case <-t.C:
		case <-r.poke:
			t.Stop()
		}
		s, err := r.w.b.agents.take(ctx, r.w.life.mayJudge())
		if err != nil {
			r.w.b.trouble(ctx, err)
			continue
		}
		for _, dead := range slices.Sorted(maps.Keys(s.dead)) {
			if dead == r.w.me || r.w.halted() {
				continue
			}
			if err := r.reap(ctx, dead, s.dead[dead]); err != nil {
				r.w.b.trouble(ctx, err)
				r.w.b.cfg.Logger.Warn("emptying the inbox of a dead agent failed; it is tried again", "agent", dead, "error", err)
			}
		}
	}
}

// A burial is the work on one dead agent.
type burial struct {
	r       *reaper
	dead    string
	tag     string
	lock    string
	renewed time.Time
}

var errLockLost = errors.New("jobs: the lock was lost")

func (r *reaper) reap(ctx context.Context, dead string, when int64) error {
	b := r.w.b
	u := &burial{r: r, dead: dead, tag: b.keys.inbox(dead), lock: NewIncarnation(), renewed: time.Now()}
	if ok, err := b.redis.SetNX(ctx, u.tag+":r", u.lock, r.hold()).Result(); err != nil || !ok {
		return err // another agent is at it
	}
	defer func() {
		c, cancel := context.WithTimeout(context.WithoutCancel(ctx), batchTimeout)
		defer cancel()
		_ = b.redis.Eval(c, unlockScript, []string{u.tag + ":r"}, u.lock).Err() // else it runs out
	}()
	// Under the lock nobody can come back from the dead, so asking once is enough.
	score, err := b.redis.ZScore(ctx, b.keys.agents()+":dead", dead).Result()
	if errors.Is(err, redis.Nil) || err == nil && int64(score) != when {
		return nil
	}
	if err != nil {
		return err
	}
	return u.perform(ctx, when)
}

func (u *burial) perform(ctx context.Context, when int64) error {
	b := u.r.w.b
	if err := u.script(b.redis.Eval(ctx, seizeScript, []string{u.tag + ":o", u.tag + ":r"}, u.lock)); err != nil {
		return err
	}
	if err := u.empty(ctx); err != nil {
		return err
	}
	if died := u.r.w.cfg.Died; died != nil {
		if err := u.call(func(c context.Context) error { return died(c, u.dead) }); err != nil { //nolint:contextcheck // callbacks end with the worker's handlers
			return err
		}
	}
	if err := u.script(b.redis.Eval(ctx, buryScript, []string{u.tag + ":s0", u.tag + ":o", u.tag + ":r", u.tag + ":v"}, u.lock)); err != nil {
		return err
	}
	r := b.keys.agents()
	if err := b.redis.Eval(ctx, forgetScript, []string{r + ":dead", r + ":i"}, u.dead, when).Err(); err != nil {
		return err
	}
	b.cfg.Metrics.Count("buried", "", 1)
	return nil
}

// empty hands out every job of the inbox. Those that cannot be dealt with now stay; then it reports why.
func (u *burial) empty(ctx context.Context) error {
	b := u.r.w.b
	var failed error
	for start := "-"; ; {
		list, err := b.redis.XRangeN(ctx, u.tag+":s0", start, "+", 100).Result()
		if err != nil {
			return err
		}
		var ended []any
		for _, m := range list {
			if u.r.w.halted() {
				return u.end(ctx, ended, errStopping)
			}
			start = "(" + m.ID
			envelope, _ := m.Values["e"].(string)
			if err := u.orphan(ctx, envelope); err != nil {
				failed = err
				continue
			}
			ended = append(ended, m.ID)
			if time.Since(u.renewed) > u.r.hold()/4 {
				if err := u.end(ctx, ended, nil); err != nil {
					return err
				}
				ended = nil
			}
		}
		if err := u.end(ctx, ended, nil); err != nil {
			return err
		}
		if len(list) < 100 {
			return failed
		}
	}
}

// end removes what was dealt with and keeps the lock, then returns err if there is one.
func (u *burial) end(ctx context.Context, ids []any, err error) error {
	hold := u.r.hold()
	args := append([]any{u.lock, hold.Milliseconds()}, ids...)
	if lost := u.script(u.r.w.b.redis.Eval(ctx, reapedScript, []string{u.tag + ":s0", u.tag + ":r"}, args...)); lost != nil {
		return lost
	}
	u.renewed = time.Now()
	return err
}

func (u *burial) orphan(ctx context.Context, envelope string) error {
	b := u.r.w.b
	j, err := parseEnvelope([]byte(envelope))
	if err != nil {
		b.cfg.Metrics.Count("dead", "", 1)
		return b.redis.XAdd(ctx, &redis.XAddArgs{
			Stream: b.keys.inboxDead(), MaxLen: b.cfg.DeadKeep, Approx: true,
			Values: []any{"e", envelope, "id", "", "key", "", "reason", "malformed", "error", err.Error()},
		}).Err()
	}
	j.Hops++
	b.cfg.Metrics.Count("orphan", "", 1)
	return u.call(func(c context.Context) error { return u.r.w.cfg.Orphan(c, u.dead, j) }) //nolint:contextcheck // callbacks end with the worker's handlers
}

// call bounds a callback by the time for which the lock is certainly held.
func (u *burial) call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(u.r.w.handlers, u.r.hold()/2)
	defer cancel()
	return u.r.w.guard(func() error { return f(ctx) })
}

// script reads the answer 1, or 0 for a lost lock.
func (u *burial) script(cmd *redis.Cmd) error {
	n, err := cmd.Int()
	if err == nil && n == 0 {
		return errLockLost
	}
	return err
}
