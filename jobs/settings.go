package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/redis/go-redis/v9"
)

// settings is how a queue is to be worked on. They are kept in Redis with a revision, which every worker
// looks at once a second, or at once when it hears that it has changed.
type settings struct {
	revision  int64
	limits    *storedLimits       // nil: none
	cancelled map[string]struct{} // ids of jobs
}

const (
	rememberCancel = 24 * time.Hour
	maxCancelled   = 10_000 // marks that workers look at, per partition
)

// configure reads the settings anew, and ends the handlers of jobs that were cancelled.
func (s *shard) configure(ctx context.Context) error {
	list, err := s.eval(ctx, settingsScript, []string{s.tag + ":meta", s.tag + ":x"}, maxCancelled)
	if err != nil {
		return err
	}
	values := texts(list)
	next := settings{revision: whole(values[0]), cancelled: make(map[string]struct{}, len(values)-3)}
	if l := new(storedLimits); values[2] != "" && json.Unmarshal([]byte(values[2]), l) == nil {
		next.limits = l
	}
	for _, id := range values[3:] {
		next.cancelled[id] = struct{}{}
	}
	var ended []*task
	s.mu.Lock()
	s.settings = next
	s.paused.Store(values[1] == "1")
	s.cancelled.Store(&next.cancelled) // before looking at what runs: what begins meanwhile sees it
	if len(next.cancelled) > 0 {
		for _, t := range s.held {
			if !t.running.Load() {
				continue
			}
			if _, ok := next.cancelled[t.job.ID]; ok {
				ended = append(ended, t)
			}
		}
	}
	s.mu.Unlock()
	for _, t := range ended {
		t.ctx.cancel(errCancelled)
	}
	poke(s.freed)
	return nil
}

func (s *shard) revision() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings.revision
}

// resting says that the queue is paused: what was read and has not started is given back.
func (s *shard) resting() bool { return s.paused.Load() }

// begin notes that a job runs now, unless it was cancelled.
func (t *task) begin() bool {
	t.running.Store(true)
	cancelled := t.shard.cancelled.Load()
	if cancelled == nil || len(*cancelled) == 0 {
		return true
	}
	if _, ok := (*cancelled)[t.job.ID]; ok {
		t.running.Store(false)
		return false
	}
	return true
}

func (s *shard) isCancelled(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.settings.cancelled[id]
	return ok
}

// Pause makes all agents stop taking jobs from a queue, within about a second; what runs goes on, and
// enqueueing does too.
func (b *Broker) Pause(ctx context.Context, queue string) error {
	return b.set(ctx, queue, "paused", "1")
}

// Resume ends a Pause.
func (b *Broker) Resume(ctx context.Context, queue string) error {
	return b.set(ctx, queue, "paused", "")
}

// Close makes a queue refuse new jobs, at once. What it holds is worked off, and what that leads to is still
// taken: retries, the jobs of a Tx, those that follow a batch.
func (b *Broker) Close(ctx context.Context, queue string) error {
	return b.set(ctx, queue, "closed", "1")
}

// Open ends a Close.
func (b *Broker) Open(ctx context.Context, queue string) error {
	return b.set(ctx, queue, "closed", "")
}

// set changes a setting in every partition of a queue, and tells the workers.
func (b *Broker) set(ctx context.Context, queue, field, value string) error {
	_, err := b.each(ctx, queue, func(tag string) redisx.Call {
		return redisx.Call{Script: setScript, Keys: []string{tag + ":meta"}, Args: []any{field, value}}
	})
	if err == nil {
		b.changed(ctx, queue)
	}
	return err
}

// Cancel ends a job. One that waits for its time is gone when Cancel returns, and it says true. Else its id is
// marked for a day, and it says false: where the job runs its handler's context ends, and where it begins
// to, it is dropped. An id that is not known is marked too.
func (b *Broker) Cancel(ctx context.Context, queue, id string) (bool, error) {
	if id == "" {
		return false, fmt.Errorf("jobs: cancel in queue %s: the id is missing", queue)
	}
	cmds, err := b.each(ctx, queue, func(tag string) redisx.Call {
		return redisx.Call{Script: cancelScript, Keys: []string{tag + ":x", tag + ":meta"}, Args: []any{tag, id, rememberCancel.Milliseconds()}}
	})
	if err != nil {
		return false, err
	}
	b.changed(ctx, queue)
	for _, cmd := range cmds {
		if n, _ := cmd.Int(); n == 1 {
			return true, nil
		}
	}
	return false, nil
}

// each runs a script in every partition of a queue.
func (b *Broker) each(ctx context.Context, queue string, call func(tag string) redisx.Call) ([]*redis.Cmd, error) {
	if !validName(queue) {
		return nil, fmt.Errorf("jobs: queue %q: want 1 to 64 letters, digits, - _ or dots", queue)
	}
	calls := make([]redisx.Call, b.cfg.Partitions)
	for part := range calls {
		calls[part] = call(b.keys.queue(queue, part))
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	cmds := b.redis.EvalAll(ctx, calls)
	for _, cmd := range cmds {
		if err := cmd.Err(); err != nil {
			return nil, fmt.Errorf("jobs: queue %s: %w", queue, err)
		}
	}
	return cmds, nil
}

// changed tells the workers of a queue to look at its settings. They would anyway, later.
func (b *Broker) changed(ctx context.Context, queue string) { b.tell(ctx, "queue "+queue) }

// tell sends a control message to all agents, which may be lost.
func (b *Broker) tell(ctx context.Context, control string) {
	_ = b.redis.XAdd(ctx, &redis.XAddArgs{
		Stream: b.keys.broadcast() + ":s", MaxLen: b.cfg.BroadcastKeep, Approx: true, Values: []any{"c", control},
	}).Err()
}

// look makes the worker read the settings of a queue anew.
func (w *Worker) look(queue string) {
	for _, q := range w.queues {
		if q.name != queue {
			continue
		}
		for _, s := range q.shards {
			poke(s.changed)
		}
	}
}
