package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

// QueueStats is what a queue holds.
type QueueStats struct {
	Name    string        `json:"name"`
	Workers int           `json:"workers"` // living agents that work on it
	Waiting int64         `json:"waiting"` // ready, and not taken
	Active  int64         `json:"active"`  // held by workers, prefetched ones included
	Blocked int64         `json:"blocked"` // behind another job of their key
	Aside   int64         `json:"aside"`   // delayed, to be tried again, or waiting for a limit
	Dead    int64         `json:"dead"`
	Oldest  time.Duration `json:"oldest"` // how long ago the oldest waiting or active job became ready
	Paused  bool          `json:"paused,omitempty"`
	Limits  *Limits       `json:"limits,omitempty"` // of one partition
}

// Queues tells of all queues that anybody has worked on or enqueued to, by name. It costs one script in
// constant time for each partition of each.
func (b *Broker) Queues(ctx context.Context) ([]QueueStats, error) {
	names, err := b.redis.SMembers(ctx, b.keys.queues()).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: list queues: %w", err)
	}
	living, err := b.agents.take(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("jobs: list queues: %w", err)
	}
	list := make([]QueueStats, 0, len(names))
	slices.Sort(names)
	for _, name := range names {
		s, err := b.stats(ctx, name)
		if err != nil {
			return nil, err
		}
		s.Workers = living.queues[name]
		list = append(list, s)
	}
	return list, nil
}

// Queue tells of one queue, in constant time: what it holds does not matter. How many work on it is as of a
// second ago.
func (b *Broker) Queue(ctx context.Context, name string) (QueueStats, error) {
	s, err := b.stats(ctx, name)
	s.Workers = b.agents.now.Load().queues[name]
	return s, err
}

func (b *Broker) stats(ctx context.Context, queue string) (QueueStats, error) {
	s := QueueStats{Name: queue}
	now, err := b.redis.Time(ctx).Result()
	if err != nil {
		return s, fmt.Errorf("jobs: queue %s: %w", queue, err)
	}
	cmds, err := b.each(ctx, queue, func(tag string) redisx.Call {
		return redisx.Call{Script: statsScript, Keys: []string{tag + ":meta"}, Args: []any{tag}}
	})
	if err != nil {
		return s, err
	}
	for _, cmd := range cmds {
		list, err := cmd.Slice()
		if err != nil {
			return s, fmt.Errorf("jobs: queue %s: %w", queue, err)
		}
		v := texts(list)
		for i, to := range []*int64{&s.Waiting, &s.Active, &s.Blocked, &s.Aside, &s.Dead} {
			*to += whole(v[i])
		}
		s.Paused = s.Paused || v[5] == "1"
		if l := new(Limits); v[6] != "" && json.Unmarshal([]byte(v[6]), l) == nil {
			s.Limits = l
		}
		if ms, _ := splitID(v[7]); ms > 0 {
			s.Oldest = max(s.Oldest, now.Sub(time.UnixMilli(int64(ms))))
		}
	}
	return s, nil
}

// note makes a queue known to Queues, once.
func (b *Broker) note(ctx context.Context, queue string) {
	if _, known := b.noted.LoadOrStore(queue, true); known || queue == "" {
		return // "": an inbox or the broadcasts
	}
	if err := b.redis.SAdd(ctx, b.keys.queues(), queue).Err(); err != nil {
		b.noted.Delete(queue) // the next batch tries again
	}
}

// place names an entry of a queue for people: <partition>/<id>.
func place(part int, id string) string { return strconv.Itoa(part) + "/" + id }
