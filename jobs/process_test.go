package jobs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// workerProcess works until it is killed. It prints its incarnation, then a line for each job it finishes;
// the list log in Redis holds the jobs of all processes in order.
// Jobs called poison kill it; one in twenty of those called fails… fails after it was logged. Its inbox
// handler never finishes, or is that of the queue with JOBS_TEST_INBOX. SIGTERM drains it.
func workerProcess(url string) {
	c, err := redisx.Open(url)
	if err != nil {
		panic(err)
	}
	cfg := quick(c)
	if lease, err := time.ParseDuration(os.Getenv("JOBS_TEST_LEASE")); err == nil {
		cfg.Lease = lease
	}
	cfg.MaxDeliveries = 3 // one more than tests kill over an innocent job
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := jobs.New(cfg)
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	go func() { _ = b.Run(ctx) }()
	handler := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if m.Text == "poison" {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		if m.Text == "hang" && c.Incr(ctx, "hung").Val() == 1 { // the first one waits for its death
			select {}
		}
		<-time.After(2 * time.Millisecond) // be at work when the test kills
		if err := c.RPush(ctx, "log", m.Text).Err(); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "done "+m.Text)
		if strings.HasPrefix(m.Text, "fails") && rand.IntN(20) == 0 {
			return errors.New("for the test")
		}
		return nil
	})
	inbox := message.HandlerFunc(func(context.Context, *message.Message) error { return new(message.Pending) })
	if os.Getenv("JOBS_TEST_INBOX") != "" {
		inbox = handler
	}
	w, err := b.Join(ctx, jobs.WorkerConfig{
		Queues: map[string]jobs.QueueConfig{"work": {Handler: handler, Concurrency: 8}, "games": {Handler: owner(c), Concurrency: 8}},
		Inbox:  inbox,
		Orphan: func(context.Context, string, jobs.Job) error { return errors.New("not here") },
	})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(os.Stdout, "joined "+w.Incarnation())
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	go func() {
		<-terminated
		_ = w.Drain(ctx)
	}()
	_ = w.Run(ctx)
}

// A process is a worker that a test may kill.
type process struct {
	cmd         *exec.Cmd
	incarnation string
	done        atomic.Int64
}

// spawn starts a worker process and waits until it has joined. Every line it prints goes to line.
func spawn(t testing.TB, url string, line func(string), env ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), "JOBS_TEST_WORKER="+url)
	p.cmd.Env = append(p.cmd.Env, env...)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the worker process ended before it joined")
	}
	p.incarnation = strings.TrimPrefix(lines.Text(), "joined ")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() {
			if text, ok := strings.CutPrefix(lines.Text(), "done "); ok {
				p.done.Add(1)
				line(text)
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = p.cmd.Wait()
	}()
	t.Cleanup(func() { p.kill(); <-ended })
	return p
}

func (p *process) kill() { _ = p.cmd.Process.Kill() }

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// TestKilledWorkersLoseNothing: what a killed process had taken is done by the others after its lease, and
// the jobs of one key stay in order.
func TestKilledWorkersLoseNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		b := start(t, quick(client(t, url)))
		victims := []*process{spawn(t, url, got.add), spawn(t, url, got.add), spawn(t, url, got.add)}
		const n = 400
		for i := range n {
			for _, j := range []jobs.Job{
				{Message: text("plain" + name(i))},
				{Key: fmt.Sprint(i % 30), Message: text(fmt.Sprintf("%d/%s", i%30, name(i)))},
			} {
				b.Enqueue("work", j, func(_ jobs.Receipt, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		for _, v := range victims[:2] {
			eventually(t, "the victim is at work", func() bool { return v.done.Load() > 20 })
			v.kill()
		}
		eventually(t, "all jobs done", func() bool { return got.distinct() == 2*n })
		last := make(map[string]string)
		for _, s := range client(t, url).LRange(context10(t), "log", 0, -1).Val() {
			if key, number, keyed := strings.Cut(s, "/"); keyed { // a job may run twice, but not after a later one of its key
				if number < last[key] {
					t.Errorf("%s came after %s", s, last[key])
				}
				last[key] = number
			}
		}
		if len(last) != 30 {
			t.Errorf("%d keys in the log", len(last))
		}
	})
}

// TestInboxOfTheKilled: another agent gets each job that a killed one has left, in order, then its death.
func TestInboxOfTheKilled(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b := start(t, quick(client(t, url)))
		victim := spawn(t, url, func(string) {})
		ctx := context10(t)
		const n = 150
		for i := range n {
			if _, err := b.DoSendTo(ctx, victim.incarnation, jobs.Job{ID: name(i), Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		victim.kill()

		var orphans, died record
		var home record
		var refused atomic.Bool
		// Two reapers at once; one of them fails at first. Jobs are sent home to the first.
		b1 := start(t, quick(client(t, url)))
		w1, _ := work(t, b1, jobs.WorkerConfig{Inbox: &home})
		for range 2 {
			agent(t, url, jobs.WorkerConfig{
				Orphan: func(ctx context.Context, dead string, j jobs.Job) error {
					if dead != victim.incarnation {
						return nil
					}
					if j.Message.Text == name(70) && !refused.Swap(true) {
						return errors.New("not now")
					}
					orphans.add(j.Message.Text)
					if j.Hops != 1 {
						t.Errorf("hops %d", j.Hops)
					}
					_, err := b1.DoSendTo(ctx, w1.Incarnation(), j)
					return err
				},
				Died: func(_ context.Context, dead string) error {
					died.add(dead)
					return nil
				},
			})
		}
		eventually(t, "all are home", func() bool { return home.distinct() == n })
		eventually(t, "the death is told", func() bool { return len(died.all()) > 0 })
		c := client(t, url)
		tag := "{m:a:" + victim.incarnation + "}"
		eventually(t, "the inbox is gone", func() bool {
			return c.Exists(ctx, tag+":s0", tag+":o", tag+":r").Val() == 0 && !c.HExists(ctx, "{m:agents}:i", victim.incarnation).Val()
		})
		if got := home.all(); len(got) != n {
			t.Errorf("%d arrived, want %d", len(got), n)
		}
		if _, err := b.DoSendTo(ctx, victim.incarnation, jobs.Job{Message: text("x")}); !errors.Is(err, jobs.ErrNoAgent) {
			t.Errorf("sending to the dead: %v, want ErrNoAgent", err)
		}
	})
}

// TestPoisonBecomesADeadLetter: three jobs kill whoever takes them, three deliveries allowed. They become dead
// letters and their keys go on; no neighbour does, whatever it was read together with.
func TestPoisonBecomesADeadLetter(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	b := start(t, quick(client(t, url)))
	var got record
	ctx, c := context10(t), client(t, url)
	const n, poison = 120, 3
	for i := range n {
		j := jobs.Job{Message: text(name(i))}
		if i%2 == 0 {
			j.Key = fmt.Sprint(i % 5)
		}
		if i%(n/poison) == 10 {
			if _, err := b.DoEnqueue(ctx, "work", jobs.Job{Key: fmt.Sprint(i % 5), Message: text("poison")}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b.DoEnqueue(ctx, "work", j); err != nil {
			t.Fatal(err)
		}
	}
	letters := func() []redis.XMessage { return c.XRange(ctx, "{m:q:work:0}:dead", "-", "+").Val() }
	var p *process
	begin, spawned := time.Now(), 0
	over := func() bool { return got.distinct() == n && len(letters()) >= poison }
	for !over() && time.Since(begin) < 3*deadline {
		if p == nil || p.cmd.Process.Signal(syscall.Signal(0)) != nil {
			p = spawn(t, url, got.add)
			spawned++
		}
		waitFor(10 * time.Millisecond)
	}
	t.Logf("%d workers in %v", spawned, time.Since(begin).Round(10*time.Millisecond))
	ctx, c = context10(t), client(t, url)
	if list := letters(); len(list) != poison || got.distinct() != n {
		t.Errorf("%d dead letters, want %d; %d of %d neighbours done", len(list), poison, got.distinct(), n)
	}
	for _, l := range letters() {
		e, _ := l.Values["e"].(string)
		if j, err := jobs.ParseEnvelope([]byte(e)); err != nil || j.Message.Text != "poison" || l.Values["reason"] != "deliveries" {
			t.Errorf("a dead letter: %v, %v", l.Values, err)
		}
	}
}

// TestRecoveryTime prints how long after kill -9 the last job that the dead worker held is done elsewhere: with
// idle workers and under saturation.
func TestRecoveryTime(t *testing.T) {
	t.Parallel()
	const lease = time.Second
	for kind, backlog := range map[string]int{"idle": 0, "saturated": 20000} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := testredis.Start(t).URL
			b, c := start(t, quick(client(t, url))), client(t, url)
			join := func() *process { return spawn(t, url, func(string) {}, "JOBS_TEST_LEASE="+lease.String()) }
			victim := join()
			for i := range backlog {
				b.Enqueue("work", jobs.Job{Message: text(name(i))}, func(jobs.Receipt, error) {})
			}
			if backlog > 0 {
				eventually(t, "the victim is at work", func() bool { return victim.done.Load() > 50 })
				join()
			} else {
				if _, err := b.DoEnqueue(context10(t), "work", jobs.Job{Message: text("hang")}); err != nil {
					t.Fatal(err)
				}
				eventually(t, "the victim is at work", func() bool { return len(c.XPendingExt(t.Context(), pendingOf("{m:q:work:0}:s0")).Val()) == 1 })
				join()
			}
			victim.kill()
			held, took := recovery(t, c, victim.incarnation)
			t.Logf("%s: %d held jobs, the last done elsewhere %v after the kill, lease %v", kind, held, took.Round(time.Millisecond), lease)
			if held == 0 || took > 10*lease {
				t.Errorf("%d held, %v", held, took)
			}
		})
	}
}

// recovery waits until what a worker held when it was killed is done elsewhere.
func recovery(t testing.TB, c *redisx.Client, incarnation string) (held int, took time.Duration) {
	t.Helper()
	begin, ctx := time.Now(), context.Background()
	tag := "{m:q:work:0}:s0"
	pending, err := c.Do(ctx, "xpending", tag, "g", "-", "+", 1000, incarnation).Slice()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pending {
		id := p.([]any)[0].(string)
		eventually(t, "the job of a dead worker is done", func() bool { return len(c.XRange(ctx, tag, id, id).Val()) == 0 })
	}
	return len(pending), time.Since(begin)
}
