package zeromq_test

import (
	"runtime"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// footprint is what the process holds: bytes of heap and stacks, and goroutines.
type footprint struct {
	bytes      int64
	goroutines int
}

func measure() footprint {
	runtime.GC()
	runtime.GC() // what sync.Pool keeps goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{int64(m.HeapInuse + m.StackInuse), runtime.NumGoroutine()}
}

// An idle peer costs at most 12 KB and one goroutine, also after it has spoken. It does not run beside
// other tests, which would be measured too.
func TestIdlePeersAreCheap(t *testing.T) {
	const n = 5000
	check := func(t *testing.T, when string, before footprint) {
		t.Helper()
		after := measure()
		each := (after.bytes - before.bytes) / n
		goroutines := float64(after.goroutines-before.goroutines) / n
		t.Logf("%s: %d bytes and %.3f goroutines for each of %d", when, each, goroutines, n)
		if each > idleLimit || goroutines > 1.01 {
			t.Errorf("%s: %d bytes and %.3f goroutines for each of %d peers", when, each, goroutines, n)
		}
	}
	t.Run("Router", func(t *testing.T) {
		r := startRouter(t, zeromq.RouterConfig{HeartbeatInterval: -1}, echo)
		before := measure()
		c := startCrowd(t, n, "DEALER", r.address())
		eventually(t, "all are up", func() bool { return r.Peers() == n })
		check(t, "new", before)
		c.speak(t)
		check(t, "after an echo", before)
	})
	t.Run("ROUTER socket", func(t *testing.T) {
		s, url := bound(t, zmq4.Router, zeromq.Options{})
		before := measure()
		c := startCrowd(t, n, "DEALER", url[len("tcp://"):])
		peers(t, s, n)
		check(t, "new", before)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				m, err := s.Recv()
				if err != nil || s.Send(m) != nil {
					return
				}
			}
		}()
		t.Cleanup(func() { s.Close(); <-ended })
		c.speak(t)
		check(t, "after an echo", before)
	})
}
