package zeromq_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// BenchmarkOneWay sends 64 bytes from one Dealer to the Router.
func BenchmarkOneWay(b *testing.B) {
	var got atomic.Int64
	done := make(chan struct{})
	r := startRouter(b, zeromq.RouterConfig{Window: 4096}, func(m zeromq.Message) {
		m.Peer.Release(1)
		if got.Add(1) == int64(b.N) {
			close(done)
		}
	})
	d, _ := startDealer(b, zeromq.DealerConfig{Endpoint: r.url, QueueMessages: 10000})
	awaitConnected(b, d, true)
	body := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if err := d.Send(context.Background(), body); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkReceive is the Router alone: 64 bytes, written by a peer that costs nothing.
func BenchmarkReceive(b *testing.B) {
	for _, size := range []int{64, 256, 4096} {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			var got atomic.Int64
			done := make(chan struct{})
			r := startRouter(b, zeromq.RouterConfig{Window: 4096}, func(m zeromq.Message) {
				m.Peer.Release(1)
				if got.Add(1) == int64(b.N) {
					close(done)
				}
			})
			conn := rawPeer(b, r.address(), "bench")
			w := bufio.NewWriterSize(conn, 64<<10)
			body := frame(0, make([]byte, size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				w.Write(body)
			}
			w.Flush()
			<-done
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

// BenchmarkSend is the Router alone, sending 64 bytes to a peer that throws them away.
func BenchmarkSend(b *testing.B) {
	r := startRouter(b, zeromq.RouterConfig{QueueMessages: 1 << 20, QueueBytes: 1 << 30}, echo)
	conn := rawPeer(b, r.address(), "bench")
	peer := r.await(b, zeromq.PeerUp).Peer
	done := make(chan struct{})
	go func() {
		defer close(done)
		io.CopyN(io.Discard, conn, int64(b.N)*66)
	}()
	body := make([]byte, 64)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := peer.Send(body); err != nil {
			b.Fatal(err)
		}
		if i%10000 == 0 { // no overflow on a slow machine
			for r.Stats().Out+500_000 < uint64(i) {
			}
		}
	}
	<-done
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkEcho has 100 peers with 8 messages of 256 bytes under way each.
func BenchmarkEcho(b *testing.B) {
	const peers, window = 100, 8
	r := startRouter(b, zeromq.RouterConfig{}, echo)
	conns := make([]net.Conn, peers)
	for i := range conns {
		conns[i] = rawPeer(b, r.address(), fmt.Sprint(i))
	}
	message := frame(0, make([]byte, 256))
	var left atomic.Int64
	left.Store(int64(b.N))
	ended := make(chan struct{}, peers)
	b.ReportAllocs()
	b.ResetTimer()
	for _, conn := range conns {
		go func() {
			defer func() { ended <- struct{}{} }()
			buf := make([]byte, window*len(message))
			out := make([]byte, 0, window*len(message))
			for range window {
				out = append(out, message...)
			}
			flying, part := window, 0
			for flying > 0 {
				if _, err := conn.Write(out); err != nil {
					return
				}
				n, err := conn.Read(buf)
				if err != nil {
					return
				}
				part += n
				came := part / len(message)
				part %= len(message)
				flying -= came
				out = out[:0]
				for range came {
					if left.Add(-1) >= 0 {
						out = append(out, message...)
						flying++
					}
				}
			}
		}()
	}
	for range conns {
		<-ended
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

// BenchmarkDecode is what reading costs beside the system calls.
func BenchmarkDecode(b *testing.B) {
	for name, frames := range map[string][][]byte{
		"64B": {make([]byte, 64)}, "3x": {make([]byte, 16), make([]byte, 16), make([]byte, 256)}, "4KB": {make([]byte, 4096)},
	} {
		b.Run(name, func(b *testing.B) {
			message := zeromq.AppendMessage(nil, frames...)
			b.ReportAllocs()
			if err := zeromq.DecodeStream(b.N, message); err != nil {
				b.Fatal(err)
			}
		})
	}
}
