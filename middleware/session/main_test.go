package session_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/middleware/session"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const deadline = 20 * time.Second

// onBoth runs a test on a real Redis and on the embedded one.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, testredis.Start(t).URL)
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server, err := redisx.StartEmbedded("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Close)
		test(t, server.URL())
	})
}

// on picks a number by the server: the embedded one interprets scripts slowly, the more so under the race
// detector.
func on(t *testing.T, redis, embedded int) int {
	t.Helper()
	if strings.HasSuffix(t.Name(), "/embedded") {
		return embedded
	}
	return redis
}

func open(t *testing.T, url string) *redisx.Client {
	t.Helper()
	client, err := redisx.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func newStore(t *testing.T, c session.Config) *session.Store {
	t.Helper()
	store, err := session.NewStore(c)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	t.Cleanup(cancel)
	return ctx
}

func create(t *testing.T, store *session.Store, user string, ttl time.Duration, roles ...string) (string, session.Session) {
	t.Helper()
	token, s, err := store.Create(t.Context(), user, ttl, roles...)
	if err != nil {
		t.Fatalf("Create(%q, %v): %v", user, ttl, err)
	}
	return token, s
}

func verify(t *testing.T, store *session.Store, token string) session.Verdict {
	t.Helper()
	v, err := store.Verify(t.Context(), token)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return v
}
