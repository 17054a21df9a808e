package e2e_test

import (
	"encoding/json"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
)

// TestGameOwnerDies: two agents offer to run a game. The one that runs it is killed, the next one is terminated;
// each time the game ticks on elsewhere from its last committed state, and the players hear of every action once
// and in order.
func TestGameOwnerDies(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	games := make(map[string]*process)
	join := func(name string) {
		games[name] = start(t, []string{"AGENTMESH_REDIS=" + m.redis.URL}, "game", name)
		if got := games[name].line("the game agent"); got != "ready" {
			t.Fatalf("the game agent printed %q", got)
		}
	}
	join("one")
	join("two")
	client, err := redisx.Open(m.redis.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	broker, err := jobs.New(jobs.Config{Redis: client})
	if err != nil {
		t.Fatal(err)
	}
	type world struct {
		Tick, Turn int
		Owner      string
	}
	last := world{}
	look := func() world {
		data, err := broker.State(t.Context(), "t.GameAction", "g:chess", "world/chess")
		if err != nil || len(data) == 0 {
			return last
		}
		var w world
		if err := json.Unmarshal(data, &w); err != nil {
			t.Fatal(err)
		}
		if w.Tick < last.Tick || w.Turn < last.Turn {
			t.Errorf("the game went back: %+v after %+v", w, last)
		}
		last = w
		return w
	}
	until := func(what string, ok func(world) bool) time.Duration {
		t.Helper()
		begin := time.Now()
		for !ok(look()) {
			if time.Since(begin) > 30*time.Second {
				t.Fatalf("waited in vain for %s: %+v", what, last)
			}
			<-time.After(5 * time.Millisecond)
		}
		return time.Since(begin)
	}

	ann := newDealer(t, m.a, "ann", login(t, m.redis.URL, "ann"))
	ann.logIn(nil)
	ann.join("chess")
	moves := 0
	play := func() {
		moves++
		ann.send(envelope{"type": "GameAction", "id": fmt.Sprint("move ", moves), "game": "chess", "payload": moves})
	}
	hear := func(from, to int) {
		t.Helper()
		for i := from; i <= to; i++ {
			got := ann.next(fmt.Sprint("move ", i), func(e envelope) bool { return e.str("game") == "chess" })
			if got.num("payload") != int64(i) || got.str("message") != fmt.Sprint("turn ", i) {
				t.Fatalf("got %v, want move %d", got, i)
			}
		}
	}
	for range 5 {
		play()
	}
	hear(1, 5)
	for i, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		at := look()
		until("it ticks", func(w world) bool { return w.Tick > at.Tick+5 })
		old := look().Owner
		play()
		join(fmt.Sprint("heir", i))
		games[old].end(end)
		play()
		took := until("another owner", func(w world) bool { return w.Owner != old })
		t.Logf("%v: ticks on elsewhere %v after the owner had ended, lease 3 s; turn %d", end, took.Round(time.Millisecond), last.Tick)
		play()
		hear(6+3*i, 8+3*i)
	}
}
