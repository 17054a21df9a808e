package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestLoop measures two systems with tiny numbers: the program works, and cleans up behind itself.
func TestLoop(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	var out, progress bytes.Buffer
	args := []string{"-rounds", "1", "-messages", "200", "-probes", "20", "-pairs", "2,1", "-window", "20", "-systems", "two agents,pyzmq relay"}
	if err := run(ctx, args, &out, &progress); err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	rows := 0
	for _, name := range []string{"two agents", relayName} {
		for _, line := range lines {
			if strings.Contains(line, "| "+name+" |") {
				rows++
			}
		}
	}
	if want := 3 * 2; rows != want { // 1 pair, 2 pairs, latency
		t.Errorf("the tables have %d rows, want %d:\n%s", rows, want, out.String())
	}
	if !strings.Contains(out.String(), "pyzmq 2") {
		t.Errorf("the versions are missing:\n%s", out.String())
	}
}

// TestRefused: what is lost, repeated or out of order voids a run.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, frames := range map[string][][]byte{
		"an Error":         {[]byte(`{"type":"Error","ref":"0000000001"}`)},
		"no frame":         nil,
		"a shorter number": {[]byte(`{"type":"Ack","ref":"1"}`)},
	} {
		if n, err := acknowledged(frames); err == nil {
			t.Errorf("%s acknowledged message %d", name, n)
		}
		if n, err := received(frames); err == nil {
			t.Errorf("%s delivered message %d", name, n)
		}
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	if got := (figures{3, 1, 2}).format("%.0f"); got != "2 (1–3)" {
		t.Errorf("three rounds: %s", got)
	}
	if got := (figures{4, 2}).median(); got != 3 {
		t.Errorf("the median of 2 and 4 is %v", got)
	}
	ms := []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}
	if p50, p99 := quantile(ms, 0.5), quantile(ms, 0.99); p50 != 2000 || p99 != 3000 {
		t.Errorf("p50 %v, p99 %v", p50, p99)
	}
}
