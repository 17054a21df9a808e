package zeromq_test

import (
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// proxied starts a broker and returns where publishers and subscribers connect, and how it is stopped.
func proxied(t *testing.T, upper, lower zeromq.Options) (in, out string, start func() (stop func())) {
	t.Helper()
	up, in := bound(t, zmq4.XSub, upper)
	down, out := bound(t, zmq4.XPub, lower)
	return in, out, func() func() {
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- zeromq.Proxy(ctx, up, down) }()
		return func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

func numbered(topic string, n, size int) string {
	b := binary.BigEndian.AppendUint32([]byte(topic), uint32(n))
	return string(b) + strings.Repeat("x", max(size-len(b), 0))
}

// Small messages take the short cut, those that are longer than any buffer cannot; frames of all sizes stay
// in order, whatever their topic, and when the proxy is another one.
func TestProxyKeepsTheOrderOfShortAndLongMessages(t *testing.T) {
	t.Parallel()
	plenty := zeromq.Options{SendHWM: -1, RecvHWM: -1}
	in, out, start := proxied(t, plenty, plenty)
	stop := start()
	pub := dialled(t, zmq4.XPub, plenty, in)
	all, some := dialled(t, zmq4.Sub, plenty, out), dialled(t, zmq4.Sub, plenty, out)
	all.Subscribe("")
	some.Subscribe("ab")
	for range 2 { // in the order in which they came through
		if m, err := pub.Recv(); err != nil || m.Frames[0][0] != 1 {
			t.Fatalf("%q, %v", m.Frames, err)
		}
	}
	topics, sizes := []string{"ab", "abc", "b", "a", ""}, []int{0, 10, 300, 5000, 40_000, 7, 70_000}
	const messages = 1000
	frames := func(n int) []string {
		m := []string{numbered(topics[n/7%len(topics)], n, sizes[n%len(sizes)*(n/200%2)])}
		for i := range n % 3 {
			m = append(m, numbered("", n, i*200))
		}
		return m
	}
	go func() {
		for n := range messages {
			put(t, pub, frames(n)...)
		}
	}()
	for n := range messages {
		want(t, all, frames(n)...)
		if n == messages/2 {
			stop()
			stop = start()
		}
	}
	for n := range messages {
		if m := frames(n); strings.HasPrefix(m[0], "ab") {
			want(t, some, m...)
		}
	}
	stop()
}

func TestProxyDropsForTheOneThatDoesNotRead(t *testing.T) {
	t.Parallel()
	const messages, size = 800, 20_000 // more than kernels buffer
	in, out, start := proxied(t, zeromq.Options{}, zeromq.Options{SendHWM: 100})
	defer start()()
	pub := dialled(t, zmq4.XPub, zeromq.Options{}, in)
	reads, stuck := dialled(t, zmq4.Sub, zeromq.Options{}, out), dialled(t, zmq4.Sub, zeromq.Options{RecvHWM: 1}, out)
	stuck.Subscribe("")
	want(t, pub, "\x01")
	reads.Subscribe("t")
	want(t, pub, "\x01t")
	for n := range messages {
		put(t, pub, numbered("t", n, size))
		want(t, reads, numbered("t", n, size)) // one under way: nothing may be missing
	}
	for last, next := -1, messages; ; next++ {
		m, err := stuck.Recv()
		if err != nil {
			t.Fatal(err)
		}
		n := int(binary.BigEndian.Uint32(m.Frames[0][1:]))
		if n > last+1 {
			return // as it should be
		}
		if n <= last || n >= messages {
			t.Fatalf("message %d after %d, nothing was dropped", n, last)
		}
		last = n
		put(t, pub, numbered("t", next, size)) // now there is room again
	}
}
