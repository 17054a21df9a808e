package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestJobsDrainAndLimits works a live queue off, and limits it.
func TestJobsDrainAndLimits(t *testing.T) {
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
	add := func(j jobs.Job) error {
		j.Message = &message.Message{Type: "ChatMessage", Text: "x"}
		_, err := b.DoEnqueue(t.Context(), "q", j)
		return err
	}
	for i := range 200 {
		j := jobs.Job{}
		if i%2 == 0 {
			j.Key = "k"
		}
		if i%10 == 0 {
			j.At = time.Now().Add(300 * time.Millisecond)
		}
		if err := add(j); err != nil {
			t.Fatal(err)
		}
	}
	// JSON of every command can be read, line by line.
	for _, args := range [][]string{
		{"limits", "q", "--rate", "100", "--burst", "50"}, {"limits", "q", "--type", "ChatMessage", "--concurrency", "3"}, {"limits", "q"},
		{"pause", "q"}, {"resume", "q"}, {"queues"}, {"ls", "q"}, {"limits", "q", "--clear"}, {"cron"}, {"dead", "ls", "q"},
		{"drain", "q", "--within", "30s"},
	} {
		out, err := run(append(args, "--json")...)
		if err != nil {
			t.Errorf("%v: %v", args, err)
		}
		for line := range strings.Lines(out) {
			if !json.Valid([]byte(line)) {
				t.Errorf("%v: %q is not JSON", args, line)
			}
		}
		if args[0] == "limits" && len(args) == 2 && (!strings.Contains(out, `"rate":100`) || !strings.Contains(out, `"concurrency":3`)) {
			t.Errorf("limits: %s", out)
		}
	}
	if s, err := b.Queue(t.Context(), "q"); err != nil || s.Left() != 0 || !s.Closed {
		t.Errorf("after drain: %+v, %v", s, err)
	}
	if err := add(jobs.Job{}); !errors.Is(err, jobs.ErrRefused) {
		t.Errorf("a drained queue takes a job: %v", err)
	}
	if out, err := run("queues"); err != nil || !strings.Contains(out, "closed") {
		t.Errorf("queues: %q, %v", out, err)
	}
	for _, args := range [][]string{{"open", "q"}, {"drain", "q", "--reopen"}} {
		if out, err := run(args...); err != nil || !strings.Contains(out, "open") {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	if err := add(jobs.Job{At: time.Now().Add(time.Hour)}); err != nil {
		t.Errorf("an open queue: %v", err)
	}
	if out, err := run("drain", "q", "--within", "300ms"); err == nil || !strings.Contains(err.Error(), "not worked off yet") {
		t.Errorf("a drain that takes an hour: %q, %v", out, err)
	}
	if _, err := run("pause", "q"); err != nil {
		t.Fatal(err)
	}
	if _, err := run("drain", "q"); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("a paused queue: %v", err)
	}
	if _, err := run("drain", "typo"); err == nil {
		t.Error("a queue that is not there was drained")
	}
}
