package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A DeadLetter is a job that was given up.
type DeadLetter struct {
	Place  string    `json:"place"` // names it for RetryDead and PurgeDead
	Reason string    `json:"reason"`
	Error  string    `json:"error"`
	At     time.Time `json:"at"`
	Job    Job       `json:"-"` // without a Message if it is malformed
}

const deadPage = 100

// DeadLetters lists the newest dead letters of a queue, or of all inboxes when queue is empty.
func (b *Broker) DeadLetters(ctx context.Context, queue string, limit int) ([]DeadLetter, error) {
	streams, err := b.deadStreams(queue)
	if err != nil {
		return nil, err
	}
	var list []DeadLetter
	for part, stream := range streams {
		found, err := b.redis.XRevRangeN(ctx, stream, "+", "-", int64(max(1, limit))).Result()
		if err != nil {
			return nil, fmt.Errorf("jobs: list dead letters: %w", err)
		}
		for _, m := range found {
			l := DeadLetter{Place: place(part, m.ID)}
			l.Reason, _ = m.Values["reason"].(string)
			l.Error, _ = m.Values["error"].(string)
			ms, _ := splitID(m.ID)
			l.At = time.UnixMilli(int64(ms)).UTC()
			envelope, _ := m.Values["e"].(string)
			l.Job, _ = parseEnvelope([]byte(envelope)) // zero if it is malformed
			list = append(list, l)
		}
	}
	slices.SortStableFunc(list, func(x, y DeadLetter) int { return y.At.Compare(x.At) })
	return list[:min(len(list), max(1, limit))], nil
}

func (b *Broker) deadStreams(queue string) ([]string, error) {
	if queue == "" {
		return []string{b.keys.inboxDead()}, nil
	}
	if !validName(queue) {
		return nil, fmt.Errorf("jobs: queue %q: want 1 to 64 letters, digits, - _ or dots", queue)
	}
	streams := make([]string, b.cfg.Partitions)
	for part := range streams {
		streams[part] = b.keys.queue(queue, part) + ":dead"
	}
	return streams, nil
}

// RetryDead enqueues dead letters of a queue anew, as if they had never been tried, and says how many. No
// places means all. One that is malformed stays.
func (b *Broker) RetryDead(ctx context.Context, queue string, places ...string) (int, error) {
	if queue == "" {
		return 0, errors.New("jobs: dead letters of inboxes cannot be retried: the agent they were for may be gone")
	}
	return b.eachDead(ctx, queue, places, func(part int, letters []entry) (int, error) {
		tag := b.keys.queue(queue, part)
		args := []any{tag}
		for _, e := range letters {
			j, err := parseEnvelope(e.envelope)
			if err != nil {
				continue
			}
			j.Attempt = 0
			args = append(args, e.ref, j.Key, appendEnvelope(nil, &j))
		}
		return b.redis.Eval(ctx, reviveScript, []string{tag + ":dead"}, args...).Int()
	})
}

// PurgeDead deletes dead letters, and says how many. No places means all.
func (b *Broker) PurgeDead(ctx context.Context, queue string, places ...string) (int, error) {
	streams, err := b.deadStreams(queue)
	if err != nil {
		return 0, err
	}
	return b.eachDead(ctx, queue, places, func(part int, letters []entry) (int, error) {
		ids := make([]string, len(letters))
		for i, e := range letters {
			ids[i] = e.ref
		}
		n, err := b.redis.XDel(ctx, streams[part], ids...).Result()
		return int(n), err
	})
}

// eachDead hands out dead letters page by page. Those that come while it runs are left out: a job that is retried
// and fails at once would never let it end.
func (b *Broker) eachDead(ctx context.Context, queue string, places []string, handle func(part int, letters []entry) (int, error)) (int, error) {
	streams, err := b.deadStreams(queue)
	if err != nil {
		return 0, err
	}
	total := 0
	one := func(part int, start, end string) (last string, err error) {
		found, err := b.redis.XRangeN(ctx, streams[part], start, end, deadPage).Result()
		if err != nil || len(found) == 0 {
			return "", err
		}
		letters := make([]entry, len(found))
		for i, m := range found {
			letters[i].ref = m.ID
			envelope, _ := m.Values["e"].(string)
			letters[i].envelope = []byte(envelope)
		}
		n, err := handle(part, letters)
		total += n
		return found[len(found)-1].ID, err
	}
	for _, p := range places {
		number, id, _ := strings.Cut(p, "/")
		part, err := strconv.Atoi(number)
		if err != nil || part < 0 || part >= len(streams) || id == "" {
			return total, fmt.Errorf("jobs: %q is no place of a dead letter: want <partition>/<id>, as DeadLetters tells them", p)
		}
		if _, err := one(part, id, id); err != nil {
			return total, fmt.Errorf("jobs: dead letter %s: %w", p, err)
		}
	}
	if len(places) > 0 {
		return total, nil
	}
	for part, stream := range streams {
		newest, err := b.redis.XRevRangeN(ctx, stream, "+", "-", 1).Result()
		if err != nil {
			return total, fmt.Errorf("jobs: dead letters: %w", err)
		}
		if len(newest) == 0 {
			continue
		}
		for last, start := "", "-"; last != newest[0].ID; start = "(" + last {
			if last, err = one(part, start, newest[0].ID); err != nil {
				return total, fmt.Errorf("jobs: dead letters: %w", err)
			}
			if last == "" { // another has taken them
				break
			}
		}
	}
	return total, nil
}
