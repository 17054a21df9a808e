package zeromq_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime/metrics"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// stronghold is a socket that is attacked while an honest peer goes on with its round trips.
type stronghold struct {
	address     string
	peer, wrong string // a socket type that may talk to it, and one that may not
	trip        func(n int)
}

// strongholds are the accepting sockets, each with its honest peer. Limits are those of an agent on the open
// network: 1 MiB for a message, half a second for a handshake.
var strongholds = map[string]func(t *testing.T) stronghold{
	"Router": func(t *testing.T) stronghold {
		r := startRouter(t, zeromq.RouterConfig{HandshakeTimeout: 500 * time.Millisecond, HeartbeatInterval: -1}, echo)
		conn := rawPeer(t, r.address(), "honest")
		conn.SetDeadline(time.Time{})
		return stronghold{r.address(), "DEALER", "PUB", func(n int) {
			word := fmt.Sprint(n)
			conn.Write(frame(0, []byte(word)))
			expectFrame(t, conn, 0, word)
			for len(r.events) > 0 { // they would hold peers that are gone
				<-r.events
			}
		}}
	},
	"ROUTER": func(t *testing.T) stronghold { return exchanging(t, zmq4.Router, zmq4.Dealer) },
	"REP":    func(t *testing.T) stronghold { return exchanging(t, zmq4.Rep, zmq4.Req) },
	"PUB":    func(t *testing.T) stronghold { return publishing(t, zmq4.Pub) },
	"XPUB":   func(t *testing.T) stronghold { return publishing(t, zmq4.XPub) },
	"PULL": func(t *testing.T) stronghold {
		pull, url := bound(t, zmq4.Pull, besieged)
		push := dialled(t, zmq4.Push, zeromq.Options{}, url)
		return stronghold{url[len("tcp://"):], "PUSH", "SUB", func(n int) {
			word := fmt.Sprint("honest", n)
			put(t, push, word)
			for {
				m, err := pull.Recv()
				if err != nil {
					t.Fatal(err)
				}
				if string(m.Frames[0]) == word {
					return
				}
			}
		}}
	},
}

var besieged = zeromq.Options{MaxMessageSize: 1 << 20, MaxParts: 128, HandshakeTimeout: 500 * time.Millisecond}

// exchanging is a socket that answers.
func exchanging(t *testing.T, kind, honest zmq4.SocketType) stronghold {
	s, url := bound(t, kind, besieged)
	background(t, s, func() bool {
		m, err := s.Recv()
		return err == nil && s.Send(m) == nil
	})
	client := dialled(t, honest, zeromq.Options{}, url)
	return stronghold{url[len("tcp://"):], string(honest), "PUB", func(n int) {
		put(t, client, fmt.Sprint(n))
		want(t, client, fmt.Sprint(n))
	}}
}

func publishing(t *testing.T, kind zmq4.SocketType) stronghold {
	s, url := bound(t, kind, besieged)
	if kind == zmq4.XPub {
		background(t, s, func() bool {
			_, err := s.Recv()
			return err == nil
		})
	}
	sub := dialled(t, zmq4.Sub, zeromq.Options{}, url)
	sub.Subscribe("honest")
	eventually(t, "subscribed", func() bool { return slices.Contains(s.Topics(), "honest") })
	return stronghold{url[len("tcp://"):], "SUB", "DEALER", func(n int) {
		put(t, s, "honest", fmt.Sprint(n))
		want(t, sub, "honest", fmt.Sprint(n))
	}}
}

// background repeats step until it reports false, which it does when s is closed.
func background(t *testing.T, s *zeromq.Socket, step func() bool) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for step() {
		}
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
}

// p99 makes round trips until stop is closed, but at least 200.
func (s stronghold) p99(stop <-chan struct{}) time.Duration {
	var took []time.Duration
	for n, stopped := 0, false; !stopped || n < 200; n++ {
		began := time.Now()
		s.trip(n)
		took = append(took, time.Since(began))
		select {
		case <-stop:
			stopped = true
		default:
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

func heapBytes() int64 { // without stopping the world
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// testSieges attacks every kind of accepting socket from another process: fuzzed and cut greetings, all that
// is malformed, messages without an end, silent connections and half handshakes, all of them by scale, and
// scale connects in a row. It runs beside no other test, which would be measured too.
func testSieges(t *testing.T, scale int) {
	for name, build := range strongholds {
		t.Run(name, func(t *testing.T) {
			s := build(t)
			s.trip(0) // connected
			quiet := make(chan struct{})
			time.AfterFunc(500*time.Millisecond, func() { close(quiet) })
			calm := s.p99(quiet)
			before, files := measure(), openFiles(t)

			var peak int64
			over, watched := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(watched)
				for tick := time.NewTicker(10 * time.Millisecond); ; {
					peak = max(peak, heapBytes())
					select {
					case <-over:
						tick.Stop()
						return
					case <-tick.C:
					}
				}
			}()
			c := startChild(t, fmt.Sprintf("siege %d %s %s %s", scale, s.peer, s.wrong, s.address))
			go func() {
				c.await(t, "over")
				close(over)
			}()
			stormy := s.p99(over)
			<-watched
			c.end()

			t.Logf("p99 of a round trip: %v quiet, %v under attack: %.1f times; heap at most %d MB",
				calm, stormy, float64(stormy)/float64(calm), peak>>20)
			if stormy > 10*calm+250*time.Millisecond {
				t.Errorf("p99 of a round trip: %v quiet, %v under attack", calm, stormy)
			}
			if peak > 256<<20 {
				t.Errorf("the heap grew to %d MB", peak>>20)
			}
			eventually(t, "descriptors and goroutines are back", func() bool {
				return openFiles(t) <= files && measure().goroutines <= before.goroutines
			})
			if after := measure(); after.bytes > before.bytes+16<<20 {
				t.Errorf("%d MB are left of it", (after.bytes-before.bytes)>>20)
			}
			s.trip(1)
		})
	}
}

func TestSieges(t *testing.T) { testSieges(t, 500) }

// besiege is the other side of testSieges.
func besiege(scale int, peer, wrong, address string) error {
	var idle []net.Conn // silent ones, and half handshakes
	for i := range scale {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		if i%2 == 1 {
			conn.Write(hello(peer, "")[:1+i%100])
		}
		idle = append(idle, conn)
	}
	all := hostileBytes(peer, wrong)
	long := bytes.Repeat(frame(1, []byte("m")), 10_000)
	work := make(chan func())
	var workers sync.WaitGroup
	for range 64 {
		workers.Go(func() {
			for f := range work {
				f()
			}
		})
	}
	for i := range scale {
		work <- func() { // what is malformed, whole or with some bytes changed or cut
			b := all[i%len(all)].bytes
			if i >= len(all) && len(b) < 1<<16 {
				b = bytes.Clone(b)
				for range 1 + rand.IntN(3) {
					b[rand.IntN(min(len(b), 128))] = byte(rand.Uint32())
				}
				b = b[:1+rand.IntN(len(b))]
			}
			attack(address, b, i%10 == 0)
		}
		work <- func() { // comes and goes
			if conn, err := net.Dial("tcp", address); err == nil {
				conn.Write(hello(peer, ""))
				conn.Close()
			}
		}
		if i%50 == 0 {
			work <- func() { attack(address, join(hello(peer, ""), long), true) }
		}
	}
	close(work)
	workers.Wait()
	for _, conn := range idle {
		conn.Close()
	}
	return nil
}

// attack writes b and may wait to be thrown out.
func attack(address string, b []byte, wait bool) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write(b); err != nil || !wait {
		return
	}
	for buf := make([]byte, 1024); err == nil; {
		_, err = conn.Read(buf)
	}
}
