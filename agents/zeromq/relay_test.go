package zeromq_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// role is a Relay or a Broker.
type role interface {
	Run(ctx context.Context) error
}

// run runs a role until the test ends, or stop is called.
func run(t testing.TB, r role) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

// startRelay runs a Relay until the test ends and returns where it is.
func startRelay(t testing.TB, cfg zeromq.RelayConfig) (*zeromq.Relay, []string) {
	t.Helper()
	if cfg.Bind == nil {
		cfg.Bind = []string{"tcp://127.0.0.1:0"}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	ready := make(chan []string, 1)
	cfg.Ready = func(addrs []string) { ready <- addrs }
	relay, err := zeromq.NewRelay(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, relay)
	select {
	case addrs := <-ready:
		return relay, addrs
	case <-time.After(patience):
		t.Fatal("the relay is never ready")
		return nil, nil
	}
}

// named is a DEALER that the relay knows already.
func named(t testing.TB, url, name string) *zeromq.Socket {
	t.Helper()
	s := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: name, SendHWM: -1}, url)
	put(t, s, name, "hello")
	want(t, s, name, "hello")
	return s
}

func TestRelaySwapsNames(t *testing.T) {
	t.Parallel()
	relay, addrs := startRelay(t, zeromq.RelayConfig{})
	ann, bob := named(t, addrs[0], "ann"), named(t, addrs[0], "bob\x00\xff")
	for _, rest := range [][]string{
		{"\x01", "hello"},
		{},
		{""},
		{"\x01", "", "", "extra"},
		{"\x00\xff\xfe", strings.Repeat("x", 300_000), "y"},
		strings.Split(strings.Repeat("part,", 1000), ","),
	} {
		put(t, ann, append([]string{"bob\x00\xff"}, rest...)...)
		want(t, bob, append([]string{"ann"}, rest...)...)
		put(t, bob, append([]string{"ann"}, rest...)...)
		want(t, ann, append([]string{"bob\x00\xff"}, rest...)...)
	}
	if s := relay.Stats(); s.Clients != 2 || s.Accepted != 2 || s.In != 14 || s.Passed != 14 || s.Dropped() != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestRelayDropsTheUnroutable(t *testing.T) {
	t.Parallel()
	relay, addrs := startRelay(t, zeromq.RelayConfig{MaxMessage: 1000})
	ann := named(t, addrs[0], "ann")
	put(t, ann, "nobody", "\x01", "hello")
	put(t, ann, "", "\x01", "hello")
	put(t, ann, "")
	put(t, ann, "ann", strings.Repeat("x", 1500))
	put(t, ann, "ann", "still here")
	want(t, ann, "ann", "still here")
	if s := relay.Stats(); s.In != 6 || s.Passed != 2 || s.Unroutable != 3 || s.TooLarge != 1 || s.Full != 0 || s.Dropped() != 4 {
		t.Errorf("stats %+v", s)
	}
}

func TestRelayNamesTheNameless(t *testing.T) {
	t.Parallel()
	_, addrs := startRelay(t, zeromq.RelayConfig{})
	ann := named(t, addrs[0], "ann")
	other := dialled(t, zmq4.Dealer, zeromq.Options{}, addrs[0])
	put(t, other, "ann", "who am I?")
	m, err := ann.Recv()
	if err != nil {
		t.Fatal(err)
	}
	name := string(m.Frames[0])
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("called %q", name)
	}
	put(t, ann, name, "that")
	want(t, other, "ann", "that")
}

func TestRelayKeepsNamesOfTheLiving(t *testing.T) {
	t.Parallel()
	relay, addrs := startRelay(t, zeromq.RelayConfig{})
	ann, bob := named(t, addrs[0], "ann"), named(t, addrs[0], "bob")
	second := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "bob"}, addrs[0])
	eventually(t, "the second bob is refused", func() bool { return relay.Stats().Refused > 0 })
	put(t, ann, "bob", "which one?")
	want(t, bob, "ann", "which one?")
	bob.Close()
	put(t, second, "ann", "now me")
	want(t, ann, "bob", "now me")
	put(t, ann, "bob", "welcome")
	want(t, second, "ann", "welcome")
}

func TestRelayKeepsOrder(t *testing.T) {
	t.Parallel()
	_, addrs := startRelay(t, zeromq.RelayConfig{Bind: []string{
		"tcp://127.0.0.1:0", "ipc://" + filepath.Join(t.TempDir(), "relay"), "tcp://127.0.0.1:*",
	}})
	if len(addrs) != 3 || strings.HasSuffix(addrs[0], ":0") || addrs[0] == addrs[2] {
		t.Fatalf("bound %q", addrs)
	}
	const senders, each = 3, 5000
	sink := named(t, addrs[0], "sink")
	failed := make(chan error, senders)
	for i := range senders {
		name := "sender-" + strconv.Itoa(i)
		s := named(t, addrs[i%len(addrs)], name)
		go func() {
			for n := range each {
				if err := s.SendFrames(t.Context(), []byte("sink"), []byte{1}, []byte(strconv.Itoa(n))); err != nil {
					failed <- err
					return
				}
			}
			failed <- nil
		}()
	}
	next := map[string]int{}
	for range senders * each {
		m, err := sink.Recv()
		if err != nil {
			t.Fatalf("%v, so far %v", err, next)
		}
		from, body := string(m.Frames[0]), string(m.Frames[2])
		if body != strconv.Itoa(next[from]) {
			t.Fatalf("%s sent %s, want %d", from, body, next[from])
		}
		next[from]++
	}
	for range senders {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestRelayWaitsForNobody(t *testing.T) {
	t.Parallel()
	relay, addrs := startRelay(t, zeromq.RelayConfig{QueueMessages: 8})
	ann, bob := named(t, addrs[0], "ann"), named(t, addrs[0], "bob")
	stuck := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "stuck", RecvHWM: 1}, addrs[0])
	put(t, stuck, "ann", "here")
	want(t, ann, "stuck", "here")
	body := bytes.Repeat([]byte("x"), 256<<10)
	for n := 0; relay.Stats().Full == 0; n++ {
		if n == 1000 {
			t.Fatal("the stuck client takes everything")
		}
		if err := ann.SendFrames(t.Context(), []byte("stuck"), body); err != nil {
			t.Fatal(err)
		}
		put(t, ann, "bob", strconv.Itoa(n)) // the very sender is not held back
		want(t, bob, "ann", strconv.Itoa(n))
	}
	if s := relay.Stats(); s.Clients != 3 {
		t.Errorf("clients %d, want 3: the stuck one is not closed yet", s.Clients)
	}
}

func TestRelayClosesTheStuck(t *testing.T) {
	t.Parallel()
	relay, addrs := startRelay(t, zeromq.RelayConfig{WriteTimeout: 100 * time.Millisecond})
	ann := named(t, addrs[0], "ann")
	stuck := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: "stuck", RecvHWM: 1, ReconnectInterval: -1}, addrs[0])
	put(t, stuck, "ann", "here")
	want(t, ann, "stuck", "here")
	for range 64 {
		put(t, ann, "stuck", strings.Repeat("x", 1<<20))
	}
	eventually(t, "the stuck client is closed", func() bool { return relay.Stats().Clients == 1 })
}

func TestRelayFlushesAtTheEnd(t *testing.T) {
	t.Parallel()
	relay, err := zeromq.NewRelay(zeromq.RelayConfig{Bind: []string{"tcp://127.0.0.1:0"}, Linger: patience})
	if err != nil {
		t.Fatal(err)
	}
	if err := relay.Listen(); err != nil {
		t.Fatal(err)
	}
	stop := run(t, relay)
	ann, bob := named(t, relay.Addrs()[0], "ann"), named(t, relay.Addrs()[0], "bob")
	const n = 2000
	for i := range n {
		put(t, ann, "bob", strconv.Itoa(i))
	}
	eventually(t, "all is queued", func() bool { return relay.Stats().Passed == n+2 })
	received := make(chan error, 1)
	go func() {
		for i := range n {
			m, err := bob.Recv()
			if err == nil && string(m.Frames[1]) != strconv.Itoa(i) {
				err = fmt.Errorf("message %d is %q", i, m.Frames)
			}
			if err != nil {
				received <- err
				return
			}
		}
		received <- nil
	}()
	stop()
	if err := <-received; err != nil {
		t.Error(err)
	}
}

func TestRelayConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  zeromq.RelayConfig
		want string
	}{
		{zeromq.RelayConfig{}, "Bind: no endpoint"},
		{zeromq.RelayConfig{Bind: []string{"udp://127.0.0.1:1"}}, "Bind: "},
		{zeromq.RelayConfig{Bind: []string{"tcp://127.0.0.1:0"}, QueueMessages: -1}, "QueueMessages"},
		{zeromq.RelayConfig{Bind: []string{"tcp://127.0.0.1:0"}, Security: zeromq.Security{PlainServer: true}}, "Security"},
	} {
		if _, err := zeromq.NewRelay(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	relay, addrs := startRelay(t, zeromq.RelayConfig{})
	if err := relay.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
	taken, err := zeromq.NewRelay(zeromq.RelayConfig{Bind: addrs})
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Run(t.Context()); err == nil || !strings.Contains(err.Error(), addrs[0]) {
		t.Errorf("bound twice: %v", err)
	}
	if err := relay.Listen(); err == nil || errors.Is(err, zeromq.ErrClosed) {
		t.Errorf("listens twice: %v", err)
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]bool{
		"tcp://127.0.0.1:5555": true, "tcp://127.1.2.3:*": true, "tcp://[::1]:1": true, "tcp://localhost:0": true,
		"ipc:///run/x": true, "inproc://x": true,
		"tcp://*:5555": false, "tcp://0.0.0.0:1": false, "tcp://[::]:1": false, "tcp://10.0.0.1:1": false,
		"tcp://localhost.example.com:1": false, "tcp://:1": false,
	} {
		if got, err := zeromq.Local(endpoint); got != want || err != nil {
			t.Errorf("%s: %v, %v; want %v", endpoint, got, err, want)
		}
	}
	for _, endpoint := range []string{"", "5555", "udp://127.0.0.1:1", "tcp://127.0.0.1"} {
		if local, err := zeromq.Local(endpoint); local || err == nil {
			t.Errorf("%s: %v, %v; want an error", endpoint, local, err)
		}
	}
}

// BenchmarkRelay passes 64 bytes from one client to another: one at a time there and back, and as fast as
// it goes.
func BenchmarkRelay(b *testing.B) {
	b.Run("roundtrip", func(b *testing.B) {
		_, addrs := startRelay(b, zeromq.RelayConfig{})
		ann, bob := named(b, addrs[0], "ann"), named(b, addrs[0], "bob")
		b.ReportAllocs()
		toBob, toAnn, body := []byte("bob"), []byte("ann"), make([]byte, 64)
		for b.Loop() {
			for _, err := range []error{
				ann.SendFrames(b.Context(), toBob, body), takeOne(b, bob), bob.SendFrames(b.Context(), toAnn, body), takeOne(b, ann),
			} {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("oneway", func(b *testing.B) {
		relay, addrs := startRelay(b, zeromq.RelayConfig{QueueMessages: 1 << 30, QueueBytes: 1 << 40})
		ann := dialled(b, zmq4.Dealer, zeromq.Options{RoutingID: "ann"}, addrs[0])
		bob := named(b, addrs[0], "bob")
		receiveAll(b, bob, func(ctx context.Context, body []byte) error { return ann.SendFrames(ctx, []byte("bob"), body) })
		if s := relay.Stats(); s.Dropped() != 0 {
			b.Errorf("stats %v", s)
		}
	})
}

func takeOne(b *testing.B, s *zeromq.Socket) error {
	b.Helper()
	_, err := s.RecvFrames(b.Context())
	return err
}
