package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How is how a job has ended.
type How string

// The ways to end.
const (
	Done      How = "done"
	Dead      How = "dead"      // it became a dead letter; the result is the error's text
	Cancelled How = "cancelled" // by Broker.Cancel
	Expired   How = "expired"   // its deadline had passed when it was to begin
)

// A Result is what is left of a job that has ended.
type Result struct {
	How  How
	Data []byte // what its handler gave to Tx.Result
}

// Wait waits for the end of a job that was enqueued with ResultFor, in any agent, by the id of its Receipt.
// It asks Redis, at first every 5 ms, later less often: so it learns of the end at most an eighth of the
// waiting time later, and 500 ms.
func (b *Broker) Wait(ctx context.Context, queue, id string) (Result, error) {
	if !validName(queue) || id == "" {
		return Result{}, fmt.Errorf("jobs: wait for job %q of queue %q: no such job can be", id, queue)
	}
	for start := time.Now(); ; {
		r, ok, err := b.result(ctx, queue, id)
		if ok {
			return r, nil
		}
		if err != nil {
			b.trouble(ctx, err)
		}
		if !pause(ctx, min(max(time.Since(start)/8, 5*time.Millisecond), 500*time.Millisecond)) {
			return Result{}, fmt.Errorf("jobs: wait for job %s of queue %s: %w", id, queue, errors.Join(context.Cause(ctx), err))
		}
	}
}

// result looks in every partition: an id does not tell where its job is.
func (b *Broker) result(ctx context.Context, queue, id string) (Result, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	pipe := b.redis.Pipeline()
	cmds := make([]*redis.StringCmd, b.cfg.Partitions)
	for part := range cmds {
		cmds[part] = pipe.Get(ctx, b.keys.queue(queue, part)+":r:"+id)
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	var failed error
	for _, cmd := range cmds {
		text, err := cmd.Result()
		if err == nil {
			how, data, _ := strings.Cut(text, " ")
			return Result{How: How(how), Data: []byte(data)}, true, nil
		}
		if !errors.Is(err, redis.Nil) {
			failed = err
		}
	}
	return Result{}, false, failed
}
