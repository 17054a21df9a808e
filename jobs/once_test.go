package jobs_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/jobs"
)

func TestOnceStoresOneJob(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		b, w, _ := agent(t, url, jobs.WorkerConfig{})
		ctx := context10(t)
		for to, send := range map[string]func(j jobs.Job) (jobs.Receipt, error){
			"queue":     func(j jobs.Job) (jobs.Receipt, error) { return b.DoEnqueue(ctx, "q", j) },
			"inbox":     func(j jobs.Job) (jobs.Receipt, error) { return b.DoSendTo(ctx, w.Incarnation(), j) },
			"broadcast": func(j jobs.Job) (jobs.Receipt, error) { return b.DoBroadcast(ctx, j) },
		} {
			once := jobs.Job{Once: "user\x00id", OnceFor: 500 * time.Millisecond, Message: text("x")}
			first, err := send(once)
			if err != nil || first.Duplicate || first.ID == "" {
				t.Errorf("%s: the first: %+v, %v", to, first, err)
			}
			if again, err := send(once); err != nil || !again.Duplicate || again.ID != first.ID {
				t.Errorf("%s: the second: %+v, %v; want a duplicate of %s", to, again, err, first.ID)
			}
			other := once
			other.Once = "user\x00other"
			if r, err := send(other); err != nil || r.Duplicate {
				t.Errorf("%s: another key: %+v, %v", to, r, err)
			}
			if to == "queue" {
				keyed := once
				keyed.Key = "k"
				if r, err := send(keyed); err != nil || r.Duplicate {
					t.Errorf("the same among the jobs of a key: %+v, %v", r, err)
				}
				if r, err := send(keyed); err != nil || !r.Duplicate {
					t.Errorf("twice among the jobs of a key: %+v, %v; want a duplicate", r, err)
				}
			}
			passed := jobs.Job{ID: "passed-on", Hops: 1, Message: text("x")}
			if r, err := send(passed); err != nil || r.Duplicate {
				t.Errorf("%s: passed on: %+v, %v", to, r, err)
			}
			if r, err := send(passed); err != nil || !r.Duplicate {
				t.Errorf("%s: passed on twice: %+v, %v; want a duplicate", to, r, err)
			}
			eventually(t, to+": the mark runs out", func() bool {
				r, err := send(once)
				return err == nil && !r.Duplicate
			})
		}
	})
}

// TestDuplicatesWithinABatch: outcomes find their jobs whatever the mixture.
func TestDuplicatesWithinABatch(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		cfg := quick(client(t, url))
		cfg.MaxLen = 20
		b, err := jobs.New(cfg) // not running yet: all becomes one batch
		if err != nil {
			t.Fatal(err)
		}
		type told struct {
			i int
			r jobs.Receipt
			e error
		}
		outcomes := make(chan told, 60)
		for i := range 60 {
			b.Enqueue("q", jobs.Job{ID: fmt.Sprintf("id:%d;", i), Once: name(i / 2), Message: text(name(i))},
				func(r jobs.Receipt, err error) { outcomes <- told{i, r, err} })
		}
		run(t, b)
		for i := range 60 {
			o := <-outcomes
			if o.i != i {
				t.Fatalf("outcome %d came as number %d", o.i, i)
			}
			first := fmt.Sprintf("id:%d;", i/2*2)
			switch {
			case i < 39 && (o.e != nil || o.r.ID != first || o.r.Duplicate != (i%2 == 1)):
				t.Errorf("job %d: %+v, %v", i, o.r, o.e)
			case i >= 39 && o.e == nil:
				t.Errorf("job %d: stored in a full queue", i)
			}
		}
	})
}

// TestLostRepliesLoseAndDuplicateNothing cuts connections after commands were executed, on both sides.
func TestLostRepliesLoseAndDuplicateNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		p := newProxy(t, url)
		var got, inbox record
		cfg := quick(client(t, p.url()))
		cfg.Lease = time.Minute // what is lost must be found without it
		w, _ := work(t, start(t, cfg), jobs.WorkerConfig{
			Queues: map[string]jobs.QueueConfig{"plain": {Handler: &got, Concurrency: 8}, "keyed": {Handler: &got, Concurrency: 8}},
			Inbox:  &inbox,
		})
		b := start(t, quick(client(t, p.url())))
		p.cut.Store(40)
		const n = 1000
		var told sync.WaitGroup
		for i := range n {
			told.Add(3)
			done := func(_ jobs.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
				told.Done()
			}
			b.Enqueue("plain", jobs.Job{Message: text("p" + name(i))}, done)
			b.Enqueue("keyed", jobs.Job{Key: name(i % 50), Message: text("k" + name(i))}, done)
			b.SendTo(w.Incarnation(), jobs.Job{Message: text(name(i))}, done)
			if i%20 == 19 {
				told.Wait() // many small batches: many chances to be cut
			}
		}
		eventually(t, "all jobs handled", func() bool { return got.distinct() == 2*n && inbox.distinct() == n })
		p.cut.Store(0)
		if calls := len(got.all()); calls != 2*n {
			t.Errorf("%d handler calls for %d jobs", calls, 2*n)
		}
		if calls := len(inbox.all()); calls != n {
			t.Errorf("%d inbox calls for %d jobs", calls, n)
		}
		if p.cuts.Load() == 0 {
			t.Error("nothing was cut: the test proves nothing")
		}
		t.Logf("%d replies cut", p.cuts.Load())
	})
}
