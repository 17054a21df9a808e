package jobs

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/redis/go-redis/v9"
)

// eval runs a script that returns a list, for a bounded time.
func (s *shard) eval(ctx context.Context, script *redisx.Script, keys []string, args ...any) ([]any, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	return s.b.redis.Eval(ctx, script, keys, args...).Slice()
}

// settle queues what was decided about a task. The task is held until Redis has confirmed it.
func (s *shard) settle(t *task) {
	s.mu.Lock()
	s.verdicts = append(s.verdicts, t)
	s.mu.Unlock()
	poke(s.decided)
}

// drop lets a task go without telling Redis: it is another worker's.
func (s *shard) drop(t *task) {
	t.ctx.cancel(nil)
	s.mu.Lock()
	delete(s.held, t.ref)
	s.mu.Unlock()
	poke(s.freed)
}

// settleAll tells Redis what was decided, in batches, until closing is closed and nothing is left, or ctx
// ends. It has one batch on the wire, so batches are as large as the load makes them.
func (s *shard) settleAll(ctx context.Context) {
	var open []*task // verdicts that Redis has not confirmed
	for delay := time.Duration(0); ; {
		last := false
		select {
		case <-s.closing:
			last = true
		default:
		}
		s.mu.Lock()
		if n := min(len(s.verdicts), maxBatch-len(open)); n > 0 {
			open = append(open, s.verdicts[:n]...)
			clear(s.verdicts[:n])
			if s.verdicts = s.verdicts[n:]; len(s.verdicts) == 0 {
				s.verdicts = nil
			}
		}
		s.mu.Unlock()
		if len(open) == 0 {
			if last {
				return
			}
			select {
			case <-s.decided:
			case <-s.closing:
			case <-ctx.Done():
				return
			}
			continue
		}
		size := len(open)
		open = s.tell(ctx, open)
		if len(open) < size {
			delay = 0
		}
		if len(open) > 0 {
			delay = min(max(2*delay, 10*time.Millisecond), 500*time.Millisecond)
			if !pause(ctx, delay/2+rand.N(delay)) {
				return
			}
		}
	}
}

// tell sends one batch of verdicts in one pipeline and returns those to send again. Each transition asks
// Redis whether the job is still ours, so sending again is harmless.
func (s *shard) tell(ctx context.Context, batch []*task) (again []*task) {
	var calls []redisx.Call
	var about [][]*task
	var ended [maxPriority + 1][]*task // by stream, the cheap way
	var acks, backs []*task
	cheap := !s.counted && s.limits() == nil
	s.counted = false
	for _, t := range batch {
		switch {
		case t.verdict == giveBack:
			backs = append(backs, t)
		case !t.plain():
		case cheap && t.key == "":
			ended[t.ref[0]-'0'] = append(ended[t.ref[0]-'0'], t)
		default:
			acks = append(acks, t)
		}
	}
	for level, tasks := range ended {
		if len(tasks) == 0 {
			continue
		}
		args := make([]any, len(tasks))
		for i, t := range tasks {
			args[i] = t.ref[2:]
		}
		calls, about = append(calls, redisx.Call{Script: doneScript, Keys: []string{s.streams[maxPriority-level], s.tag + ":f"}, Args: args}), append(about, tasks)
	}
	if len(acks) > 0 {
		args := make([]any, 0, 2+2*len(acks))
		args = append(args, s.q.w.me, s.tag)
		for _, t := range acks {
			args = append(args, t.ref, t.key)
		}
		calls, about = append(calls, redisx.Call{Script: ackScript, Keys: []string{s.tag + ":meta"}, Args: args}), append(about, acks)
	}
	if len(backs) > 0 {
		args := append(make([]any, 0, 2+len(backs)), s.q.w.me, s.tag)
		for _, t := range backs {
			args = append(args, t.ref)
		}
		calls, about = append(calls, redisx.Call{Script: handbackScript, Keys: []string{s.tag + ":meta"}, Args: args}), append(about, backs)
	}
	for _, t := range batch {
		switch {
		case t.verdict == done && !t.plain():
			calls, about = append(calls, s.finishCall(t)), append(about, []*task{t})
		case t.verdict == retry:
			calls, about = append(calls, s.retryCall(t)), append(about, []*task{t})
		case t.verdict == dead:
			calls, about = append(calls, s.deadCall(t)), append(about, []*task{t})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	for i, cmd := range s.b.redis.EvalAll(ctx, calls) {
		switch {
		case calls[i].Script == doneScript && cmd.Err() == nil && cmd.Val() == int64(0):
			s.counted = true
			again = append(again, about[i]...)
		case about[i][0].conflict(cmd):
			s.b.cfg.Metrics.Count("conflict", s.q.name, 1)
			again = append(again, about[i]...)
		case s.confirmed(ctx, cmd, about[i]):
			s.release(about[i])
			s.returnPermits(ctx, about[i])
		default:
			again = append(again, about[i]...)
		}
	}
	return again
}

func (s *shard) retryCall(t *task) redisx.Call {
	next := t.job
	if !t.snoozed {
		next.Attempt++
	}
	return redisx.Call{Script: retryScript, Keys: []string{s.tag + ":d", s.tag + ":j"}, Args: []any{
		s.q.w.me, s.tag, t.ref, t.key, t.delay.Milliseconds(), appendEnvelope(nil, &next), t.job.ID,
	}}
}

func (s *shard) deadCall(t *task) redisx.Call {
	return redisx.Call{Script: deadScript, Keys: []string{s.tag + ":dead"}, Args: []any{
		s.q.w.me, s.tag, t.ref, t.key, s.b.cfg.DeadKeep, t.envelope, t.job.ID, t.reason, firstBytes(t.err, 500),
	}}
}

func firstBytes(err error, n int) string {
	text := err.Error()
	return text[:min(n, len(text))]
}

// confirmed reports whether nothing remains to be told about tasks.
func (s *shard) confirmed(ctx context.Context, cmd *redis.Cmd, tasks []*task) bool {
	err := cmd.Err()
	switch {
	case err == nil:
		s.count(cmd, tasks)
		return true
	case isNoGroup(err): // Redis has forgotten the job with the group, or will deliver it anew
		return true
	case refusedByServer(err) && !isOOM(err):
		s.b.cfg.Logger.Error("Redis refuses to settle jobs; they will be delivered again", "queue", s.q.name, "jobs", len(tasks), "error", err)
		return true
	}
	s.b.trouble(ctx, err)
	return false
}

func (s *shard) count(cmd *redis.Cmd, tasks []*task) {
	event, lost := "", 0
	switch tasks[0].verdict {
	case done:
		event = "done"
		if !tasks[0].plain() {
			if n, _ := cmd.Int(); n == 0 {
				lost = 1
			}
			break
		}
		list, _ := cmd.Slice()
		lost = len(list)
	case giveBack:
		event = "givenback"
	case retry:
		event = "retried"
		if n, _ := cmd.Int(); n == 0 {
			lost = 1
		}
	case dead:
		event = "dead"
		if n, _ := cmd.Int(); n == 0 {
			lost = 1
		}
	}
	if lost > 0 {
		s.b.cfg.Metrics.Count("fenced", s.q.name, lost)
	}
	s.b.cfg.Metrics.Count(event, s.q.name, len(tasks)-lost)
}

// release lets settled tasks go.
func (s *shard) release(tasks []*task) {
	var due time.Time
	s.mu.Lock()
	for _, t := range tasks {
		delete(s.held, t.ref)
		if t.verdict == retry {
			due = time.Now().Add(t.delay)
		}
	}
	sooner := !due.IsZero() && (s.nextDue.IsZero() || due.Before(s.nextDue))
	if sooner {
		s.nextDue = due
	}
	s.mu.Unlock()
	if sooner {
		poke(s.sooner)
	}
	for _, t := range tasks {
		t.ctx.cancel(nil)
	}
	poke(s.freed)
}

// leave gives back whatever Redis believes this worker holds, and ends its membership of the group.
func (s *shard) leave(ctx context.Context) {
	for range 2 { // then Redis knows that the connection of a read that was cut off is closed, and delivers nothing there
		c, cancel := context.WithTimeout(ctx, batchTimeout)
		_ = s.b.redis.Exists(c, s.tag+":meta").Err()
		cancel()
	}
	for range 100 {
		c, cancel := context.WithTimeout(ctx, batchTimeout)
		n, err := s.b.redis.Eval(c, handbackScript, []string{s.tag + ":meta"}, s.q.w.me, s.tag).Int()
		cancel()
		if err == nil && n == 0 || isNoGroup(err) {
			return
		}
		if err != nil && !pause(ctx, 50*time.Millisecond) {
			s.b.cfg.Logger.Warn("leaving a queue failed; its jobs are taken over after a lease", "queue", s.q.name, "error", err)
			return
		}
	}
}
