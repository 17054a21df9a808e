package jobs

import (
	"context"
	"sync"
	"time"
)

// life keeps this agent registered. All times of the registry are Redis's own.
type life struct {
	w *Worker

	mu      sync.Mutex
	until   time.Time     // as far as we know we are believed to live until then; by our clock
	last    time.Time     // the last beat was confirmed then
	since   time.Time     // beats have been in time since; zero: the last one failed
	renewed chan struct{} // closed and replaced when until moves
	callers sync.WaitGroup
}

func newLife(w *Worker) *life { return &life{w: w, renewed: make(chan struct{})} }

// register enters this agent into the registry, then opens its inbox. It holds the inbox's lock, so that
// nobody is emptying it meanwhile, and nobody begins to before its name is among the living.
func (l *life) register(ctx context.Context) error {
	b, tag := l.w.b, l.w.inbox.tag
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	lock := NewIncarnation()
	if ok, err := b.redis.SetNX(ctx, tag+":r", lock, l.w.reaper.hold()).Result(); err != nil {
		return err
	} else if !ok {
		return errBeingReaped
	}
	defer func() { _ = b.redis.Eval(ctx, unlockScript, []string{tag + ":r"}, lock).Err() }() // else it runs out
	start, r := time.Now(), b.keys.agents()
	if err := b.redis.Eval(ctx, joinScript, []string{r, r + ":dead", r + ":i"}, l.w.me, b.cfg.AgentTTL.Milliseconds(), l.w.describe()).Err(); err != nil {
		return err
	}
	opened, err := b.redis.Eval(ctx, reopenScript, []string{tag + ":o", tag + ":r"}, lock).Int()
	if err != nil {
		return err
	}
	if opened == 0 {
		return errBeingReaped
	}
	l.beaten(start)
	return nil
}

// keep renews the registration until ctx ends.
func (l *life) keep(ctx context.Context) {
	defer l.callers.Wait()
	b := l.w.b
	registered := true
	for {
		wait := b.cfg.AgentTTL / 3
		start := time.Now()
		var err error
		if registered {
			registered, err = l.beat(ctx)
		}
		if !registered {
			if err = l.register(ctx); err == nil {
				registered = true
				l.rejoined(ctx)
			}
		} else if err == nil {
			l.beaten(start)
		}
		if err != nil {
			l.mu.Lock()
			first := !l.since.IsZero()
			l.since = time.Time{}
			l.mu.Unlock()
			b.trouble(ctx, err)
			if first {
				b.cfg.Logger.Warn("renewing the registration failed; it is tried again", "error", err)
			}
			wait = min(b.cfg.AgentTTL/12, 100*time.Millisecond)
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// beat reports whether this agent is still registered. It gives a silent connection up while there is time
// for another beat.
func (l *life) beat(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, min(batchTimeout, l.w.b.cfg.AgentTTL/2))
	defer cancel()
	n, err := l.w.b.redis.Eval(ctx, beatScript, []string{l.w.b.keys.agents()}, l.w.me, l.w.b.cfg.AgentTTL.Milliseconds()).Int()
	return err != nil || n == 1, err
}

func (l *life) beaten(start time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = start.Add(l.w.b.cfg.AgentTTL)
	if !l.inTime() {
		l.since = time.Now()
	}
	l.last = time.Now()
	close(l.renewed)
	l.renewed = make(chan struct{})
}

func (l *life) rejoined(ctx context.Context) {
	l.w.b.cfg.Metrics.Count("rejoined", "", 1)
	l.w.b.cfg.Logger.Warn("this agent was declared dead and has registered again")
	l.w.inbox.reopened()
	l.w.announce(ctx)
	if l.w.cfg.Rejoined != nil {
		l.callers.Go(func() { // beats go on meanwhile
			_ = l.w.guard(func() error { l.w.cfg.Rejoined(l.w.handlers); return nil }) // a panic was logged
		})
	}
}

// wait blocks while the registration has run out. It reports false when the worker stops.
func (l *life) wait() bool {
	for {
		l.mu.Lock()
		alive, renewed := time.Now().Before(l.until), l.renewed
		l.mu.Unlock()
		if alive {
			return true
		}
		select {
		case <-renewed:
		case <-l.w.stop:
			return false
		}
	}
}

// redialPause is how long go-redis may go on reporting that Redis cannot be reached when it can be again.
const redialPause = time.Second

// mayJudge says whether this agent may declare others dead: not before its own beats have been in time for as
// long as a registration holds. After an outage or a stall of Redis everybody's has run out, and all get the
// time to renew it.
func (l *life) mayJudge() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inTime() && time.Since(l.since) > l.w.b.cfg.AgentTTL+redialPause
}

// inTime says whether the last beat was not long ago. The caller holds l.mu.
func (l *life) inTime() bool {
	return !l.since.IsZero() && time.Since(l.last) < l.w.b.cfg.AgentTTL*2/3
}

// leave declares this agent dead, so that the others empty its inbox at once.
func (l *life) leave(ctx context.Context) {
	c, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	r := l.w.b.keys.agents()
	if err := l.w.b.redis.Eval(c, leaveScript, []string{r, r + ":dead"}, l.w.me).Err(); err != nil {
		l.w.b.cfg.Logger.Warn("leaving the registry failed; the others notice when the registration runs out", "error", err)
		return
	}
	l.w.announce(c)
}
