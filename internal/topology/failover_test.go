package topology_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// masters is what fails over.
type masters struct {
	name       string
	url        string
	partitions int
	owner      func(key string) *testredis.Server
	healthy    func()
}

func cluster(t *testing.T) masters {
	c := testredis.StartCluster(t, "--appendonly", "yes")
	return masters{"cluster", c.URL, 8, c.Master, c.WaitHealthy}
}

func sentinel(t *testing.T) masters {
	s := testredis.StartSentinel(t, "--appendonly", "yes")
	return masters{"sentinel", s.URL, 1, func(string) *testredis.Server { return s.Master() }, s.WaitHealthy}
}

// tally is what one kind of load came to.
type tally struct {
	mu        sync.Mutex
	confirmed map[string]bool
	handled   map[string]int
	last      time.Time     // of the last confirmation
	longest   time.Duration // between two confirmations
	errors    map[string]int
}

func newTally() *tally {
	return &tally{confirmed: make(map[string]bool), handled: make(map[string]int), errors: make(map[string]int)}
}

func (y *tally) confirm(id string, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if err != nil {
		y.errors[err.Error()]++
		return
	}
	y.confirmed[id] = true
	now := time.Now()
	if !y.last.IsZero() {
		y.longest = max(y.longest, now.Sub(y.last))
	}
	y.last = now
}

// Handle makes it a handler of jobs.
func (y *tally) Handle(_ context.Context, m *message.Message) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.handled[m.Text]++
	return nil
}

func (y *tally) sum() (confirmed, lost, duplicates int) {
	y.mu.Lock()
	defer y.mu.Unlock()
	for id := range y.confirmed {
		if y.handled[id] == 0 {
			lost++
		}
	}
	for _, n := range y.handled {
		duplicates += n - 1
	}
	return len(y.confirmed), lost, duplicates
}

// loads are jobs of every address that flow until stop is called.
type loads struct {
	p       *place
	tallies map[string]*tally
	sent    atomic.Int64
	stop    func()
	gaps    atomic.Int64
	deaths  atomic.Int64
}

func (p *place) load(pause time.Duration) *loads {
	l := &loads{p: p, tallies: map[string]*tally{"any": newTally(), "keyed": newTally(), "inbox": newTally(), "broadcast": newTally()}}
	var to *jobs.Worker
	for i := range 2 {
		cfg := jobs.WorkerConfig{
			Queues: map[string]jobs.QueueConfig{"any": {Handler: l.tallies["any"], Concurrency: 16}, "keyed": {Handler: l.tallies["keyed"], Concurrency: 16}},
			Gap:    func(context.Context) { l.gaps.Add(1) }, Rejoined: func(context.Context) { l.deaths.Add(1) },
			Orphan: func(context.Context, string, jobs.Job) error { return errors.New("nobody has died") },
		}
		if i == 0 {
			cfg.Inbox, cfg.Broadcast = l.tallies["inbox"], l.tallies["broadcast"]
		}
		w, _ := p.work(p.broker(), cfg)
		if i == 0 {
			to = w
		}
	}
	from := p.broker()
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	tick := func() bool {
		t := time.NewTimer(pause)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		}
	}
	// Every sender waits for its job, without a limit: whatever happens, it is an answer in the end.
	forever := context.Background()
	for s := range 32 {
		senders.Go(func() {
			for i := 0; tick(); i++ {
				id := fmt.Sprintf("%d-%d", s, i)
				l.sent.Add(1)
				var err error
				kind := [...]string{"any", "keyed", "inbox", "broadcast"}[s%4]
				switch j := (jobs.Job{Message: text(id)}); kind {
				case "any":
					_, err = from.DoEnqueue(forever, "any", j)
				case "keyed":
					j.Key = fmt.Sprint("key ", s, i%8)
					_, err = from.DoEnqueue(forever, "keyed", j)
				case "inbox":
					_, err = from.DoSendTo(forever, to.Incarnation(), j)
				case "broadcast":
					_, err = from.DoBroadcast(forever, j)
				}
				l.tallies[kind].confirm(id, err)
			}
		})
	}
	l.stop = sync.OnceFunc(func() { cancel(); senders.Wait() })
	p.Cleanup(l.stop)
	return l
}

// more waits until each kind of load goes on.
func (l *loads) more(n int) {
	l.p.Helper()
	before := make(map[string]int)
	for kind, y := range l.tallies {
		before[kind], _, _ = y.sum()
	}
	for kind, y := range l.tallies {
		l.p.eventually(kind+" goes on", func() bool {
			c, _, _ := y.sum()
			return c >= before[kind]+n
		})
	}
}

// settle stops the load and waits until what was confirmed is handled, or nothing moves any more.
func (l *loads) settle() {
	l.stop()
	state, since := "", time.Now()
	l.p.eventually("everything is settled", func() bool {
		now := ""
		lost := 0
		for _, kind := range []string{"any", "keyed", "inbox", "broadcast"} {
			c, n, d := l.tallies[kind].sum()
			now += fmt.Sprint(c, n, d, " ")
			lost += n
		}
		if now != state {
			state, since = now, time.Now()
		}
		return lost == 0 || time.Since(since) > 8*time.Second // four leases
	})
}

// failOver makes the master of a key fail in the middle of load and prints what it cost.
func (p *place) failOver(m masters, l *loads, key string, fail func(*testredis.Server)) (dead *testredis.Server) {
	p.Helper()
	for _, y := range l.tallies {
		y.mu.Lock()
		y.longest = 0
		y.mu.Unlock()
	}
	dead = m.owner(key)
	begin := time.Now()
	fail(dead)
	p.eventually("another node becomes the master", func() bool { return m.owner(key) != dead })
	failover := time.Since(begin)
	l.more(100)
	var parts []string
	for kind, y := range l.tallies {
		y.mu.Lock()
		longest := y.longest
		y.mu.Unlock()
		parts = append(parts, fmt.Sprintf("%s %.1f s", kind, longest.Seconds()))
		if longest > failover+20*time.Second { // ten times what is promised
			p.Errorf("%s stood still for %v after a failover of %v", kind, longest, failover)
		}
	}
	p.Logf("%s, master of %s: failover %.1f s, without confirmation: %s", m.name, key, failover.Seconds(), strings.Join(parts, ", "))
	return dead
}

// report prints what was lost. Redis replicates without waiting: what it confirmed in its last moment may be
// gone with it, and nothing else.
func (p *place) report(l *loads, kills int) {
	p.Helper()
	for kind, y := range l.tallies {
		confirmed, lost, duplicates := y.sum()
		p.Logf("%s: confirmed %d, lost %d, handled again %d, errors %v", kind, confirmed, lost, duplicates, y.errors)
		if len(y.errors) > 0 {
			p.Errorf("%s: callers saw errors: %v", kind, y.errors)
		}
		if most := kills * 32; lost > most { // as many as there were callers
			p.Errorf("%s: %d of %d are lost, more than %d", kind, lost, confirmed, most)
		}
	}
	p.Logf("%d gaps told, %d times an agent was taken for dead", l.gaps.Load(), l.deaths.Load())
}

// TestMasterKilled: jobs go on after the master is gone, without an error for any caller.
func TestMasterKilled(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) masters{"cluster": cluster, "sentinel": sentinel} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := start(t)
			p := &place{T: t, url: m.url, prefix: "m", partitions: m.partitions}
			l := p.load(5 * time.Millisecond)
			l.more(100)
			p.failOver(m, l, "{m:q:any:0}", (*testredis.Server).Kill)
			l.settle()
			p.report(l, 1)
		})
	}
}
