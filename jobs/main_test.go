package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestMain is also the worker process that some tests kill.
func TestMain(m *testing.M) {
	if url := os.Getenv("JOBS_TEST_WORKER"); url != "" {
		workerProcess(url)
		return
	}
	leaktest.Main(m)
}

// deadline is how long a test waits for something before it fails.
const deadline = 20 * time.Second

// onBoth runs a test on a real server and on the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, testredis.Start(t).URL)
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, embedded(t))
	})
}

func embedded(t testing.TB) string {
	t.Helper()
	e, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e.URL()
}

func client(t testing.TB, url string) *redisx.Client {
	t.Helper()
	c, err := redisx.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// quick is a configuration whose leases run out within a test.
func quick(c *redisx.Client) jobs.Config {
	return jobs.Config{
		Redis: c, Lease: time.Second, AgentTTL: 600 * time.Millisecond, Block: 100 * time.Millisecond,
		BackoffBase: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
}

// start runs a broker until the test ends.
func start(t testing.TB, cfg jobs.Config) *jobs.Broker {
	t.Helper()
	b, err := jobs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, b)
	return b
}

func run(t testing.TB, b *jobs.Broker) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait() })
}

// work joins and runs a worker until the test ends or stop is called.
func work(t testing.TB, b *jobs.Broker, cfg jobs.WorkerConfig) (w *jobs.Worker, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w, err := b.Join(ctx, cfg)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	stop = func() { cancel(); ended.Wait() }
	t.Cleanup(stop)
	return w, stop
}

// agent is a broker with a worker, on a connection of its own.
func agent(t testing.TB, url string, cfg jobs.WorkerConfig) (b *jobs.Broker, w *jobs.Worker, stop func()) {
	t.Helper()
	b = start(t, quick(client(t, url)))
	w, stop = work(t, b, cfg)
	return b, w, stop
}

func text(s string) *message.Message { return &message.Message{Type: "ChatMessage", Text: s} }

// A record remembers what handlers saw.
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
	return append([]string(nil), r.seen...)
}

func (r *record) distinct() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.count)
}

func (r *record) Handle(_ context.Context, m *message.Message) error {
	r.add(m.Text)
	return nil
}

// counts is a Metrics that tests may ask.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) Count(event, _ string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]int)
	}
	c.n[event] += n
}

func (c *counts) Time(string, string, time.Duration) {}

func (c *counts) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.n)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(deadline)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain for: %s", deadline, what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the test has ended")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func context10(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func pendingOf(stream string) *redis.XPendingExtArgs {
	return &redis.XPendingExtArgs{Stream: stream, Group: "g", Start: "-", End: "+", Count: 100}
}

func claimOf(stream, consumer, id string) *redis.XClaimArgs {
	return &redis.XClaimArgs{Stream: stream, Group: "g", Consumer: consumer, Messages: []string{id}}
}

func name(i int) string { return fmt.Sprintf("%05d", i) }
