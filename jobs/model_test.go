package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

// fate is what a job's handler will do: fail so often, then succeed; or fail for good.
type fate struct {
	failures  int
	permanent bool
	key       string
}

// modelAttempts is MaxAttempts in the model test.
const modelAttempts = 3

// runs is how often the handler is called for it.
func (f fate) runs() int {
	switch {
	case f.permanent:
		return 1
	case f.failures >= modelAttempts:
		return modelAttempts
	}
	return f.failures + 1
}

// dies says why it becomes a dead letter, or "".
func (f fate) dies() string {
	switch {
	case f.permanent:
		return "permanent"
	case f.failures >= modelAttempts:
		return "attempts"
	}
	return ""
}

// A model knows what must become of every job.
type model struct {
	t     *testing.T
	url   string
	proxy *proxy
	rand  *rand.Rand
	parts int

	prefix    string
	producers []*jobs.Broker
	workers   []*jobs.Worker
	fates     map[string]fate     // by id; of those that must be handled
	order     map[string][]string // by key: ids, as their enqueueing was confirmed
	marks     map[string]string   // by Once and key: the id that was first

	mu    sync.Mutex
	calls map[string]int
	begun map[string][]string // by key: ids, as they began for the first time
	busy  map[string]string   // by key: the id that runs
}

// TestModel does random things to a broker and compares what became of the jobs with a model of it, exactly: each
// is handled as often as its fate says and ends as done or as a dead letter, and those of a key in order, one at a
// time. Connections break meanwhile and workers come and go. A failure names its seed; JOBS_MODEL_SEED repeats
// the same operations.
func TestModel(t *testing.T) {
	seeds := []uint64{1, 2, rand.Uint64()}
	if s, err := strconv.ParseUint(os.Getenv("JOBS_MODEL_SEED"), 10, 64); err == nil {
		seeds = []uint64{s}
	}
	onBoth(t, func(t *testing.T, url string) {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { runModel(t, url, seed, 80) })
		}
	})
}

func runModel(t *testing.T, url string, seed uint64, steps int) {
	m := &model{
		t: t, url: url, prefix: fmt.Sprint("model", seed), proxy: newProxy(t, url), rand: rand.New(rand.NewPCG(seed, 0)),
		fates: make(map[string]fate), order: make(map[string][]string), marks: make(map[string]string),
		calls: make(map[string]int), begun: make(map[string][]string), busy: make(map[string]string),
	}
	m.parts = 1 + m.rand.IntN(3)
	for range 2 {
		m.producers = append(m.producers, start(t, m.config()))
	}
	m.join()
	for step := range steps {
		switch p := m.rand.IntN(100); {
		case p < 80:
			m.enqueue(step)
		case p < 86:
			m.join()
		case p < 92:
			m.drain()
		case p < 96:
			m.proxy.cut.Store(int64(m.rand.IntN(60)))
		case p < 98:
			_ = client(t, url).ScriptFlush(context.Background()).Err() // the embedded server does not always know it
		default:
			m.settled()
		}
		if t.Failed() {
			t.Fatalf("seed %d fails in step %d", seed, step)
		}
	}
	m.proxy.cut.Store(0)
	m.settled()
	m.check()
	t.Logf("seed %d: %d partitions, %d jobs, %d dead letters, %d replies cut", seed, m.parts, len(m.fates), len(m.deadLetters()), m.proxy.cuts.Load())
}

func (m *model) config() jobs.Config {
	cfg := quick(client(m.t, m.proxy.url()))
	cfg.Prefix = m.prefix
	cfg.Partitions, cfg.MaxAttempts = m.parts, modelAttempts
	cfg.Lease, cfg.AgentTTL = time.Hour, 10*time.Second // nothing may be taken over: then all is exact
	return cfg
}

// enqueue stores a burst of jobs from one producer, some with the mark of an earlier one.
func (m *model) enqueue(step int) {
	b := m.producers[m.rand.IntN(len(m.producers))]
	var told sync.WaitGroup
	for i := range 1 + m.rand.IntN(20) {
		id := fmt.Sprintf("%d.%d", step, i)
		f := fate{}
		switch m.rand.IntN(20) {
		case 0:
			f.permanent = true
		case 1, 2, 3:
			f.failures = 1 + m.rand.IntN(modelAttempts)
		}
		if m.rand.IntN(3) > 0 {
			f.key = "k" + strconv.Itoa(m.rand.IntN(8))
		}
		j := jobs.Job{ID: id, Key: f.key, Message: text(id)}
		if m.rand.IntN(5) == 0 {
			j.Once = "once" + strconv.Itoa(m.rand.IntN(30))
		}
		first := m.stored(j, f)
		told.Add(1)
		b.Enqueue("q", j, func(r jobs.Receipt, err error) {
			defer told.Done()
			if err != nil || r.ID != first || r.Duplicate != (first != id) {
				m.t.Errorf("%s: %+v, %v; want %s", id, r, err, first)
			}
		})
	}
	told.Wait()
}

// stored says under which id a job will be known, and remembers it if it is the first of its mark.
func (m *model) stored(j jobs.Job, f fate) (first string) {
	if j.Once != "" {
		mark := j.Once + " " + j.Key
		if first, marked := m.marks[mark]; marked {
			return first
		}
		m.marks[mark] = j.ID
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fates[j.ID] = f
	if f.key != "" {
		m.order[f.key] = append(m.order[f.key], j.ID)
	}
	return j.ID
}

func (m *model) join() {
	if len(m.workers) == 4 {
		return
	}
	cut := m.proxy.cut.Swap(0) // Join tells of an error and leaves it to its caller to try again
	defer m.proxy.cut.Store(cut)
	w, _ := work(m.t, start(m.t, m.config()), jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {
		Handler: message.HandlerFunc(m.handle), Concurrency: 1 + m.rand.IntN(8), Prefetch: m.rand.IntN(32) - 1,
	}}})
	m.workers = append(m.workers, w)
}

func (m *model) drain() {
	if len(m.workers) < 2 {
		return
	}
	i := m.rand.IntN(len(m.workers))
	if err := m.workers[i].Drain(context10(m.t)); err != nil {
		m.t.Errorf("drain: %v", err)
	}
	m.workers = slices.Delete(m.workers, i, i+1)
}

func (m *model) handle(_ context.Context, msg *message.Message) error {
	id := msg.Text
	m.mu.Lock()
	f, known := m.fates[id]
	if !known {
		m.t.Errorf("%s was not stored and runs", id)
	}
	m.calls[id]++
	n := m.calls[id]
	if f.key != "" {
		if other := m.busy[f.key]; other != "" {
			m.t.Errorf("%s runs beside %s", id, other)
		}
		m.busy[f.key] = id
		if n == 1 {
			m.begun[f.key] = append(m.begun[f.key], id)
		}
	}
	m.mu.Unlock()
	if n%3 == 0 {
		waitFor(time.Millisecond)
	}
	if f.key != "" {
		m.mu.Lock()
		m.busy[f.key] = ""
		m.mu.Unlock()
	}
	switch {
	case f.permanent:
		return jobs.Permanent(errors.New("for the test"))
	case n <= f.failures:
		return errors.New("for the test")
	}
	return nil
}

// settled waits until every job has run as often as it must.
func (m *model) settled() {
	eventually(m.t, "all jobs have run", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		for id, f := range m.fates {
			if m.calls[id] < f.runs() {
				return false
			}
		}
		return true
	})
}

func (m *model) check() {
	m.mu.Lock()
	for id, f := range m.fates {
		if m.calls[id] != f.runs() {
			m.t.Errorf("%s ran %d times, want %d", id, m.calls[id], f.runs())
		}
	}
	for key, want := range m.order {
		if !slices.Equal(m.begun[key], want) {
			m.t.Errorf("key %s: ran %v, want %v", key, m.begun[key], want)
		}
	}
	want := make(map[string]string)
	for id, f := range m.fates {
		if why := f.dies(); why != "" {
			want[id] = why
		}
	}
	m.mu.Unlock()
	eventually(m.t, "the dead letters are those of the model", func() bool { return maps.Equal(m.deadLetters(), want) })
	c, ctx := client(m.t, m.url), context10(m.t)
	for part := range m.parts {
		tag := m.tag(part)
		eventually(m.t, "nothing is left in "+tag, func() bool {
			return c.XLen(ctx, tag+":s0").Val() == 0 && c.Exists(ctx, tag+":d", tag+":j").Val() == 0 && len(c.Keys(ctx, tag+":k:*").Val()) == 0
		})
	}
}

func (m *model) tag(part int) string {
	return fmt.Sprintf("{%s:q:q:%d}", m.prefix, part)
}

// deadLetters gives the reason of each.
func (m *model) deadLetters() map[string]string {
	found, c := make(map[string]string), client(m.t, m.url)
	for part := range m.parts {
		for _, l := range c.XRange(context10(m.t), m.tag(part)+":dead", "-", "+").Val() {
			id, _ := l.Values["id"].(string)
			found[id], _ = l.Values["reason"].(string)
		}
	}
	return found
}
