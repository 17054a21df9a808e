package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
)

// maxTurnJobs is how many jobs a turn is given at most; the next one gets the others.
const maxTurnJobs = 256

// rememberReign is for how long a job knows which of its turns have ended, while it has no owner.
const rememberReign = 7 * 24 * time.Hour

// A Turn is one step of a loop that Own runs. What its function stores and creates, as in a Tx, is committed
// when the function has returned nil, together with the end of the jobs that the turn was given: all of it or
// nothing.
type Turn struct {
	*Tx

	Number int64    // 1 for the first turn of this job, counted through changes of the owner
	Jobs   []Job    // what has come for the key since the last turn, in order; the job itself in its first one
	New    bool     // the first turn since this agent has become the owner, or begun anew after a conflict
	then   []func() // what follows the commit
	end    bool
}

// Then has f called when the turn is committed, and never when it is not: for telling others what has
// happened. If the agent dies in between it is not called either.
func (t *Turn) Then(f func()) { t.then = append(t.then, f) }

// End makes this the last turn: the job is done with it. The next job of the key begins anew, on any agent.
func (t *Turn) End() { t.end = true }

// Own makes a handler the owner of its job's key. It calls turn at once and then every so often, until one
// calls End, an error is returned, or the agent stops; the handler returns what Own returns. All jobs of the
// key go to its turns meanwhile. When the agent drains, another takes the job at once; when it dies, after the
// lease. Either way that one goes on with the next turn after the last that was committed: there is at most one
// owner who can commit, whatever an old one still believes. Turns that take longer than every are not made up for.
//
// A state that was read once is kept for later turns, so a turn costs two calls of Redis, however large the
// state is that it does not store. An owner occupies one of QueueConfig.Concurrency.
func Own(ctx context.Context, every time.Duration, turn func(context.Context, *Turn) error) error {
	at, _ := ctx.Value(infoKey{}).(*whereabouts)
	if at == nil || at.tx == nil || at.tx.task == nil {
		return Permanent(errNoTx)
	}
	t := at.tx.task
	if t.key == "" {
		return Permanent(errors.New("jobs: only a job with a Key has something to own"))
	}
	o := &owner{t: t, s: t.shard, tx: &Tx{shard: t.shard}, mark: "\x00own\x00" + t.key}
	tick := time.NewTicker(max(every, time.Millisecond))
	defer tick.Stop()
	for first := true; ; first = false {
		end, err := o.turn(ctx, first, turn)
		if err != nil || end {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-o.s.q.w.stop:
			return errStopping
		}
	}
}

// An owner runs the turns of one job.
type owner struct {
	t    *task
	s    *shard
	tx   *Tx    // of all turns: it keeps what was read
	mark string // name of the state whose version says which turn was the last
	n    int64  // number of the last turn that was committed
}

func (o *owner) turn(ctx context.Context, first bool, do func(context.Context, *Turn) error) (end bool, err error) {
	start := time.Now()
	list, hows, err := o.waiting(ctx)
	if err != nil {
		return false, err
	}
	turn := &Turn{Tx: o.tx, Number: o.n + 1, Jobs: list, New: first}
	if o.n == 0 {
		turn.Jobs = append([]Job{o.t.job}, list...)
	}
	here := o.t.job
	here.ID += "/" + strconv.FormatInt(turn.Number, 10) // what a turn sends is told from what another sends
	err = o.s.q.w.call(withInfo(ctx, o.s.q.name, &here, o.tx), message.HandlerFunc(func(ctx context.Context, _ *message.Message) error { return do(ctx, turn) }), nil)
	if err != nil {
		return false, err
	}
	if err := o.commit(ctx, turn.Number, hows); err != nil {
		return false, err
	}
	o.s.b.cfg.Metrics.Time("turn", o.s.q.name, time.Since(start))
	o.s.b.cfg.Metrics.Count("done", o.s.q.name, len(hows))
	_ = o.s.q.w.guard(func() error { // a panic was logged
		for _, f := range turn.then {
			f()
		}
		return nil
	})
	return turn.end, nil
}

// version is what the mark says after a turn.
func (o *owner) version(n int64) string { return o.t.job.ID + "/" + strconv.FormatInt(n, 10) }

// waiting reads what has come for the key, and how each job ends that the turn takes.
func (o *owner) waiting(ctx context.Context) (list []Job, hows []byte, err error) {
	answer, err := o.retry(ctx, func(ctx context.Context) (any, error) {
		return o.s.b.redis.Eval(ctx, waitingScript, []string{o.s.tag + ":meta"}, o.s.q.w.me, o.s.tag, o.t.ref, o.t.key, o.mark, maxTurnJobs).Slice()
	})
	if err != nil {
		return nil, nil, err
	}
	values, _ := answer.([]any)
	if len(values) == 0 {
		return nil, nil, o.lost()
	}
	if id, n, _ := cutLast(text(values[0])); id == o.t.job.ID {
		o.n = whole(n)
	}
	for _, envelope := range texts(values[1:]) {
		j, err := parseEnvelope([]byte(envelope))
		switch {
		case err != nil:
			o.s.b.cfg.Metrics.Count("malformed", o.s.q.name, 1)
			hows = append(hows, 'c')
		case !j.Deadline.IsZero() && time.Now().After(j.Deadline):
			o.s.b.cfg.Metrics.Count("expired", o.s.q.name, 1)
			hows = append(hows, 'e')
		case o.s.isCancelled(j.ID):
			o.s.b.cfg.Metrics.Count("cancelled", o.s.q.name, 1)
			hows = append(hows, 'c')
		default:
			list = append(list, j)
			hows = append(hows, 'd')
		}
	}
	return list, hows, nil
}

// cutLast cuts at the last slash: an id may hold others.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// commit ends a turn.
func (o *owner) commit(ctx context.Context, n int64, hows []byte) error {
	tx := o.tx
	tx.mu.Lock()
	defer tx.mu.Unlock()
	next := o.version(n)
	args := []any{o.s.q.w.me, o.s.tag, o.t.ref, o.t.key, o.mark, next, rememberReign.Milliseconds(), hows}
	args = appendWants(args, tx)
	answer, err := o.retry(ctx, func(ctx context.Context) (any, error) {
		return o.s.b.redis.Eval(ctx, turnScript, []string{o.s.tag + ":meta"}, args...).Int()
	})
	if err != nil {
		return err
	}
	switch answer {
	case 0:
		return o.lost()
	case -1:
		o.s.b.cfg.Metrics.Count("conflict", o.s.q.name, 1)
		return Snooze(time.Millisecond + rand.N(20*time.Millisecond)) // begin anew with what is stored
	}
	for _, st := range tx.states {
		if st.changed {
			st.changed, st.version = false, next
			if len(st.data) == 0 {
				st.version = ""
			}
		}
	}
	tx.jobs, tx.bytes = nil, 0
	o.n, o.t.job.Attempt = n, 0 // it gets on: later failures are counted anew
	o.t.ctx.tx().reign(o.mark, next)
	return nil
}

// reign makes the end of the job take its mark away.
func (tx *Tx) reign(mark, version string) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, st := range tx.states {
		if st.name == mark {
			st.version = version
			return
		}
	}
	tx.states = append(tx.states, &state{name: mark, version: version, changed: true})
}

// lost ends the handler: another worker has the job.
func (o *owner) lost() error {
	o.s.b.cfg.Metrics.Count("fenced", o.s.q.name, 1)
	o.t.ctx.cancel(errLeaseLost)
	return errLeaseLost
}

// retry calls Redis until it has answered or the handler ends. Both scripts may be repeated.
func (o *owner) retry(ctx context.Context, call func(context.Context) (any, error)) (any, error) {
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		c, cancel := context.WithTimeout(ctx, batchTimeout)
		answer, err := call(c)
		cancel()
		switch {
		case err == nil:
			return answer, nil
		case isNoGroup(err):
			return nil, o.lost()
		case refusedByServer(err):
			return nil, fmt.Errorf("jobs: a turn is refused: %w", err)
		}
		o.s.b.trouble(ctx, err)
		if !pause(ctx, delay/2+rand.N(delay)) {
			return nil, context.Cause(ctx)
		}
	}
}

// appendWants lists states and new jobs as the scripts read them.
func appendWants(args []any, tx *Tx) []any {
	args = append(args, len(tx.states))
	for _, st := range tx.states { // what was only read is a condition too: what is stored may rest on it
		args = append(args, st.name, st.version, st.changed, st.data)
	}
	for _, it := range tx.jobs {
		args = append(args, it.id, it.key, it.delay(), it.envelope)
	}
	return args
}
