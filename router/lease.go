package router

import (
	"context"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// batchSize is how many calls one pipeline of the directory holds.
const batchSize = 256

// attachGlobal makes the global feed, which every agent has for as long as it runs.
func (r *Router) attachGlobal(ctx context.Context) {
	h := History{Kind: Global}
	f, err := r.pin(ctx, h) // never unpinned
	if err != nil {
		return
	}
	for ctx.Err() == nil {
		if r.attachAgain(ctx, []*attachment{{feed: f}}) == nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(taskRetry):
		}
	}
}

// refreshAll renews the leases of all feeds, three times within a lease. Each answer says where the history
// stands, so a delivery that was lost is noticed then at the latest.
func (r *Router) refreshAll(ctx context.Context) {
	tick := time.NewTicker(r.config.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := r.Rejoin(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("router: leases could not be renewed", "error", err)
			}
		}
	}
}

// Rejoin registers all that local connections are interested in again and reads from the histories what was
// missed meanwhile.
func (r *Router) Rejoin(ctx context.Context) error {
	var first error
	all := r.allFeeds()
	for len(all) > 0 {
		n := min(batchSize, len(all))
		if err := r.refresh(ctx, all[:n]); err != nil && first == nil {
			first = err
		}
		all = all[n:]
	}
	return first
}

// ResyncGlobal reads from the global history what this agent's connections missed.
func (r *Router) ResyncGlobal(ctx context.Context) error {
	if f := r.feed(History{Kind: Global}); f != nil {
		return f.catchUp(ctx)
	}
	return nil
}

func (r *Router) refresh(ctx context.Context, feeds []*feed) error {
	calls := make([]redisx.Call, 0, len(feeds))
	live := make([]*feed, 0, len(feeds))
	lasts := make([]int64, 0, len(feeds))
	names := make([]any, 0, len(feeds))
	for _, f := range feeds {
		f.mu.Lock()
		use := f.order.epoch != "" && f.releasing == nil && (f.pins > 0 || len(f.subs) > 0)
		generation, last := f.generation, f.order.last
		f.mu.Unlock()
		if !use {
			continue
		}
		live, lasts, names = append(live, f), append(lasts, last), append(names, f.h.name())
		calls = append(calls, redisx.Call{
			Script: r.scripts.refresh, Keys: []string{r.key(f.h, ":h"), r.key(f.h, ":at")},
			Args: []any{r.me, r.config.Lease.Milliseconds(), generation},
		})
	}
	if len(calls) == 0 {
		return nil
	}
	if err := r.remember(ctx, names); err != nil {
		return err
	}
	for i, cmd := range r.redis.EvalAll(ctx, calls) {
		a := reply(cmd)
		seq, epoch := a.int(0), a.str(1)
		if a.err != nil {
			return a.err
		}
		f := live[i]
		f.mu.Lock()
		if epoch != "" && (epoch != f.order.epoch || seq > f.order.last || seq < lasts[i]) {
			r.tasks.addLocked(f, syncTask)
		}
		f.mu.Unlock()
	}
	return nil
}

// remember notes what this incarnation is registered at, for whoever has to clean up after it.
func (r *Router) remember(ctx context.Context, names []any) error {
	key := r.heldKey(r.me)
	pipe := r.redis.Pipeline()
	pipe.SAdd(ctx, key, names...)
	pipe.PExpire(ctx, key, max(24*time.Hour, 4*r.config.Lease))
	_, err := pipe.Exec(ctx)
	return err
}

// release takes a feed that nobody is interested in out of Redis. An attach that comes meanwhile waits for
// it, so that it is never undone.
func (r *Router) release(ctx context.Context, f *feed) {
	r.mu.Lock()
	f.mu.Lock()
	idle := len(f.subs) == 0 && f.pins == 0 && f.releasing == nil
	if idle {
		f.releasing = make(chan struct{})
	}
	generation, open := f.generation, f.order.epoch != ""
	f.mu.Unlock()
	r.mu.Unlock()
	if !idle {
		return
	}
	if open {
		r.letGo(ctx, []redisx.Call{r.releaseCall(f.h, generation)}, []any{f.h.name()})
	}
	r.mu.Lock()
	f.mu.Lock()
	if r.feeds[f.h] == f {
		delete(r.feeds, f.h)
	}
	f.timer.Stop()
	close(f.releasing)
	f.mu.Unlock()
	r.mu.Unlock()
}

func (r *Router) releaseCall(h History, generation uint64) redisx.Call {
	return redisx.Call{Script: r.scripts.release, Keys: []string{r.key(h, ":at")}, Args: []any{r.me, generation}}
}

// letGo removes entries as far as Redis can be reached; the lease ends those that stay.
func (r *Router) letGo(ctx context.Context, calls []redisx.Call, names []any) {
	for _, cmd := range r.redis.EvalAll(ctx, calls) {
		if cmd.Err() != nil {
			return
		}
	}
	r.redis.SRem(ctx, r.heldKey(r.me), names...)
}

// leave takes all entries of this agent out of Redis.
func (r *Router) leave(ctx context.Context) {
	var calls []redisx.Call
	for _, f := range r.allFeeds() {
		f.mu.Lock()
		if f.order.epoch != "" {
			calls = append(calls, r.releaseCall(f.h, f.generation))
		}
		f.mu.Unlock()
	}
	for len(calls) > 0 && ctx.Err() == nil {
		n := min(batchSize, len(calls))
		r.redis.EvalAll(ctx, calls[:n])
		calls = calls[n:]
	}
	r.redis.Del(ctx, r.heldKey(r.me))
}

// Forget removes the entries of an incarnation that is dead.
func (r *Router) Forget(ctx context.Context, incarnation string) error {
	key := r.heldKey(incarnation)
	var cursor uint64
	for {
		names, next, err := r.redis.SScan(ctx, key, cursor, "", batchSize).Result()
		if err != nil {
			return err
		}
		pipe := r.redis.Pipeline()
		for _, name := range names {
			if h, ok := historyNamed(name); ok {
				pipe.HDel(ctx, r.key(h, ":at"), incarnation)
			}
		}
		if len(names) > 0 {
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return r.redis.Del(ctx, key).Err()
		}
	}
}

// Online says whether a connection of user is attached to any agent. It says no when Redis cannot be asked.
func (r *Router) Online(ctx context.Context, user string) bool {
	online, err := r.online(ctx, []string{user})
	return err == nil && len(online) > 0
}

// online is those of users who have a connection somewhere.
func (r *Router) online(ctx context.Context, users []string) ([]string, error) {
	var online []string
	for len(users) > 0 {
		n := min(batchSize, len(users))
		calls := make([]redisx.Call, n)
		for i, u := range users[:n] {
			calls[i] = redisx.Call{Script: r.scripts.holders, Keys: []string{r.key(History{Inbox, u}, ":at")}}
		}
		for i, cmd := range r.redis.EvalAll(ctx, calls) {
			a := reply(cmd)
			if a.err != nil {
				return nil, a.err
			}
			if len(a.values) > 0 {
				online = append(online, users[i])
			}
		}
		users = users[n:]
	}
	return online, nil
}
