package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/redis/go-redis/v9"
)

// Tx collects what a handler wants stored with the end of its job, if it returns nil: all of it together
// with the acknowledgement, or, when the job is another worker's by then, nothing. When a state has changed
// since it was read the job is handled again, not counted as an attempt. All is of the job's queue and
// partition. It is safe for concurrent use, until the handler returns.
type Tx struct {
	shard *shard
	task  *task

	mu     sync.Mutex
	states []*state
	jobs   []*item
	bytes  int
	result []byte
}

type state struct {
	name, version string
	data          []byte
	changed       bool
}

// TxFrom gives the Tx of a handler's context, nil where it is none of a queue.
func TxFrom(ctx context.Context) *Tx {
	if at, ok := ctx.Value(infoKey{}).(*whereabouts); ok {
		return at.tx
	}
	return nil
}

var errNoTx = errors.New("jobs: this is not the context of a queue's handler")

// Result is what Broker.Wait gives to those who wait for the job; it needs Job.ResultFor.
func (tx *Tx) Result(data []byte) error {
	if tx == nil {
		return errNoTx
	}
	return tx.add(len(data), func() { tx.result = data })
}

// Enqueue creates a job of the same queue when this one ends. Unlike Broker.Enqueue it is not refused by a
// full queue. With Config.Partitions its Key must lead to the partition of this job, or be empty; Once is
// not for it: the end of a job happens once.
func (tx *Tx) Enqueue(j Job) error {
	if tx == nil {
		return errNoTx
	}
	if err := j.check(); err != nil {
		return err
	}
	if j.Once != "" {
		return fmt.Errorf("%w: Once is not for jobs that a handler creates", ErrRefused)
	}
	s := tx.shard
	if n := len(s.q.shards); j.Key != "" && s.q.shards[partition(j.Key, n)] != s {
		return fmt.Errorf("%w: the key belongs to another partition", ErrRefused)
	}
	it := newItem(&j, nil)
	if len(it.envelope) > maxEnvelope {
		return fmt.Errorf("%w: a job of %d bytes is too large, at most %d", ErrRefused, len(it.envelope), maxEnvelope)
	}
	return tx.add(len(it.envelope), func() { tx.jobs = append(tx.jobs, it) })
}

// add bounds what one script call stores.
func (tx *Tx) add(size int, change func()) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.bytes+size > maxBatchBytes || len(tx.jobs) >= maxBatch {
		return fmt.Errorf("%w: a job may end with %d bytes and %d jobs at most", ErrRefused, maxBatchBytes, maxBatch)
	}
	tx.bytes += size
	change()
	return nil
}

// Load reads a state, nil when there is none. What Store has changed is seen.
func (tx *Tx) Load(ctx context.Context, name string) ([]byte, error) {
	st, err := tx.load(ctx, name)
	if err != nil {
		return nil, err
	}
	tx.mu.Lock()
	defer tx.mu.Unlock()
	return st.data, nil
}

func (tx *Tx) load(ctx context.Context, name string) (*state, error) {
	if tx == nil {
		return nil, errNoTx
	}
	if st := tx.find(name, nil); st != nil {
		return st, nil
	}
	values, err := tx.shard.b.redis.HMGet(ctx, tx.shard.tag+":st:"+name, "v", "d").Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: load a state: %w", err)
	}
	st := &state{name: name, version: text(values[0])}
	if data, ok := values[1].(string); ok {
		st.data = []byte(data)
	}
	return tx.find(name, st), nil
}

// find gives the state that was read already, else it keeps fresh.
func (tx *Tx) find(name string, fresh *state) *state {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	for _, st := range tx.states {
		if st.name == name {
			return st
		}
	}
	if fresh != nil {
		tx.states = append(tx.states, fresh)
	}
	return fresh
}

// Store changes a state, or removes it when data is empty. It is read first if it was not: a change by
// another job between that and the end of this one makes this one be handled again.
func (tx *Tx) Store(ctx context.Context, name string, data []byte) error {
	st, err := tx.load(ctx, name)
	if err != nil {
		return err
	}
	return tx.add(len(data), func() { st.data, st.changed = data, true })
}

// Update changes a state that is kept as JSON: the zero T when there is none yet.
func Update[T any](ctx context.Context, name string, change func(*T) error) error {
	tx := TxFrom(ctx)
	data, err := tx.Load(ctx, name)
	if err != nil {
		return err
	}
	var v T
	if len(data) > 0 {
		if err := json.Unmarshal(data, &v); err != nil {
			return fmt.Errorf("jobs: a state cannot be read: %w", err)
		}
	}
	if err := change(&v); err != nil {
		return err
	}
	if data, err = json.Marshal(v); err != nil {
		return fmt.Errorf("jobs: a state cannot be written: %w", err)
	}
	return tx.Store(ctx, name, data)
}

// State reads a state from outside a handler. key is one of the jobs that keep it, empty with one partition.
func (b *Broker) State(ctx context.Context, queue, key, name string) ([]byte, error) {
	if !validName(queue) {
		return nil, fmt.Errorf("jobs: queue %q: want 1 to 64 letters, digits, - _ or dots", queue)
	}
	data, err := b.redis.HGet(ctx, b.keys.queue(queue, partition(key, b.cfg.Partitions))+":st:"+name, "d").Bytes()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("jobs: load a state: %w", err)
	}
	return data, nil
}

// plain says that a job ends with nothing but its acknowledgement, which may be one of many.
func (t *task) plain() bool {
	return t.verdict == done && !t.job.awaited() && (t.tx == nil || len(t.tx.jobs) == 0 && !t.tx.changed())
}

func (tx *Tx) changed() bool {
	for _, st := range tx.states {
		if st.changed {
			return true
		}
	}
	return false
}

func (s *shard) finishCall(t *task) redisx.Call {
	how, tx := t.how, t.tx
	or(&how, Done)
	if tx == nil {
		tx = &Tx{}
	}
	args := appendWants([]any{s.q.w.me, s.tag, t.ref, t.key, t.envelope, string(how), tx.result}, tx)
	return redisx.Call{Script: finishScript, Keys: []string{s.tag + ":meta"}, Args: args}
}

// conflict says that a state was changed by another job; then this one is handled again soon.
func (t *task) conflict(cmd *redis.Cmd) bool {
	if t.verdict != done || t.plain() {
		return false
	}
	if n, err := cmd.Int(); err != nil || n != -1 {
		return false
	}
	t.verdict, t.delay, t.snoozed = retry, time.Millisecond+rand.N(20*time.Millisecond), true
	return true
}
