package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

type tally struct {
	Sum   int      `json:"sum"`
	Seen  []string `json:"seen,omitempty"`
	Round int      `json:"round"`
}

// TestStateIsCommittedWithTheJob: whatever fails, each job has counted once, and one state may be changed
// by jobs of several keys at a time.
func TestStateIsCommittedWithTheJob(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var calls, attempts atomic.Int64
		handler := message.HandlerFunc(func(ctx context.Context, m *message.Message) error {
			n := calls.Add(1)
			info, _ := jobs.InfoFrom(ctx)
			if m.Type == "Echo" {
				return jobs.Update(ctx, "echoes", func(v *tally) error { v.Sum++; return nil })
			}
			if err := jobs.Update(ctx, "sum", func(v *tally) error { v.Sum++; return nil }); err != nil {
				return err
			}
			err := jobs.Update(ctx, "of "+info.Key, func(v *tally) error { v.Seen = append(v.Seen, m.Text); return nil })
			if err != nil {
				return err
			}
			if err := jobs.TxFrom(ctx).Enqueue(jobs.Job{Message: &message.Message{Type: "Echo"}}); err != nil {
				return err
			}
			if n%7 == 0 {
				attempts.Add(1)
				return errors.New("for the test") // nothing of the above counts
			}
			return nil
		})
		ctx := context10(t)
		var b *jobs.Broker
		for range 2 {
			b, _, _ = agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: handler, Concurrency: 4}}})
		}
		const n, keys = 60, 3
		for i := range n {
			if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: strconv.Itoa(i % keys), Message: text(name(i))}); err != nil {
				t.Fatal(err)
			}
		}
		read := func(name string) (v tally) {
			data, err := b.State(ctx, "q", "", name)
			if err != nil {
				t.Fatal(err)
			}
			_ = json.Unmarshal(data, &v)
			return v
		}
		eventually(t, "all echoes", func() bool { return read("echoes").Sum >= n })
		c := client(t, url)
		eventually(t, "nothing is left", func() bool { return c.XLen(ctx, "{m:q:q:0}:s0").Val() == 0 && c.ZCard(ctx, "{m:q:q:0}:d").Val() == 0 })
		if sum, echoes := read("sum").Sum, read("echoes").Sum; sum != n || echoes != n {
			t.Errorf("sum %d, echoes %d, want %d each", sum, echoes, n)
		}
		for k := range keys {
			if seen := read("of " + strconv.Itoa(k)).Seen; len(seen) != n/keys || !slices.IsSorted(seen) {
				t.Errorf("key %d: %v", k, seen)
			}
		}
		if attempts.Load() == 0 {
			t.Error("nothing has failed: the test proves nothing")
		}
	})
}

// TestZombiesCommitNothing: who has lost the lease changes no state.
func TestZombiesCommitNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		ctx, c := context10(t), client(t, url)
		stalled, free := make(chan struct{}), make(chan struct{})
		var first atomic.Bool
		handler := message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			err := jobs.Update(ctx, "s", func(v *tally) error { v.Sum++; return nil })
			if !first.Swap(true) {
				close(stalled)
				<-free
			}
			return err
		})
		b, w, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: handler}}})
		if _, err := b.DoEnqueue(ctx, "q", jobs.Job{Key: "k", Message: text("x")}); err != nil {
			t.Fatal(err)
		}
		<-stalled
		// Another consumer takes the job over.
		p := c.XPendingExt(ctx, pendingOf("{m:q:q:0}:s0")).Val()
		if len(p) != 1 || p[0].Consumer != w.Incarnation() {
			t.Fatalf("pending %v", p)
		}
		if err := c.XClaim(ctx, claimOf("{m:q:q:0}:s0", "thief", p[0].ID)).Err(); err != nil {
			t.Fatal(err)
		}
		close(free)
		eventually(t, "the lease of the thief runs out, the job is done", func() bool {
			data, err := b.State(ctx, "q", "k", "s")
			return err == nil && string(data) == `{"sum":1,"round":0}` && c.XLen(ctx, "{m:q:q:0}:s0").Val() == 0
		})
	})
}

func TestWaitAndBatch(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		var got record
		stuck := make(chan struct{})
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
			func(ctx context.Context, m *message.Message) error {
				got.add(m.Text)
				switch m.Text {
				case "dead":
					return jobs.Permanent(errors.New("broken"))
				case "stuck":
					close(stuck)
					<-ctx.Done()
					return ctx.Err()
				}
				return jobs.TxFrom(ctx).Result([]byte("result of " + m.Text))
			})}}})
		ctx := context10(t)
		soon := time.Now().Add(50 * time.Millisecond)
		for id, j := range map[string]jobs.Job{"fine": {}, "keyed": {Key: "k"}, "dead": {}, "stuck": {}, "late": {At: soon.Add(50 * time.Millisecond), Deadline: soon}, "gone": {At: soon.Add(time.Hour)}} {
			j.ID, j.ResultFor, j.Message = id, time.Minute, text(id)
			if _, err := b.DoEnqueue(ctx, "q", j); err != nil {
				t.Fatal(id, err)
			}
		}
		<-stuck
		for _, id := range []string{"stuck", "gone"} {
			if _, err := b.Cancel(ctx, "q", id); err != nil {
				t.Fatal(err)
			}
		}
		for id, want := range map[string]jobs.Result{
			"fine": {jobs.Done, []byte("result of fine")}, "keyed": {jobs.Done, []byte("result of keyed")}, "dead": {jobs.Dead, []byte("broken")},
			"stuck": {How: jobs.Cancelled}, "late": {How: jobs.Expired}, "gone": {How: jobs.Cancelled},
		} {
			r, err := b.Wait(ctx, "q", id)
			if err != nil || r.How != want.How || string(r.Data) != string(want.Data) {
				t.Errorf("%s: %s %q, %v; want %s %q", id, r.How, r.Data, err, want.How, want.Data)
			}
		}
		short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		defer cancel()
		if _, err := b.Wait(short, "q", "nobody"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting for nobody: %v", err)
		}

		batch := jobs.Batch{ID: "b", Then: jobs.Job{Message: text("then")}}
		for i := range 50 {
			j := jobs.Job{Message: text(name(i))}
			if i%10 == 0 {
				j.Message = text("dead")
			}
			if i%3 == 0 {
				j.Key = "k"
			}
			batch.Jobs = append(batch.Jobs, j)
		}
		for i := range 2 {
			if stored, err := b.EnqueueBatch(ctx, "q", batch); err != nil || stored != (i == 0) {
				t.Errorf("try %d: %v, %v", i, stored, err)
			}
		}
		eventually(t, "the batch has ended", func() bool { return slices.Contains(got.all(), "then") })
		if s, err := b.BatchStatus(ctx, "q", "b", ""); err != nil || s != (jobs.BatchStatus{Known: true, Failed: 5}) {
			t.Errorf("status %+v, %v", s, err)
		}
		if all := got.all(); len(all) != 55 || all[54] != "then" {
			t.Errorf("%d calls, the last one %q", len(all), all[len(all)-1])
		}
		if _, err := b.EnqueueBatch(ctx, "q", jobs.Batch{Then: batch.Then}); !errors.Is(err, jobs.ErrRefused) {
			t.Errorf("an empty batch: %v", err)
		}
	})
}
