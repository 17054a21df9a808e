package jobs_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestCronFiresOnce: three schedulers, one job for each time.
func TestCronFiresOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		seconds := make(chan time.Time, 100)
		handler := message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			info, _ := jobs.InfoFrom(ctx)
			seconds <- info.Created
			return nil
		})
		var b *jobs.Broker
		for i := range 3 {
			b, _, _ = agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Handler: handler}}})
			spec := map[bool]string{true: "* * * * * *", false: "@every 1s"}[i == 0] // two ways to say the same
			if err := b.Cron("tick", spec, "q", jobs.Job{Message: text("x")}); err != nil {
				t.Fatal(err)
			}
		}
		seen := make(map[int64]bool)
		for range 3 {
			select {
			case at := <-seconds:
				if seen[at.Unix()] {
					t.Errorf("second %d came twice", at.Unix())
				}
				seen[at.Unix()] = true
			case <-time.After(deadline):
				t.Fatal("cron does not fire")
			}
		}
		ctx := context10(t)
		list, err := b.CronEntries(ctx)
		if err != nil || len(list) != 1 || list[0].Name != "tick" || list[0].Queue != "q" || list[0].Type != "ChatMessage" || list[0].Next.IsZero() {
			t.Errorf("entries %+v, %v", list, err)
		}
	})
}

func TestCronRefusesNonsense(t *testing.T) {
	t.Parallel()
	b, err := jobs.New(quick(client(t, "redis://127.0.0.1:1")))
	if err != nil {
		t.Fatal(err)
	}
	ok := jobs.Job{Message: text("x")}
	for i, c := range []struct {
		name, spec, queue string
		job               jobs.Job
		fine              bool
	}{
		{"a", "30 6 * * 1-5", "q", ok, true},
		{"a", "@daily", "q", ok, false}, // it exists
		{"b", "CRON_TZ=Europe/Berlin 30 6 * * *", "q", ok, true},
		{"c", "61 * * * *", "q", ok, false},
		{"c", "0 0 30 2 *", "q", ok, false},
		{"c", "", "q", ok, false},
		{"c", "@daily", "no queue", ok, false},
		{"c", "@daily", "q", jobs.Job{ID: "x", Message: text("x")}, false},
		{"c", "@daily", "q", jobs.Job{}, false},
	} {
		if err := b.Cron(c.name, c.spec, c.queue, c.job); (err == nil) != c.fine {
			t.Errorf("%s: %+v: %v", strconv.Itoa(i), c, err)
		}
	}
}
