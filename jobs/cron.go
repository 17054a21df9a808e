package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// CronEntry is a job that is enqueued again and again.
type CronEntry struct {
	Name  string    `json:"name"`
	Spec  string    `json:"spec"`
	Queue string    `json:"queue"`
	Type  string    `json:"type"` // of the message
	Next  time.Time `json:"next"` // when it is due, as its scheduler said last
	Seen  time.Time `json:"seen"` // when a scheduler last said that it has it
}

const (
	showCron    = time.Hour      // how often a scheduler says what it has
	forgetCron  = 24 * time.Hour // an entry that nobody has shown for so long is gone
	maxCronWait = time.Minute    // clocks are set, machines sleep: look at least so often
)

// A clock enqueues jobs by the calendar. Every agent that has an entry tries at each of its times; the
// idempotency key, entry and time, lets one of them through.
type clock struct {
	b    *Broker
	poke chan struct{}

	mu      sync.Mutex
	entries []*scheduled
}

type scheduled struct {
	CronEntry
	job   Job
	after func(time.Time) time.Time
}

// Cron enqueues j at the times of spec, as long as Run runs in any agent that has called Cron with the
// same name: once for each time, however many agents have. spec is that of cron(5), "30 6 * * 1-5", with
// seconds in front if it has six fields; or @hourly, @daily, @every 90s (counted from the Unix epoch). It
// speaks of UTC unless it begins with CRON_TZ=Europe/Berlin or the like. Times at which no agent ran are
// skipped. j has no ID, Once, OnceFor, At or Created.
func (b *Broker) Cron(name, spec, queue string, j Job) error {
	after, err := parseCron(spec)
	switch {
	case err != nil:
		return fmt.Errorf("jobs: cron entry %s: spec %q: %w", name, spec, err)
	case !validName(name) || !validName(queue):
		return fmt.Errorf("jobs: cron entry %q, queue %q: want 1 to 64 letters, digits, - _ or dots", name, queue)
	case j.ID != "" || j.Once != "" || j.OnceFor != 0 || !j.At.IsZero() || !j.Created.IsZero():
		return fmt.Errorf("jobs: cron entry %s: ID, Once, OnceFor, At and Created are set for each time anew", name)
	}
	if err := j.check(); err != nil {
		return fmt.Errorf("jobs: cron entry %s: %w", name, err)
	}
	c := &b.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries {
		if e.Name == name {
			return fmt.Errorf("jobs: cron entry %s exists", name)
		}
	}
	now := time.Now()
	c.entries = append(c.entries, &scheduled{
		CronEntry: CronEntry{Name: name, Spec: spec, Queue: queue, Type: j.Message.Type, Next: after(now)}, job: j, after: after,
	})
	poke(c.poke)
	return nil
}

func parseCron(spec string) (func(time.Time) time.Time, error) {
	if !strings.HasPrefix(spec, "TZ=") && !strings.HasPrefix(spec, "CRON_TZ=") {
		spec = "CRON_TZ=UTC " + spec
	}
	schedule, err := cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(spec)
	if err != nil {
		return nil, err
	}
	if every, ok := schedule.(cron.ConstantDelaySchedule); ok { // from the epoch on, so that all agents mean the same times
		step := int64(every.Delay / time.Second)
		return func(t time.Time) time.Time { return time.Unix((t.Unix()/step+1)*step, 0).UTC() }, nil
	}
	if schedule.Next(time.Now()).IsZero() {
		return nil, errors.New("it never comes")
	}
	return func(t time.Time) time.Time { return schedule.Next(t).UTC() }, nil
}

// keep fires what is due until ctx ends.
func (c *clock) keep(ctx context.Context) {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.poke:
		case <-t.C:
		}
		t.Reset(c.fire(ctx, time.Now()))
	}
}

// fire enqueues what is due and says how long to wait.
func (c *clock) fire(ctx context.Context, now time.Time) time.Duration {
	wait := maxCronWait
	var shown []*scheduled
	c.mu.Lock()
	for _, e := range c.entries {
		due := e.Next
		if !now.Before(due) {
			e.Next = e.after(now)
			j := e.job
			j.Once, j.OnceFor = "cron\x00"+e.Name+"\x00"+strconv.FormatInt(due.Unix(), 10), 24*time.Hour
			c.b.Enqueue(e.Queue, j, c.told(e.Name, e.Queue))
		}
		if !now.Before(due) || now.Sub(e.Seen) > showCron {
			e.Seen = now.UTC()
			copied := *e
			shown = append(shown, &copied)
		}
		wait = min(wait, time.Until(e.Next))
	}
	c.mu.Unlock()
	for _, e := range shown {
		c.show(ctx, e.CronEntry)
	}
	return max(wait, time.Millisecond)
}

func (c *clock) told(name, queue string) func(Receipt, error) {
	return func(r Receipt, err error) {
		switch {
		case err != nil:
			c.b.cfg.Logger.Error("a cron job could not be enqueued; the next time it is tried again", "entry", name, "queue", queue, "error", err)
		case !r.Duplicate:
			c.b.cfg.Metrics.Count("cron", queue, 1)
		}
	}
}

// show lets others see an entry. If it fails they see an older one.
func (c *clock) show(ctx context.Context, e CronEntry) {
	text, err := json.Marshal(e)
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if err := c.b.redis.HSet(ctx, c.b.keys.cron(), e.Name, text).Err(); err != nil {
		c.b.trouble(ctx, err)
	}
}

// CronEntries lists the entries of all agents, by name.
func (b *Broker) CronEntries(ctx context.Context) ([]CronEntry, error) {
	all, err := b.redis.HGetAll(ctx, b.keys.cron()).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: list cron entries: %w", err)
	}
	var list []CronEntry
	for name, text := range all {
		var e CronEntry
		if json.Unmarshal([]byte(text), &e) != nil || time.Since(e.Seen) > forgetCron {
			_ = b.redis.HDel(ctx, b.keys.cron(), name).Err() // else the next one does
			continue
		}
		list = append(list, e)
	}
	slices.SortFunc(list, func(x, y CronEntry) int { return cmp.Compare(x.Name, y.Name) })
	return list, nil
}
