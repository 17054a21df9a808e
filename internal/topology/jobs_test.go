package topology_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
)

func text(s string) *message.Message { return &message.Message{Type: "ChatMessage", Text: s} }

// broker runs a broker on a connection of its own until the test ends.
func (p *place) broker(change ...func(*jobs.Config)) *jobs.Broker {
	p.Helper()
	cfg := jobs.Config{
		Redis: p.client(), Prefix: p.prefix, Partitions: p.partitions, Logger: p.logger(),
		Lease: 2 * time.Second, AgentTTL: time.Second, Block: 100 * time.Millisecond, BackoffBase: 10 * time.Millisecond,
	}
	for _, f := range change {
		f(&cfg)
	}
	b, err := jobs.New(cfg)
	if err != nil {
		p.Fatal(err)
	}
	p.background(func(ctx context.Context) { _ = b.Run(ctx) })
	return b
}

// work joins and runs a worker.
func (p *place) work(b *jobs.Broker, cfg jobs.WorkerConfig) (w *jobs.Worker, stop func()) {
	p.Helper()
	w, err := b.Join(p.Context(), cfg)
	if err != nil {
		p.Fatal(err)
	}
	return w, p.background(func(ctx context.Context) {
		if err := w.Run(ctx); err != nil {
			p.Errorf("Run: %v", err)
		}
	})
}

func on(queue string, concurrency int, h message.Handler) jobs.WorkerConfig {
	return jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{queue: {Handler: h, Concurrency: concurrency}}}
}

// mustStore is for jobs that must be confirmed.
func (p *place) mustStore(_ jobs.Receipt, err error) {
	if err != nil {
		p.Errorf("not stored: %v", err)
	}
}

func queues(p *place) {
	const n = 400
	var got record
	var failed atomic.Int64
	b := p.broker()
	for range 2 {
		p.work(p.broker(), on("work", 8, message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			if rand.IntN(20) == 0 {
				failed.Add(1)
				return errors.New("for the test")
			}
			return got.Handle(ctx, m)
		})))
	}
	for i := range n {
		b.Enqueue("work", jobs.Job{Message: text(fmt.Sprint(i))}, p.mustStore)
	}
	p.eventually("all are handled", func() bool { return got.distinct() == n })
	once := jobs.Job{Once: "the mark", Message: text("once")}
	first, err := b.DoEnqueue(p.Context(), "work", once)
	if err != nil || first.Duplicate {
		p.Errorf("the first: %+v, %v", first, err)
	}
	if again, err := b.DoEnqueue(p.Context(), "work", once); err != nil || !again.Duplicate || again.ID != first.ID {
		p.Errorf("the second: %+v, %v, want a duplicate of %s", again, err, first.ID)
	}
	p.eventually("it is handled", func() bool { return got.has("once") })
	if all := got.all(); len(all) != n+1 {
		p.Errorf("%d handler calls for %d jobs, %d of which failed at first", len(all), n+1, failed.Load())
	}
	p.eventually("nothing is left", func() bool { return p.waiting("work") == 0 })
}

// waiting counts what is in the streams of a queue.
func (p *place) waiting(queue string) (n int64) {
	c := p.client()
	for part := range p.partitions {
		tag := fmt.Sprintf("{%s:q:%s:%d}", p.prefix, queue, part)
		n += c.XLen(p.Context(), tag+":s0").Val() + c.ZCard(p.Context(), tag+":d").Val()
	}
	return n
}

func keyed(p *place) {
	const keys, each = 30, 20
	next := make([]atomic.Int64, keys)
	var busy [keys]atomic.Bool
	var done atomic.Int64
	b := p.broker()
	for range 2 {
		p.work(p.broker(), on("game", 8, message.HandlerFunc(func(_ context.Context, m *message.Message) error {
			key, number, _ := strings.Cut(m.Text, "/")
			k, _ := strconv.Atoi(key)
			if busy[k].Swap(true) {
				p.Errorf("two jobs of key %d at a time", k)
			}
			defer busy[k].Store(false)
			if rand.IntN(20) == 0 {
				return errors.New("for the test")
			}
			if want := fmt.Sprint(next[k].Load()); number != want {
				p.Errorf("%s came when %s was due", m.Text, want)
			}
			next[k].Add(1)
			done.Add(1)
			return nil
		})))
	}
	for i := range each {
		for k := range keys {
			b.Enqueue("game", jobs.Job{Key: fmt.Sprint("user ", k), Message: text(fmt.Sprintf("%d/%d", k, i))}, p.mustStore)
		}
	}
	p.eventually("all are handled", func() bool { return done.Load() >= keys*each })
	p.eventually("nothing is left", func() bool { return p.waiting("game") == 0 })
}

func inbox(p *place) {
	const n = 300
	var got record
	b := p.broker()
	w, _ := p.work(p.broker(), jobs.WorkerConfig{Inbox: &got})
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		b.SendTo(w.Incarnation(), jobs.Job{Message: text(fmt.Sprint(i))}, p.mustStore)
	}
	p.eventually("all arrive", func() bool { return len(got.all()) >= n })
	if all := got.all(); !slices.Equal(all, want) {
		p.Errorf("%d arrived, or in another order", len(all))
	}
	if _, err := b.DoSendTo(p.Context(), jobs.NewIncarnation(), jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrNoAgent) {
		p.Errorf("an unknown agent: %v, want ErrNoAgent", err)
	}
}

func broadcast(p *place) {
	const n = 200
	var got [3]record
	var b *jobs.Broker
	for i := range got {
		b = p.broker()
		p.work(b, jobs.WorkerConfig{Broadcast: &got[i]})
	}
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		b.Broadcast(jobs.Job{Message: text(fmt.Sprint(i))}, p.mustStore)
	}
	for i := range got {
		p.eventually("all arrive", func() bool { return len(got[i].all()) >= n })
		if all := got[i].all(); !slices.Equal(all, want) {
			p.Errorf("agent %d got %d, or in another order", i, len(all))
		}
	}
}

// orphans: what a dead agent has left in its inbox is passed on to another, then the agent is forgotten.
func orphans(p *place) {
	const n = 100
	var got, died record
	b := p.broker()
	dead, stop := p.work(p.broker(), jobs.WorkerConfig{}) // reads no inbox
	for i := range n {
		if _, err := b.DoSendTo(p.Context(), dead.Incarnation(), jobs.Job{Message: text(fmt.Sprint(i))}); err != nil {
			p.Fatal(err)
		}
	}
	heir := p.broker()
	p.work(heir, jobs.WorkerConfig{
		Inbox: &got,
		Orphan: func(ctx context.Context, _ string, j jobs.Job) error {
			_, err := b.DoSendTo(ctx, heir.Incarnation(), j)
			return err
		},
		Died: func(_ context.Context, who string) error { died.add(who); return nil },
	})
	stop()
	p.eventually("all are passed on", func() bool { return got.distinct() == n })
	p.eventually("the death is told", func() bool { return died.has(dead.Incarnation()) })
	p.eventually("the inbox is gone", func() bool {
		_, err := b.DoSendTo(p.Context(), dead.Incarnation(), jobs.Job{Message: text("late")})
		return errors.Is(err, jobs.ErrNoAgent)
	})
	if all := got.all(); len(all) != n || !slices.IsSortedFunc(all, byNumber) {
		p.Errorf("%d were passed on, or in another order", len(all))
	}
}

func byNumber(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x - y
}

// flushedScripts: a batch over several slots finds no script on any node, and is run all the same, once.
func flushedScripts(p *place) {
	c := p.client()
	incr := redisx.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1]) -- ` + p.prefix)
	const keys = 40
	var calls []redisx.Call
	for range 2 {
		for k := range keys {
			calls = append(calls, redisx.Call{Script: incr, Keys: []string{fmt.Sprintf("{%s:%d}", p.prefix, k)}, Args: []any{1}})
		}
	}
	for i, cmd := range c.EvalAll(p.Context(), calls) {
		if got, err := cmd.Int(); err != nil || got != i/keys+1 {
			p.Errorf("call %d: %d, %v", i, got, err)
		}
	}
}
