package testredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

func TestMain(m *testing.M) {
	redisx.Silence()
	leaktest.Main(m)
}

// write sets a key until it is confirmed and returns how long that took.
func write(t *testing.T, c *redisx.Client, key string) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for start := time.Now(); ; {
		err := c.Set(ctx, key, "v", 0).Err()
		if err == nil {
			return time.Since(start)
		}
		c.ReloadTopology(ctx)
		select {
		case <-ctx.Done():
			t.Fatalf("writing %s: %v", key, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func open(t *testing.T, url string) *redisx.Client {
	t.Helper()
	c, err := redisx.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestRestart(t *testing.T) {
	t.Parallel()
	s := testredis.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	c := open(t, s.URL)
	write(t, c, "k")
	s.Kill()
	if err := c.Ping(t.Context()).Err(); err == nil {
		t.Error("a killed server answers")
	}
	s.Restart()
	if v, err := c.Get(t.Context(), "k").Result(); err != nil || v != "v" {
		t.Errorf("after the restart: %q, %v", v, err)
	}
}

func TestClusterFailsOver(t *testing.T) {
	t.Parallel()
	cluster := testredis.StartCluster(t)
	c := open(t, cluster.URL)
	owners := make(map[*testredis.Server]bool)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		write(t, c, key)
		owners[cluster.Master(key)] = true
	}
	if len(owners) < 2 {
		t.Errorf("six keys live on %d nodes", len(owners))
	}
	dead := cluster.KillMaster("a")
	t.Logf("writing again after %v", write(t, c, "a"))
	if cluster.Master("a") == dead {
		t.Error("the dead node is still the master")
	}
	dead.Restart()
	cluster.WaitHealthy()
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	s := testredis.StartSentinel(t)
	c := open(t, s.URL)
	write(t, c, "k")
	dead := s.KillMaster()
	t.Logf("writing again after %v", write(t, c, "k"))
	if s.Master() == dead {
		t.Error("the dead node is still the master")
	}
	s.WaitHealthy()
}
