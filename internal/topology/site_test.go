package topology_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

func TestMain(m *testing.M) {
	redisx.Silence()
	leaktest.Main(m)
}

// deadline is how long a test waits for something before it fails.
const deadline = 40 * time.Second

// A site is one kind of Redis. Everything on it shares the servers and has a prefix of its own.
type site struct {
	name       string
	partitions int
	start      func(t *testing.T) string // returns the URL
}

var sites = []site{
	{"single", 1, func(t *testing.T) string { return testredis.Start(t).URL }},
	{"embedded", 1, func(t *testing.T) string {
		e, err := redisx.StartEmbedded("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(e.Close)
		return e.URL()
	}},
	{"sentinel", 1, func(t *testing.T) string { return testredis.StartSentinel(t).URL }},
	{"cluster", 8, func(t *testing.T) string { return testredis.StartCluster(t).URL }},
}

// place is where one test runs: a prefix on a site.
type place struct {
	*testing.T
	url        string
	prefix     string
	partitions int
}

// TestMainPaths runs what the packages promise on every kind of Redis.
func TestMainPaths(t *testing.T) {
	t.Parallel()
	for _, s := range sites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			url := s.start(t)
			for name, test := range map[string]func(*place){
				"queues": queues, "keyed": keyed, "inbox": inbox, "broadcast": broadcast, "orphans": orphans, "flushed-scripts": flushedScripts,
				"messages": messages, "reroute": reroute, "seam": seam,
				"sessions": sessions, "revocations": revocations,
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(&place{T: t, url: url, prefix: name, partitions: s.partitions})
				})
			}
		})
	}
}

// client opens Redis until the test ends.
func (p *place) client() *redisx.Client {
	p.Helper()
	c, err := redisx.Open(p.url)
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { c.Close() })
	return c
}

// logger fails the test when something is logged that no kind of Redis may cause.
func (p *place) logger() *slog.Logger { return slog.New(slog.NewTextHandler(crossSlot{p}, nil)) }

type crossSlot struct{ p *place }

func (w crossSlot) Write(line []byte) (int, error) {
	for _, s := range []string{"CROSSSLOT", "MOVED", "ASK ", "different hash"} {
		if bytes.Contains(line, []byte(s)) {
			w.p.Errorf("logged: %s", line)
		}
	}
	return len(line), nil
}

func (p *place) eventually(what string, ok func() bool) {
	p.Helper()
	end := time.Now().Add(deadline)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(end) {
			p.Fatalf("waited %v in vain for: %s", deadline, what)
		}
		<-tick.C
	}
}

func (p *place) background(run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { run(ctx) })
	stop = func() { cancel(); ended.Wait() }
	p.Cleanup(stop)
	return stop
}

// record remembers in what order things came.
type record struct {
	mu    sync.Mutex
	seen  []string
	count map[string]int
}

func (r *record) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == nil {
		r.count = make(map[string]int)
	}
	r.seen = append(r.seen, s)
	r.count[s]++
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

func (r *record) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.count)
}

func (r *record) has(s string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count[s] > 0
}

// Handle makes it a handler of jobs.
func (r *record) Handle(_ context.Context, m *message.Message) error {
	r.add(m.Text)
	return nil
}
