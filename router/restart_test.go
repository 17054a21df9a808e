package router_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/router"
)

// never is a lease that is never renewed: no renewal helps to notice anything.
var never = lease(24 * time.Hour)

// persistent is a mesh on a Redis that writes down everything before it answers.
func persistent(t *testing.T) (*mesh, *testredis.Server) {
	t.Helper()
	server := testredis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	return newMesh(t, server.URL), server
}

// restart kills Redis and starts it again with what it had written when saved was called, or with all.
func restart(t *testing.T, server *testredis.Server, files, saved string) {
	t.Helper()
	server.Kill()
	if saved != "" {
		if err := os.RemoveAll(files); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(files, os.DirFS(saved)); err != nil {
			t.Fatal(err)
		}
	}
	server.Restart()
}

// save copies what Redis has written.
func save(t *testing.T, m *mesh) (files, saved string) {
	t.Helper()
	dir, err := m.redis.ConfigGet(m.ctx, "dir").Result()
	if err != nil {
		t.Fatal(err)
	}
	files, saved = filepath.Join(dir["dir"], "appendonlydir"), filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	return files, saved
}

// TestLostTailIsRewritten lets Redis come back without its last entries, and more messages than were lost be
// published before anybody can have noticed: their numbers are used again, but never under the same epoch.
func TestLostTailIsRewritten(t *testing.T) {
	t.Parallel()
	for _, history := range []router.History{inbox("bob"), global} {
		for _, publisher := range []string{"listener's", "other's"} {
			for _, live := range []bool{true, false} {
				t.Run(fmt.Sprintf("kind %d, by the %s agent, live %v", history.Kind, publisher, live), func(t *testing.T) {
					t.Parallel()
					m, server := persistent(t)
					agents := map[string]*agent{"listener's": m.agent("a", never), "other's": m.agent("b", never)}
					a, by := agents["listener's"], agents[publisher]
					var bob *client
					if live {
						bob = m.client(a, "bob").bind()
					}
					by.mustPublish(chat(history, "", "", "one"))
					files, saved := save(t, m)
					by.mustPublish(chat(history, "", "", "two"))
					last := by.mustPublish(chat(history, "", "", "three"))
					if live {
						bob.waitTexts("one", "two", "three")
					}
					restart(t, server, files, saved)
					for i, text := range []string{"four", "five", "six"} {
						r := by.mustPublish(chat(history, "", "", text))
						if r.Seq != int64(i+2) || r.Epoch == last.Epoch {
							t.Errorf("%s is %+v; the last that was seen is %+v", text, r, last)
						}
					}
					if live {
						bob.waitTexts("one", "two", "three", "four", "five", "six")
					}
					back := m.client(a, "bob")
					var standing router.Standing
					if seen := since(last.Seq, last.Epoch); history == global {
						_, standing = back.login(router.Resume{}, seen)
					} else {
						standing, _ = back.login(seen, router.Resume{})
					}
					if !standing.Gap || standing.Seq != 4 {
						t.Errorf("who comes back stands at %+v", standing)
					}
					back.waitTexts("one", "four", "five", "six")
				})
			}
		}
	}
}

// TestNothingIsSentAgain restarts Redis without any loss: connections get every message once, whatever was
// or was not written between the restarts.
func TestNothingIsSentAgain(t *testing.T) {
	t.Parallel()
	m, server := persistent(t)
	a, b := m.agent("a", never), m.agent("b", never, keep(-1))
	seen, noted := m.client(a, "bob").bind(), chat(inbox("bob"), "", "mark", "one")
	first := b.mustPublish(noted)
	b.mustPublish(chat(inbox("bob"), "", "", "two"))
	late := m.client(b, "bob").bind() // its agent has seen none of them
	restart(t, server, "", "")
	// The attach of a third agent gives the history an epoch that no message has.
	c := m.agent("c", never)
	third := m.client(c, "bob").bind()
	restart(t, server, "", "")
	again := b.publish(noted)
	if !again.duplicate || again.Seq != first.Seq || again.Epoch == first.Epoch {
		t.Errorf("a repeat gave %+v, at first %+v", again, first)
	}
	last := a.mustPublish(chat(inbox("bob"), "", "", "three"))
	if last.Seq != 3 || last.Epoch != again.Epoch {
		t.Errorf("got %+v after %+v", last, again)
	}
	seen.waitTexts("one", "two", "three")
	late.waitTexts("three")
	third.waitTexts("three")

	// Who comes back with an epoch of before cannot be told that he missed nothing; that costs a replay.
	back := m.client(a, "bob")
	if standing, _ := back.login(since(2, first.Epoch), router.Resume{}); !standing.Gap {
		t.Errorf("got %+v", standing)
	}
	if standing, _ := m.client(a, "bob").login(since(3, last.Epoch), router.Resume{}); standing.Gap {
		t.Errorf("got %+v", standing)
	}
	a.mustPublish(chat(inbox("bob"), "", "", "four"))
	seen.waitTexts("one", "two", "three", "four")
	late.waitTexts("three", "four")
	third.waitTexts("three", "four")
}

// TestLossAfterLoss loses a part of each of two lives, one after the other, while nobody reads.
func TestLossAfterLoss(t *testing.T) {
	t.Parallel()
	m, server := persistent(t)
	a, b := m.agent("a", never), m.agent("b", never)
	post := func(text string) { b.mustPublish(chat(room("r"), "", "", text)) }
	bob := m.client(a, "bob").bind()
	bob.join("r", router.Resume{})
	post("one")
	files, saved := save(t, m)
	post("two")
	post("three")
	bob.waitTexts("one", "two", "three")
	m.drop = 100 // what is published next reaches a only by its history
	restart(t, server, files, saved)
	post("four")
	_, saved = save(t, m)
	post("five")
	restart(t, server, files, saved)
	m.drop = 0
	post("six")
	bob.waitTexts("one", "two", "three", "four", "six")
}
