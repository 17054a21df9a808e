package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// A Limit bounds how many jobs begin in a time, and how many run at a time. What is 0 is not limited.
type Limit struct {
	Rate        float64 `json:"rate,omitempty"`        // jobs a second
	Burst       int     `json:"burst,omitempty"`       // jobs that may begin at once after a quiet time; 0 means 1
	Concurrency int     `json:"concurrency,omitempty"` // jobs that workers hold at a time
}

// Limits bound a queue, over all agents. With Config.Partitions each partition gets its share of a rate, so that
// holds about; a key's jobs are all in one. A concurrency is never exceeded. A job that must wait for its turn keeps no worker busy and is not
// counted as an attempt. Jobs of one key run one at a time anyway.
type Limits struct {
	Queue Limit            `json:"queue,omitzero"`
	Kinds map[string]Limit `json:"kinds,omitempty"` // by message type
	Key   Limit            `json:"key,omitzero"`    // for each key by itself; only its rate
}

func (l Limit) share(parts int) Limit {
	l.Rate /= float64(parts)
	if l.Burst > 0 {
		l.Burst = (l.Burst + parts - 1) / parts
	}
	return l // permits keep the concurrency
}

func (l Limit) check() error {
	if l.Rate < 0 || l.Rate > 1e6 || l.Burst < 0 || l.Burst > 1e6 || l.Concurrency < 0 {
		return fmt.Errorf("jobs: limit %+v: want a Rate and a Burst of 0 to a million, and a Concurrency of 0 or more", l)
	}
	return nil
}

// SetLimits replaces the limits of a queue; the zero Limits take them away. Workers follow within about a
// second; jobs that wait for their turn keep it.
func (b *Broker) SetLimits(ctx context.Context, queue string, l Limits) error {
	all := storedLimits{Limits: Limits{Queue: l.Queue.share(b.cfg.Partitions), Key: l.Key, Kinds: make(map[string]Limit, len(l.Kinds))}}
	if b.cfg.Partitions > 1 {
		all.Global, all.All = true, &l
	}
	if l.Key.Concurrency != 0 {
		return fmt.Errorf("jobs: limits of queue %s: Key.Concurrency: jobs of one key run one at a time anyway", queue)
	}
	for _, one := range []Limit{l.Queue, l.Key} {
		if err := one.check(); err != nil {
			return err
		}
	}
	for kind, one := range l.Kinds {
		if err := one.check(); err != nil {
			return err
		}
		all.Kinds[kind] = one.share(b.cfg.Partitions)
	}
	text := ""
	if l.Queue != (Limit{}) || l.Key != (Limit{}) || len(l.Kinds) > 0 {
		data, err := json.Marshal(all)
		if err != nil {
			return fmt.Errorf("jobs: limits of queue %s: %w", queue, err)
		}
		text = string(data)
	}
	return b.set(ctx, queue, "limits", text)
}

// admit applies the limits to jobs that were read, and names those that must wait.
func (s *shard) admit(ctx context.Context, got []entry) (map[string]struct{}, error) {
	l := s.limits()
	if l == nil || len(got) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	var refs, kinds []string
	var readable []int
	jobs := make([]Job, len(got))
	for i := range got {
		j, err := parseEnvelope(got[i].envelope)
		if err != nil {
			continue // it will become a dead letter
		}
		jobs[i] = j
		readable, refs, kinds = append(readable, i), append(refs, got[i].ref), append(kinds, j.Message.Type)
	}
	full := make([]string, len(refs))
	permits := l.permits() && len(refs) > 0
	if permits {
		var err error
		if full, err = s.acquire(ctx, l, refs, kinds, false); err != nil {
			return nil, err
		}
	}
	args := make([]any, 0, 2+6*len(got))
	args = append(args, s.q.w.me, s.tag)
	for n, i := range readable {
		if permits && full[n] == "" {
			got[i].permit = kinds[n]
		}
		args = append(args, got[i].ref, got[i].key, kinds[n], jobs[i].ID, got[i].admitted, full[n])
	}
	list, err := s.eval(ctx, admitScript, []string{s.tag + ":meta"}, args...)
	if err != nil {
		return nil, err
	}
	values := texts(list)
	aside := make(map[string]struct{}, len(values)-1)
	for _, ref := range values[1:] {
		aside[ref] = struct{}{}
	}
	var unused, unusedKinds []string
	for _, e := range got {
		if _, ok := aside[e.ref]; ok && e.permit != "" {
			unused, unusedKinds = append(unused, e.ref), append(unusedKinds, e.permit)
		}
	}
	s.giveUp(ctx, unused, unusedKinds)
	if len(aside) > 0 {
		s.b.cfg.Metrics.Count("limited", s.q.name, len(aside))
		poke(s.changed) // to learn when the next one is due
	}
	// Jobs are put aside for the next second, not more: what stays in the queue keeps its priority.
	s.fallow = time.Now().Add(time.Duration(whole(values[0]))*time.Millisecond - time.Second)
	return aside, nil
}
