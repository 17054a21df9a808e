package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Sighting is a place where a job was found.
type Sighting struct {
	State      string        `json:"state"` // waiting, active, blocked, delayed, retry, limited, dead, cancelling, or how it ended
	Place      string        `json:"place,omitempty"`
	Worker     string        `json:"worker,omitempty"`     // incarnation of the agent that holds it
	Deliveries int64         `json:"deliveries,omitempty"` // to workers; more than 1 after crashes
	Held       time.Duration `json:"held,omitempty"`       // since its lease was renewed
	Due        time.Time     `json:"due,omitzero"`
	Error      string        `json:"error,omitempty"`
	Job        Job           `json:"-"`
}

// traceLimit bounds how many entries of each stream, and keys, Trace and Jobs look at.
const traceLimit = 10_000

// Trace looks for a job everywhere in a queue. It reads up to 10,000 entries of each stream: it is for
// people, not for programs. A job that is done without Job.ResultFor leaves no trace.
func (b *Broker) Trace(ctx context.Context, queue, id string) ([]Sighting, error) {
	var found []Sighting
	for s, err := range b.Jobs(ctx, queue) {
		if err != nil {
			return nil, err
		}
		if s.Job.ID == id {
			found = append(found, s)
		}
	}
	letters, err := b.DeadLetters(ctx, queue, traceLimit)
	if err != nil {
		return nil, err
	}
	for _, l := range letters {
		if l.Job.ID == id {
			found = append(found, Sighting{State: string(Dead), Place: l.Place, Error: l.Reason + ": " + l.Error, Due: l.At, Job: l.Job})
		}
	}
	r, ended, err := b.result(ctx, queue, id)
	if err != nil {
		return nil, fmt.Errorf("jobs: trace %s: %w", id, err)
	}
	if ended {
		found = append(found, Sighting{State: "ended " + string(r.How)})
	}
	for part := range b.cfg.Partitions {
		until, err := b.redis.ZScore(ctx, b.keys.queue(queue, part)+":x", id).Result()
		if err == nil {
			found = append(found, Sighting{State: "cancelling", Due: time.UnixMilli(int64(until)).UTC()})
		} else if !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("jobs: trace %s: %w", id, err)
		}
	}
	return found, nil
}

// Jobs walks over what a queue holds: what waits or is active, then what is put aside, then what waits
// behind those. It is no snapshot, and looks at 10,000 of each at most.
func (b *Broker) Jobs(ctx context.Context, queue string) func(yield func(Sighting, error) bool) {
	return func(yield func(Sighting, error) bool) {
		if !validName(queue) {
			yield(Sighting{}, fmt.Errorf("jobs: queue %q: want 1 to 64 letters, digits, - _ or dots", queue))
			return
		}
		for part := range b.cfg.Partitions {
			w := &walk{b: b, part: part, tag: b.keys.queue(queue, part), keys: make(map[string]bool), yield: yield}
			for _, step := range []func(context.Context) error{w.streams, w.aside, w.blocked} {
				err := step(ctx)
				if errors.Is(err, errEnough) {
					return
				}
				if err != nil {
					yield(Sighting{}, fmt.Errorf("jobs: look into queue %s: %w", queue, err))
					return
				}
			}
		}
	}
}

var errEnough = errors.New("jobs: enough")

// A walk goes through one partition.
type walk struct {
	b     *Broker
	part  int
	tag   string
	keys  map[string]bool
	yield func(Sighting, error) bool
}

func (w *walk) see(s Sighting, envelope string) error {
	j, err := parseEnvelope([]byte(envelope))
	if err != nil {
		s.Error = "malformed"
	}
	s.Job = j
	if j.Key != "" {
		w.keys[j.Key] = true
	}
	if !w.yield(s, nil) {
		return errEnough
	}
	return nil
}

func (w *walk) streams(ctx context.Context) error {
	for level := maxPriority; level >= 0; level-- {
		stream := fmt.Sprintf("%s:s%d", w.tag, level)
		pending, err := w.b.redis.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: stream, Group: "g", Start: "-", End: "+", Count: traceLimit}).Result()
		if err != nil && !isNoGroup(err) && !errors.Is(err, redis.Nil) {
			return err
		}
		held := make(map[string]redis.XPendingExt, len(pending))
		for _, p := range pending {
			held[p.ID] = p
		}
		start := "-"
		for range traceLimit / maxBatch {
			list, err := w.b.redis.XRangeN(ctx, stream, start, "+", maxBatch).Result()
			if err != nil {
				return err
			}
			for _, m := range list {
				s := Sighting{State: "waiting", Place: place(w.part, fmt.Sprintf("%d:%s", level, m.ID))}
				if p, ok := held[m.ID]; ok {
					s.State, s.Worker, s.Deliveries, s.Held = "active", p.Consumer, p.RetryCount, p.Idle
				}
				envelope, _ := m.Values["e"].(string)
				if err := w.see(s, envelope); err != nil {
					return err
				}
				start = "(" + m.ID
			}
			if len(list) < maxBatch {
				break
			}
		}
	}
	return nil
}

// marks is what the first character of a member of T:d says.
var marks = map[byte]string{'+': "delayed", '!': "retry", '~': "limited", '=': "limited"}

func (w *walk) aside(ctx context.Context) error {
	due, err := w.b.redis.ZRangeWithScores(ctx, w.tag+":d", 0, traceLimit-1).Result()
	if err != nil {
		return err
	}
	for chunk := range slices.Chunk(due, maxBatch) {
		members := make([]string, len(chunk))
		for i, z := range chunk {
			members[i], _ = z.Member.(string)
		}
		values, err := w.b.redis.HMGet(ctx, w.tag+":j", members...).Result()
		if err != nil {
			return err
		}
		for i, v := range values {
			value, ok := v.(string)
			if !ok || members[i] == "" {
				continue // it became ready meanwhile
			}
			size, rest, _ := strings.Cut(value, ":")
			s := Sighting{State: marks[members[i][0]], Due: time.UnixMilli(int64(chunk[i].Score)).UTC()}
			if err := w.see(s, rest[min(whole(size), int64(len(rest))):]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) blocked(ctx context.Context) error {
	for _, key := range slices.Sorted(maps.Keys(w.keys)) {
		list, err := w.b.redis.LRange(ctx, w.tag+":k:"+key, 1, traceLimit).Result()
		if err != nil {
			return err
		}
		for _, envelope := range list {
			if err := w.see(Sighting{State: "blocked"}, envelope); err != nil {
				return err
			}
		}
	}
	return nil
}
