package zeromq_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// testChurn lets peers connect, say something and go, again and again, and our own sockets likewise: of n
// cycles nothing is left. It runs beside no other test.
func testChurn(t *testing.T, n int) {
	flat := func(t *testing.T, cycles func(t *testing.T, n int)) {
		t.Helper()
		cycles(t, n/10) // what is made once, and pools
		before, files := measure(), openFiles(t)
		cycles(t, n)
		var after footprint
		eventually(t, "descriptors and goroutines are back", func() bool {
			after = measure()
			return openFiles(t) <= files && after.goroutines <= before.goroutines
		})
		t.Logf("%d cycles: goroutines %+d, descriptors %+d, heap and stacks %+d KB", n,
			after.goroutines-before.goroutines, openFiles(t)-files, (after.bytes-before.bytes)>>10)
		if after.bytes > before.bytes+2<<20 {
			t.Errorf("%d KB are left of %d cycles", (after.bytes-before.bytes)>>10, n)
		}
	}
	for name, build := range strongholds {
		t.Run(name, func(t *testing.T) {
			s := build(t)
			s.trip(0)
			flat(t, func(t *testing.T, n int) {
				c := startChild(t, fmt.Sprintf("visit %d %s %s", n, s.peer, s.address))
				c.await(t, "over")
				c.end()
				s.trip(n)
			})
		})
	}
	t.Run("ours", func(t *testing.T) {
		pull, url := bound(t, zmq4.Pull, zeromq.Options{})
		flat(t, func(t *testing.T, n int) {
			for i := range n / 5 {
				push, err := zeromq.NewSocket(t.Context(), zmq4.Push, zeromq.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := push.Dial(url); err != nil {
					t.Fatal(err)
				}
				put(t, push, fmt.Sprint(i))
				want(t, pull, fmt.Sprint(i))
				push.Close()
			}
			peers(t, pull, 0)
		})
	})
}

func TestChurn(t *testing.T) { testChurn(t, 2000) }

// beVisitors is the other side: n short visits.
func beVisitors(n int, socketType, address string) error {
	var visitors sync.WaitGroup
	failed := make(chan error, 8)
	for range cap(failed) {
		visitors.Go(func() {
			for range n / cap(failed) {
				conn, err := enroll(socketType, address)
				if err != nil {
					failed <- err
					return
				}
				if socketType == "SUB" {
					conn.Write(frame(0, []byte("\x01topic")))
				} else {
					conn.Write(join(frame(1, nil), frame(0, []byte("hello"))))
				}
				conn.(*net.TCPConn).SetLinger(0) // no port stays in TIME_WAIT
				conn.Close()
			}
		})
	}
	visitors.Wait()
	close(failed)
	return <-failed
}
