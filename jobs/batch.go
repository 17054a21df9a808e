package jobs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Batch is up to 256 jobs, together at most 1 MiB, that are stored at once or not at all, and one that
// follows when all of them have ended, however they did.
type Batch struct {
	ID   string // of the batch; one that was stored in the last 7 days is not stored again; empty: a random one
	Jobs []Job  // without Once and At. With Config.Partitions their keys must lead to one partition
	Then Job    // the one that follows
}

const rememberBatchFor = 7 * 24 * time.Hour

// BatchStatus is how far a batch is. Known is false when it was never stored, or more than 7 days ago.
type BatchStatus struct {
	Known        bool
	Left, Failed int
}

// EnqueueBatch stores a batch and waits for that. It says whether the batch is new. The error is ErrRefused
// for certainly not stored, or ErrUnknown; trying again with the same ID is harmless.
func (b *Broker) EnqueueBatch(ctx context.Context, queue string, batch Batch) (stored bool, err error) {
	or(&batch.ID, newID(time.Now()))
	tag, args, err := b.prepareBatch(queue, &batch)
	if err != nil {
		return false, err
	}
	sent := false
	for delay := 10 * time.Millisecond; ; delay = min(2*delay, 500*time.Millisecond) {
		c, cancel := context.WithTimeout(ctx, batchTimeout)
		n, err := b.redis.Eval(c, batchScript, []string{tag + ":b:" + batch.ID, tag + ":meta"}, args...).Int()
		cancel()
		if err == nil {
			b.cfg.Metrics.Count("stored", queue, n*len(batch.Jobs))
			return n == 1, nil
		}
		if refusedByServer(err) {
			return false, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		sent = sent || !notSent(err)
		b.trouble(ctx, err)
		if !pause(ctx, delay/2+rand.N(delay)) {
			if sent {
				return false, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
			}
			return false, fmt.Errorf("%w: %w", ErrRefused, context.Cause(ctx))
		}
	}
}

func (b *Broker) prepareBatch(queue string, batch *Batch) (tag string, args []any, err error) {
	refuse := func(why string) (string, []any, error) {
		return "", nil, fmt.Errorf("%w: batch %s: %s", ErrRefused, batch.ID, why)
	}
	if n := len(batch.Jobs); n == 0 || n > maxBatch || !validName(queue) || !validName(batch.ID) {
		return refuse("want 1 to 256 jobs, and as names of the queue and of the batch 1 to 64 letters, digits, - _ or dots")
	}
	place := partition(batch.ID, b.cfg.Partitions)
	for i, j := range batch.Jobs {
		if j.Key != "" {
			place = partition(j.Key, b.cfg.Partitions)
		}
		if j.Once != "" || !j.At.IsZero() {
			return refuse(fmt.Sprintf("job %d: Once and At are not for jobs of a batch", i))
		}
	}
	tag = b.keys.queue(queue, place)
	size := 0
	add := func(j Job) error {
		if err := j.check(); err != nil {
			return err
		}
		if j.Key != "" && partition(j.Key, b.cfg.Partitions) != place {
			return fmt.Errorf("%w: batch %s: the keys belong to several partitions", ErrRefused, batch.ID)
		}
		it := newItem(&j, nil)
		size += len(it.envelope)
		args = append(args, it.key, it.envelope)
		return nil
	}
	if err := add(batch.Then); err != nil {
		return "", nil, err
	}
	args = []any{tag, rememberBatchFor.Milliseconds(), args[1], args[0]}
	for _, j := range batch.Jobs {
		j.batch = batch.ID
		if err := add(j); err != nil {
			return "", nil, err
		}
	}
	if size > maxBatchBytes {
		return refuse(fmt.Sprintf("%d bytes are too many, at most %d", size, maxBatchBytes))
	}
	return tag, args, nil
}

// BatchStatus tells how far a batch is. key is one of its jobs', empty when they have none.
func (b *Broker) BatchStatus(ctx context.Context, queue, id, key string) (BatchStatus, error) {
	if key == "" {
		key = id
	}
	values, err := b.redis.HMGet(ctx, b.keys.queue(queue, partition(key, b.cfg.Partitions))+":b:"+id, "left", "failed").Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return BatchStatus{}, fmt.Errorf("jobs: status of batch %s: %w", id, err)
	}
	if values[0] == nil {
		return BatchStatus{}, nil
	}
	return BatchStatus{Known: true, Left: int(whole(text(values[0]))), Failed: int(whole(text(values[1])))}, nil
}
