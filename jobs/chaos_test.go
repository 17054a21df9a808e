//go:build chaos

package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// A trial counts what became of jobs whose texts are unique.
type trial struct {
	t         testing.TB
	mu        sync.Mutex
	confirmed map[string]bool
	refused   map[string]int
	waiting   sync.WaitGroup
	got       record
}

func newTrial(t testing.TB) *trial {
	return &trial{t: t, confirmed: make(map[string]bool), refused: make(map[string]int)}
}

// done is for one job.
func (y *trial) done(id string) func(jobs.Receipt, error) {
	y.waiting.Add(1)
	return func(_ jobs.Receipt, err error) {
		defer y.waiting.Done()
		y.mu.Lock()
		defer y.mu.Unlock()
		if err != nil {
			y.refused[err.Error()]++
			return
		}
		y.confirmed[id] = true
	}
}

func (y *trial) lost() (n int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.got.mu.Lock()
	defer y.got.mu.Unlock()
	for id := range y.confirmed {
		if y.got.count[id] == 0 {
			n++
		}
	}
	return n
}

// end waits until all that was confirmed is handled, and prints the sum. It allows some losses.
func (y *trial) end(what string, mayLose int) {
	y.t.Helper()
	y.waiting.Wait()
	end := time.Now().Add(time.Minute)
	for y.lost() > 0 && time.Now().Before(end) {
		if mayLose > 0 && y.lost() <= mayLose && time.Until(end) < 45*time.Second {
			break // it has had fifteen seconds
		}
		waitFor(20 * time.Millisecond)
	}
	lost := y.lost()
	y.t.Logf("%s: confirmed %d, lost %d, run again %d, errors %v", what, len(y.confirmed), lost, len(y.got.all())-y.got.distinct(), y.refused)
	if lost > mayLose || len(y.refused) > 0 {
		y.t.Errorf("%s: %d lost, errors %v", what, lost, y.refused)
	}
}

// checkOrder reads the log of worker processes: the jobs of a key, <key>/<number>, begin in order. They may run
// again; a worker that was stopped in the middle of one even later: nothing can take back what it has begun.
func (y *trial) checkOrder(url string) {
	y.t.Helper()
	last, seen := make(map[string]string), make(map[string]bool)
	wrong := 0
	for _, s := range client(y.t, url).LRange(context.Background(), "log", 0, -1).Val() {
		if key, n, keyed := strings.Cut(s, "/"); keyed && !seen[s] {
			seen[s] = true
			if n < last[key] {
				wrong++
			}
			last[key] = n
		}
	}
	if wrong > 0 {
		y.t.Errorf("%d jobs came after a later one of their key", wrong)
	}
}

// feed enqueues jobs of a stream and lets what is under test lag behind only so far.
func (y *trial) feed(b *jobs.Broker, kind string, n int, keys int, each func(i int)) {
	for i := range n {
		id := kind + name(i)
		j := jobs.Job{Message: text(id)}
		if keys > 0 {
			j.Key = fmt.Sprint(i % keys)
			id = fmt.Sprintf("%s%d/%s", kind, i%keys, name(i))
			j.Message = text(id)
		}
		b.Enqueue("work", j, y.done(id))
		if each != nil {
			each(i)
		}
		for i%100 == 99 && i-y.got.distinct() > 3000 {
			waitFor(time.Millisecond)
		}
	}
}

// TestChaosWorkersKilled (T1, T9): kill -9, six times, on Redis and on the embedded server.
func TestChaosWorkersKilled(t *testing.T) {
	for _, lease := range []string{"1s", "3s"} {
		for _, keys := range []int{0, 100} {
			for _, kind := range []string{"", "fails"} {
				t.Run(fmt.Sprintf("lease %s, %d keys, %q", lease, keys, kind), func(t *testing.T) {
					t.Run("redis", func(t *testing.T) { workersKilled(t, testredis.Start(t).URL, 20000, keys, kind, lease) })
					if lease == "1s" {
						t.Run("embedded", func(t *testing.T) { workersKilled(t, embedded(t), 6000, keys, kind, lease) })
					}
				})
			}
		}
	}
}

func workersKilled(t *testing.T, url string, n, keys int, kind, lease string) {
	y, c := newTrial(t), client(t, url)
	b := start(t, quick(c))
	join := func() *process { return spawn(t, url, y.got.add, "JOBS_TEST_LEASE="+lease) }
	workers := []*process{join(), join(), join()}
	var worst time.Duration
	killed, held := 0, 0
	y.feed(b, kind, n, keys, func(i int) {
		if i == 0 || i%(n/7) != 0 || killed == 6 {
			return
		}
		victim := workers[0]
		eventually(t, "it is at work", func() bool { return victim.done.Load() > 50 })
		victim.kill()
		k, took := recovery(t, c, victim.incarnation)
		worst, held, killed = max(worst, took), held+k, killed+1
		workers = append(workers[1:], join())
	})
	y.end("killed workers", 0)
	if keys > 0 {
		y.checkOrder(url)
	}
	limit, _ := time.ParseDuration(lease)
	t.Logf("%d kills, %d jobs held; the last of them done elsewhere %v after a kill, lease %s", killed, held, worst.Round(10*time.Millisecond), lease)
	if worst > 10*limit {
		t.Errorf("recovery took %v", worst)
	}
}

// TestChaosRedisKilled (T2): kill -9 of Redis, four times under load.
func TestChaosRedisKilled(t *testing.T) {
	for _, fsync := range []string{"everysec", "always"} {
		t.Run(fsync, func(t *testing.T) {
			server := testredis.Start(t, "--appendonly", "yes", "--appendfsync", fsync)
			y := newTrial(t)
			agent(t, server.URL, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: &y.got, Concurrency: 16}}})
			b := start(t, quick(client(t, server.URL)))
			var outage time.Duration
			y.feed(b, "", 30000, 50, func(i int) {
				if i%7000 != 3500 {
					return
				}
				server.Kill()
				server.Restart()
				up := time.Now()
				before := y.got.distinct()
				eventually(t, "work goes on", func() bool { return y.got.distinct() > before || i-y.got.distinct() == 0 })
				outage = max(outage, time.Since(up))
			})
			y.end("Redis killed, appendfsync "+fsync, 0) // the kill of a process keeps the page cache
			t.Logf("work went on %v after Redis had restarted, at most", outage.Round(time.Millisecond))
		})
	}
}

// TestChaosDataLost (T3): all that Redis knows is destroyed under load. What was in it is gone; the rest is not.
func TestChaosDataLost(t *testing.T) {
	url := testredis.Start(t).URL
	y, c, ctx := newTrial(t), client(t, url), context.Background()
	agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: &y.got, Concurrency: 16}}})
	b := start(t, quick(client(t, url)))
	inIt := 0
	y.feed(b, "", 20000, 0, func(i int) {
		var err error
		switch i {
		case 4000, 14000:
			inIt += int(c.XLen(ctx, "{m:q:work:0}:s0").Val()) + 256 // one batch may follow before the next command
			err = c.FlushAll(ctx).Err()
		case 8000:
			inIt += int(c.XLen(ctx, "{m:q:work:0}:s0").Val()) + 256
			err = c.Del(ctx, "{m:q:work:0}:s0").Err()
		case 11000:
			err = c.XGroupDestroy(ctx, "{m:q:work:0}:s0", "g").Err()
		case 12000:
			err = c.ScriptFlush(ctx).Err()
		}
		if err != nil {
			t.Error(err)
		}
	})
	y.end("data lost", inIt)
	t.Logf("at most %d were in Redis when it lost them", inIt)
}

// TestChaosRepliesCut (T4): 2 % of the replies are cut off after their command was executed, for producers and
// workers. Nothing is lost, nothing runs twice, nobody sees an error.
func TestChaosRepliesCut(t *testing.T) {
	for _, keys := range []int{0, 500} {
		t.Run(fmt.Sprintf("%d keys", keys), func(t *testing.T) {
			url := testredis.Start(t).URL
			p := newProxy(t, url)
			y := newTrial(t)
			cfg := quick(client(t, p.url()))
			cfg.Lease = time.Hour // what is lost must be found without it
			work(t, start(t, cfg), jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: &y.got, Concurrency: 32}}})
			cfg = quick(client(t, p.url()))
			cfg.BatchJobs = 8 // many batches, many cuts
			b := start(t, cfg)
			p.cut.Store(20)
			begin := time.Now()
			y.feed(b, "", 20000, keys, func(i int) {
				if i%64 == 63 {
					y.waiting.Wait()
				}
			})
			y.end("replies cut", 0)
			p.cut.Store(0)
			if again := len(y.got.all()) - y.got.distinct(); again > 0 {
				t.Errorf("%d jobs ran twice", again)
			}
			t.Logf("%d replies cut in %v", p.cuts.Load(), time.Since(begin).Round(time.Millisecond))
		})
	}
}

// TestChaosAddressed (T5): one of three agents is killed while all are sent to. Whoever is told that an agent
// is gone sends to another one, and so does the reaper.
func TestChaosAddressed(t *testing.T) {
	url := testredis.Start(t).URL
	y := newTrial(t)
	b := start(t, quick(client(t, url)))
	agents := make([]*process, 3)
	for i := range agents {
		agents[i] = spawn(t, url, y.got.add, "JOBS_TEST_INBOX=1")
	}
	var dead atomic.Pointer[process]
	living := func(i int) string {
		p := agents[i%3]
		if p == dead.Load() {
			p = agents[(i+1)%3]
		}
		return p.incarnation
	}
	var moved, first, last atomic.Int64
	_, _, _ = agent(t, url, jobs.WorkerConfig{Orphan: func(ctx context.Context, _ string, j jobs.Job) error { //nolint:dogsled // it only has to live
		_, err := b.DoSendTo(ctx, living(int(moved.Add(1))), j)
		first.CompareAndSwap(0, time.Now().UnixMilli())
		last.Store(time.Now().UnixMilli())
		return err
	}})
	var killed time.Time
	var resent atomic.Int64
	var send func(i int, id string, done func(jobs.Receipt, error))
	send = func(i int, id string, done func(jobs.Receipt, error)) {
		b.SendTo(living(i), jobs.Job{ID: id, Message: text(id)}, func(r jobs.Receipt, err error) {
			if errors.Is(err, jobs.ErrNoAgent) {
				dead.Store(agents[1])
				resent.Add(1)
				go send(i, id, done)
				return
			}
			done(r, err)
		})
	}
	for i := range 20000 {
		id := name(i)
		send(i, id, y.done(id))
		if i == 10000 {
			agents[1].kill()
			killed = time.Now()
		}
		for i%50 == 49 && i-y.got.distinct() > 2000 && (killed.IsZero() || time.Since(killed) > 3*time.Second || i-y.got.distinct() > 6000) {
			waitFor(time.Millisecond)
		}
	}
	y.end("addressed", 0)
	t.Logf("%d jobs moved by the reaper, %v to %v after the kill (AgentTTL 600 ms); %d sent again by the sender",
		moved.Load(), time.Duration(first.Load()-killed.UnixMilli())*time.Millisecond, time.Duration(last.Load()-killed.UnixMilli())*time.Millisecond, resent.Load())
}

// TestChaosPoison (T7): ten jobs each kill whoever takes them. They become dead letters, their keys go on, and
// their neighbours mostly survive: what ran beside them counts a delivery too.
func TestChaosPoison(t *testing.T) {
	url := testredis.Start(t).URL
	y, c := newTrial(t), client(t, url)
	b := start(t, quick(c))
	const poison, n = 10, 1000
	for i := range n {
		if i%(n/poison) == 50 {
			b.Enqueue("work", jobs.Job{Key: fmt.Sprint(i % 50), Message: text("poison")}, func(jobs.Receipt, error) {})
		}
		id := name(i)
		b.Enqueue("work", jobs.Job{Key: fmt.Sprint(i % 50), Message: text(id)}, y.done(id))
	}
	// what became dead letters, by text
	dead := func() map[string]int {
		texts := make(map[string]int)
		for _, l := range c.XRange(context.Background(), "{m:q:work:0}:dead", "-", "+").Val() {
			e, _ := l.Values["e"].(string)
			j, err := jobs.ParseEnvelope([]byte(e))
			if err != nil {
				t.Fatal(err)
			}
			texts[j.Message.Text]++
		}
		return texts
	}
	left := func() (missing int) {
		letters := dead()
		y.got.mu.Lock()
		defer y.got.mu.Unlock()
		for i := range n {
			if letters[name(i)] == 0 && y.got.count[name(i)] == 0 {
				missing++
			}
		}
		return missing + poison - letters["poison"]
	}
	begin, spawned := time.Now(), 0
	for left() > 0 && time.Since(begin) < 3*time.Minute {
		p := spawn(t, url, y.got.add)
		spawned++
		for p.cmd.Process.Signal(syscall.Signal(0)) == nil && left() > 0 && time.Since(begin) < 3*time.Minute {
			waitFor(50 * time.Millisecond)
		}
	}
	y.waiting.Wait()
	letters := dead()
	t.Logf("%d workers in %v: %d poisonous dead letters of %d, %d innocent ones; %d of %d neighbours done, %d jobs lost",
		spawned, time.Since(begin).Round(time.Second), letters["poison"], poison, len(letters)-1, y.got.distinct(), n, left())
	if left() > 0 || letters["poison"] != poison || len(y.refused) > 0 {
		t.Errorf("%d lost, %d poisonous dead letters, errors %v", left(), letters["poison"], y.refused)
	}
}

// TestChaosStopped (T8): a worker is stopped for longer than its lease and goes on: a zombie.
func TestChaosStopped(t *testing.T) {
	for _, keys := range []int{0, 100} {
		t.Run(fmt.Sprintf("%d keys", keys), func(t *testing.T) {
			url := testredis.Start(t).URL
			y := newTrial(t)
			b := start(t, quick(client(t, url)))
			workers := []*process{spawn(t, url, y.got.add, "JOBS_TEST_LEASE=2s"), spawn(t, url, y.got.add, "JOBS_TEST_LEASE=2s")}
			y.feed(b, "", 15000, keys, func(i int) {
				if i%5000 != 2500 {
					return
				}
				zombie := workers[(i/5000)%2]
				eventually(t, "it is at work", func() bool { return zombie.done.Load() > 50 })
				zombie.signal(syscall.SIGSTOP)
				waitFor(3200 * time.Millisecond)
				zombie.signal(syscall.SIGCONT)
			})
			y.end("stopped workers", 0)
			if keys > 0 {
				y.checkOrder(url)
			}
		})
	}
}

// TestChaosTerminated (T10): SIGTERM, fourteen times. With a lease of an hour anything stranded would be lost.
func TestChaosTerminated(t *testing.T) {
	url := testredis.Start(t).URL
	y := newTrial(t)
	b := start(t, quick(client(t, url)))
	join := func() *process { return spawn(t, url, y.got.add, "JOBS_TEST_LEASE=1h") }
	workers := []*process{join(), join()}
	y.feed(b, "", 9000, 0, func(i int) {
		if i%600 == 599 {
			eventually(t, "it is at work", func() bool { return workers[0].done.Load() > 20 })
			leaves := workers[0]
			workers = append(workers[1:], join())
			leaves.signal(syscall.SIGTERM)
		}
	})
	y.end("terminated workers", 0)
	if again := len(y.got.all()) - y.got.distinct(); again > 0 {
		t.Errorf("%d jobs ran twice", again)
	}
}

// TestChaosBroadcast: five thousand broadcasts through connections that break all the time.
func TestChaosBroadcast(t *testing.T) {
	url := testredis.Start(t).URL
	p := newProxy(t, url)
	var got [3]record
	var b *jobs.Broker
	for i := range got {
		b = start(t, quick(client(t, p.url())))
		work(t, b, jobs.WorkerConfig{Broadcast: &got[i], Gap: func(context.Context) { t.Error("a gap") }})
	}
	p.cut.Store(50)
	y := newTrial(t)
	var want []string
	for i := range 5000 {
		want = append(want, name(i))
		b.Broadcast(jobs.Job{Message: text(name(i))}, y.done(name(i)))
		if i%20 == 19 {
			y.waiting.Wait()
		}
	}
	for i := range got {
		eventually(t, "all arrive", func() bool { return len(got[i].all()) >= 5000 })
		if !slices.Equal(got[i].all(), want) {
			t.Errorf("agent %d: %d arrived, or in another order", i, len(got[i].all()))
		}
	}
	t.Logf("5000 broadcasts to 3 agents, %d replies cut", p.cuts.Load())
}

// TestChaosBackpressure: Redis does not answer for three seconds while four thousand callers want to enqueue.
func TestChaosBackpressure(t *testing.T) {
	server := testredis.Start(t)
	cfg := quick(client(t, server.URL))
	cfg.LaneJobs = 1000
	b := start(t, cfg)
	if _, err := b.DoEnqueue(context10(t), "work", jobs.Job{Message: text("first")}); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	server.Pause()
	var callers sync.WaitGroup
	var refused, unknown, stored, slowest, heap atomic.Int64
	stop, end := context.WithTimeout(context.Background(), 3*time.Second)
	defer end()
	for range 4000 {
		callers.Go(func() {
			for stop.Err() == nil {
				ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
				begin := time.Now()
				_, err := b.DoEnqueue(ctx, "work", jobs.Job{Message: text("x")}) //nolint:contextcheck // a time limit of its own
				cancel()
				for took := int64(time.Since(begin)); ; {
					if s := slowest.Load(); took <= s || slowest.CompareAndSwap(s, took) {
						break
					}
				}
				switch {
				case err == nil:
					stored.Add(1)
				case errors.Is(err, jobs.ErrUnknown):
					unknown.Add(1)
				default:
					refused.Add(1)
				}
				waitFor(10 * time.Millisecond)
			}
		})
	}
	callers.Go(func() {
		for stop.Err() == nil {
			runtime.ReadMemStats(&after)
			heap.Store(max(heap.Load(), int64(after.HeapInuse)-int64(before.HeapInuse)))
			waitFor(100 * time.Millisecond)
		}
	})
	callers.Wait()
	server.Resume()
	if _, err := b.DoEnqueue(context10(t), "work", jobs.Job{Message: text("last")}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	t.Logf("%d refused, %d unknown, %d stored; the slowest call took %v (limit 500 ms); the heap grew by %d MB", refused.Load(), unknown.Load(), stored.Load(),
		time.Duration(slowest.Load()).Round(time.Millisecond), heap.Load()>>20)
	if slow := time.Duration(slowest.Load()); slow > 5*time.Second {
		t.Errorf("a call took %v", slow)
	}
}

// TestChaosMemory: a quarter of a million jobs pass while ten hang for ever; Redis is as small as before.
func TestChaosMemory(t *testing.T) {
	url := testredis.Start(t).URL
	c, y := client(t, url), newTrial(t)
	stuck := make(chan struct{})
	agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Concurrency: 32, Handler: message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
		if strings.HasPrefix(m.Text, "stuck") {
			<-stuck
		}
		return y.got.Handle(ctx, m)
	})}}})
	defer close(stuck)
	b := start(t, quick(client(t, url)))
	for i := range 10 {
		b.Enqueue("work", jobs.Job{Message: text("stuck" + name(i))}, func(jobs.Receipt, error) {})
	}
	used := func() (n int64) {
		_, rest, _ := strings.Cut(c.Info(context.Background(), "memory").Val(), "used_memory:")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	y.feed(b, "a", 6000, 0, nil)
	y.end("warm up", 0)
	before := used()
	y.feed(b, "b", 250000, 100, nil)
	y.end("memory", 0)
	eventually(t, "Redis is small again", func() bool { return used()-before < 4<<20 })
	t.Logf("Redis grew by %d kB over 250000 jobs", (used()-before)>>10)
}

// TestChaosModel is TestModel with new seeds, for longer.
func TestChaosModel(t *testing.T) {
	url := testredis.Start(t).URL
	for range 10 {
		runModel(t, url, rand.Uint64(), 500)
	}
}
