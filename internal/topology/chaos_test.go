//go:build chaos

package topology_test

import (
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/testredis"
)

// TestChaosMasters kills, then stops, the master of everything the broker keeps, one after the other.
func TestChaosMasters(t *testing.T) {
	for name, start := range map[string]func(*testing.T) masters{"cluster": cluster, "sentinel": sentinel} {
		t.Run(name, func(t *testing.T) {
			m := start(t)
			p := &place{T: t, url: m.url, prefix: "m", partitions: m.partitions}
			l := p.load(2 * time.Millisecond)
			l.more(1000)
			kills := 0
			for _, key := range []string{"{m:q:any:0}", "{m:agents}", "{m:bc}", "{m:q:keyed:3}"} {
				dead := p.failOver(m, l, key, (*testredis.Server).Kill)
				dead.Restart()
				m.healthy()
				kills++
			}
			stopped := p.failOver(m, l, "{m:q:any:0}", (*testredis.Server).Pause)
			stopped.Resume()
			kills++
			m.healthy()
			l.more(1000)
			l.settle()
			p.report(l, kills)
		})
	}
}
