package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

// game is the state of a loop: how many turns it has had, and what was said in it.
type game struct {
	Turns  int
	Said   []string
	Owners []int // the process of each turn
}

// owner is the handler of a worker process: a loop of 20 ms. Each committed turn is told to the list turns in
// Redis, <turn> <process>; the word end ends it.
func owner(c *redisx.Client) message.Handler {
	return message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
		return jobs.Own(ctx, 20*time.Millisecond, func(ctx context.Context, turn *jobs.Turn) error {
			return jobs.Update(ctx, "game", func(g *game) error {
				g.Turns++
				g.Owners = append(g.Owners, os.Getpid())
				for _, j := range turn.Jobs {
					g.Said = append(g.Said, j.Message.Text)
					if j.Message.Text == "end" {
						turn.End()
					}
				}
				n := g.Turns
				turn.Then(func() { c.RPush(context.WithoutCancel(ctx), "turns", fmt.Sprint(n, " ", os.Getpid())) })
				return nil
			})
		})
	})
}

// TestOwnerHandsOver: the owner of a game is killed, stopped for longer than its lease, and terminated. Each time
// another one goes on with the next turn, nobody else's turns are ever committed, and no action is lost or
// counted twice.
func TestOwnerHandsOver(t *testing.T) {
	t.Parallel()
	url := testredis.Start(t).URL
	b, c, ctx := start(t, quick(client(t, url))), client(t, url), context.Background()
	workers := make(map[int]*process)
	join := func() {
		p := spawn(t, url, func(string) {})
		workers[p.cmd.Process.Pid] = p
	}
	join()
	join()
	var said []string
	say := func(s string) {
		t.Helper()
		said = append(said, s)
		if _, err := b.DoEnqueue(context10(t), "games", jobs.Job{Key: "chess", Message: text(s)}); err != nil {
			t.Fatal(err)
		}
	}
	turns := func() []string { return c.LRange(ctx, "turns", 0, -1).Val() }
	current := func() *process {
		list := turns()
		if len(list) == 0 {
			return nil
		}
		_, pid, _ := strings.Cut(list[len(list)-1], " ")
		n, _ := strconv.Atoi(pid)
		return workers[n]
	}
	say("begin")
	for i, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGKILL} {
		before := len(turns())
		eventually(t, "the loop runs", func() bool { return len(turns()) > before+5 })
		old := current()
		join()
		say(fmt.Sprint("before ", i))
		began := time.Now()
		old.signal(end)
		say(fmt.Sprint("after ", i))
		eventually(t, "another one goes on", func() bool { return current() != old })
		t.Logf("%v: another owner's first turn %v later, lease 1 s", end, time.Since(began).Round(10*time.Millisecond))
		if end == syscall.SIGSTOP {
			old.signal(syscall.SIGCONT)
		}
	}
	say("end")
	var last game
	eventually(t, "the game ends", func() bool {
		data, err := b.State(ctx, "games", "chess", "game")
		if err != nil || len(data) == 0 {
			return false
		}
		last = parseJSON[game](t, data)
		return slices.Contains(last.Said, "end")
	})
	if !slices.Equal(last.Said, said) {
		t.Errorf("the state has heard %q, want %q", last.Said, said)
	}
	told := make(map[int]bool)
	for _, line := range turns() { // what an owner believes to have committed is what has been
		number, pid, _ := strings.Cut(line, " ")
		n, _ := strconv.Atoi(number)
		if told[n] || n > len(last.Owners) || pid != strconv.Itoa(last.Owners[n-1]) {
			t.Errorf("turn %s was told, of %d; twice: %v", line, len(last.Owners), told[n])
		}
		told[n] = true
	}
	n := len(last.Owners)
	if owners := len(slices.Compact(last.Owners)); owners != 5 || last.Turns != n {
		t.Errorf("%d owners, want 5; %d turns", owners, last.Turns)
	}
	say("again") // the key is free
	eventually(t, "a new owner", func() bool {
		data, _ := b.State(ctx, "games", "chess", "game")
		return parseJSON[game](t, data).Turns > last.Turns
	})
	if n := c.HLen(ctx, "{m:q:games:0}:st:\x00own\x00chess").Val(); n != 1 {
		t.Errorf("the new owner's mark has %d fields", n)
	}
}

// TestOwnersOfManyKeys: loops of several keys, actions from several callers, on one agent that has few places.
func TestOwnersOfManyKeys(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		const keys, each = 10, 30
		loop := message.HandlerFunc(func(ctx context.Context, _ *message.Message) error {
			return jobs.Own(ctx, 2*time.Millisecond, func(ctx context.Context, turn *jobs.Turn) error {
				return jobs.Update(ctx, "game", func(g *game) error {
					g.Turns++
					for _, j := range turn.Jobs {
						g.Said = append(g.Said, j.Message.Text)
					}
					if len(turn.Jobs) == 0 {
						turn.End() // others wait for the place
					}
					return nil
				})
			})
		})
		b, _, _ := agent(t, url, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"games": {Handler: loop, Concurrency: 4}}})
		for i := range each {
			for k := range keys {
				b.Enqueue("games", jobs.Job{Key: fmt.Sprint(k), Message: text(fmt.Sprint(k, " ", i))}, func(_ jobs.Receipt, err error) {
					if err != nil {
						t.Error(err)
					}
				})
			}
		}
		// All keys share a state here, so most turns meet a conflict and begin anew.
		var g game
		eventually(t, "all is played", func() bool {
			data, err := b.State(t.Context(), "games", "0", "game")
			if err != nil || len(data) == 0 {
				return false
			}
			g = parseJSON[game](t, data)
			return len(g.Said) >= keys*each
		})
		if len(g.Said) != keys*each {
			t.Errorf("%d actions are in the state, want %d", len(g.Said), keys*each)
		}
		for k := range keys {
			var mine []string
			for _, s := range g.Said {
				if strings.HasPrefix(s, fmt.Sprint(k, " ")) {
					mine = append(mine, s)
				}
			}
			for i, s := range mine {
				if s != fmt.Sprint(k, " ", i) {
					t.Fatalf("key %d: %q at %d", k, s, i)
				}
			}
		}
	})
}

func parseJSON[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	return v
}
