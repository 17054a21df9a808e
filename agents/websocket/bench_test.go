package websocket_test

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/agentmesh/agentmesh/agents/websocket"
)

// cpu is the time that this process, clients included, has computed.
func cpu() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEcho: 100 connections, each with one message under way.
func BenchmarkEcho(bm *testing.B) {
	b := start(bm, websocket.Config{}, func(m websocket.Message) {
		m.Conn.Send(m.Body)
		m.Conn.Release(1)
	})
	const conns = 100
	msg := frame(0x81, strings.Repeat("x", 190))
	peers := make([]*raw, conns)
	for i := range peers {
		peers[i] = b.handshake(bm, "")
	}
	bm.ReportAllocs()
	bm.ResetTimer()
	before := cpu()
	var left atomic.Int64
	left.Store(int64(bm.N))
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() {
			answer := make([]byte, 4+190)
			for left.Add(-1) >= 0 {
				if _, err := io.WriteString(p, msg); err != nil {
					bm.Error(err)
					return
				}
				if _, err := io.ReadFull(p.r, answer); err != nil {
					bm.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	bm.ReportMetric((cpu()-before)/float64(bm.N), "cpu-ns/op")
}

// BenchmarkFanOut sends one body to 1,000 connections, as a room does. An op is one delivery.
func BenchmarkFanOut(bm *testing.B) {
	for _, ahead := range []int{1, 16} { // messages that the room is ahead of its slowest member
		bm.Run(fmt.Sprintf("ahead=%d", ahead), func(bm *testing.B) { fanOut(bm, ahead) })
	}
}

func fanOut(bm *testing.B, ahead int) {
	const conns = 1000
	b := start(bm, websocket.Config{}, nil)
	room := make([]*websocket.Conn, conns)
	peers := make([]*raw, conns)
	for i := range peers {
		peers[i] = b.handshake(bm, "")
		room[i] = b.up(bm)
	}
	rounds := (bm.N + conns - 1) / conns
	got := make(chan struct{}, conns*ahead)
	var all sync.WaitGroup
	for _, p := range peers {
		all.Go(func() {
			answer := make([]byte, 4+190)
			for range rounds {
				if _, err := io.ReadFull(p.r, answer); err != nil {
					bm.Error(err)
				}
				got <- struct{}{}
			}
		})
	}
	body := []byte(strings.Repeat("x", 190))
	bm.ReportAllocs()
	bm.ResetTimer()
	before := cpu()
	for round := range rounds {
		if round >= ahead {
			for range conns {
				<-got
			}
		}
		for _, c := range room {
			if err := c.Send(body); err != nil {
				bm.Error(err)
			}
		}
	}
	for range min(ahead, rounds) * conns {
		<-got
	}
	all.Wait()
	n := float64(rounds * conns)
	bm.ReportMetric((cpu()-before)/n, "cpu-ns/delivery")
	bm.ReportMetric(n/bm.Elapsed().Seconds(), "deliveries/s")
}

// BenchmarkIdle reports what an idle connection holds. The client's end is a bare socket.
func BenchmarkIdle(bm *testing.B) {
	b := start(bm, websocket.Config{}, nil)
	const conns = 1000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range conns {
		c := b.handshake(bm, "")
		c.r = nil
		b.up(bm)
	}
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&after)
	for bm.Loop() {
	}
	bm.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/conns, "heap-B/conn")
	bm.ReportMetric((float64(after.StackInuse)-float64(before.StackInuse))/conns, "stack-B/conn")
	bm.ReportMetric(float64(runtime.NumGoroutine())/conns, "goroutines/conn")
}
