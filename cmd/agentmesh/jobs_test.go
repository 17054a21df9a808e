package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// live is a mesh with one worker on queue q: the job "dead" fails for good, "done" works.
func live(t *testing.T, url string) *jobs.Broker {
	t.Helper()
	client, err := redisx.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	b, err := jobs.New(jobs.Config{Redis: client, Block: 50 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Join(t.Context(), jobs.WorkerConfig{Name: "one", Queues: map[string]jobs.QueueConfig{"q": {Handler: message.HandlerFunc(
		func(_ context.Context, m *message.Message) error {
			if m.Text == "dead" {
				return jobs.Permanent(errors.New("broken"))
			}
			return nil
		})}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var ended sync.WaitGroup
	ended.Go(func() { _ = b.Run(ctx) })
	ended.Go(func() { _ = w.Run(ctx) })
	t.Cleanup(func() { cancel(); ended.Wait(); client.Close() })
	return b
}

// TestJobsCommands goes through what a person does with a queue that has trouble.
func TestJobsCommands(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	b := live(t, url)
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		cmd := root()
		cmd.SetOut(&out)
		cmd.SetArgs(append([]string{"jobs", "--redis", url}, args...))
		err := cmd.ExecuteContext(t.Context())
		return out.String(), err
	}
	shows := func(want string, args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %q, %v; want %q", args, out, err, want)
		}
	}
	fails := func(want string, args ...string) {
		t.Helper()
		if out, err := run(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %q, %v; want an error with %q", args, out, err, want)
		}
	}
	add := func(id string, j jobs.Job) {
		t.Helper()
		j.ID, j.ResultFor, j.Message = id, time.Minute, &message.Message{Type: "ChatMessage", Text: id}
		if _, err := b.DoEnqueue(t.Context(), "q", j); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"dead", "done"} {
		add(id, jobs.Job{})
		if _, err := b.Wait(t.Context(), "q", id); err != nil {
			t.Fatal(err)
		}
	}
	add("delayed", jobs.Job{At: time.Now().Add(time.Hour)})

	shows("q", "queues")
	out, err := run("queues", "--json")
	var q jobs.QueueStats
	if err != nil || json.Unmarshal([]byte(out), &q) != nil || q.Name != "q" || q.Workers != 1 || q.Dead != 1 || q.Aside != 1 {
		t.Errorf("queues --json: %s, %v", out, err)
	}
	shows("delayed", "ls", "q")
	shows(`"state":"delayed"`, "ls", "q", "--json")
	shows(`"message": "delayed"`, "show", "q", "delayed")
	shows("ended done", "trace", "q", "done")
	shows("broken", "dead", "ls", "q")
	fails("no trace of", "trace", "q", "nobody")
	fails("say which", "dead", "purge", "q")
	fails("agentmesh jobs queues", "pause", "typo")

	shows("gone", "cancel", "q", "delayed")
	shows("marked", "cancel", "q", "delayed")
	shows("paused", "pause", "q")
	shows("retried 1", "dead", "retry", "q")
	shows("paused", "queues")
	shows("moved", "move", "q", "other")
	shows("resumed", "resume", "q")
	shows("NAME", "cron")
	shows(`{"purged":0}`, "dead", "purge", "--inboxes", "--all", "--json")
	fails("is the broker running?", "queues", "--redis", "redis://127.0.0.1:1")
}
