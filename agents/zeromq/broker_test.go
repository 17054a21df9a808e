package zeromq_test

import (
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

type testBroker struct {
	*zeromq.Broker
	pub, sub []string
	stop     func()
}

func startBroker(t testing.TB, cfg zeromq.BrokerConfig) testBroker {
	t.Helper()
	if cfg.Pub == nil {
		cfg.Pub, cfg.Sub = []string{"tcp://127.0.0.1:0"}, []string{"tcp://127.0.0.1:0"}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	ready := make(chan testBroker, 1)
	cfg.Ready = func(pub, sub []string) { ready <- testBroker{pub: pub, sub: sub} }
	broker, err := zeromq.NewBroker(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, broker)
	select {
	case b := <-ready:
		b.Broker, b.stop = broker, stop
		return b
	case <-time.After(patience):
		t.Fatal("the broker is never ready")
		return testBroker{}
	}
}

// publisher is an XPUB, so that the test sees what is asked for.
func (b testBroker) publisher(t testing.TB) *zeromq.Socket {
	t.Helper()
	return dialled(t, zmq4.XPub, zeromq.Options{SendHWM: -1}, b.pub[0])
}

func (b testBroker) subscriber(t testing.TB, topics ...string) *zeromq.Socket {
	t.Helper()
	s := dialled(t, zmq4.Sub, zeromq.Options{}, b.sub[0])
	for _, topic := range topics {
		if err := s.Subscribe(topic); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestBrokerPassesByPrefix(t *testing.T) {
	t.Parallel()
	b := startBroker(t, zeromq.BrokerConfig{})
	pub := b.publisher(t)
	game := b.subscriber(t, "game")
	want(t, pub, "\x01game")
	all := b.subscriber(t, "")
	want(t, pub, "\x01")
	put(t, pub, "game", "\x00", "hello")
	put(t, pub, "news", "\x00", "\xff\x00")
	put(t, pub, "", "\x00", "1")
	put(t, pub, "gameover", "\x00", "x", "y")
	want(t, game, "game", "\x00", "hello")
	want(t, game, "gameover", "\x00", "x", "y")
	want(t, all, "game", "\x00", "hello")
	want(t, all, "news", "\x00", "\xff\x00")
	want(t, all, "", "\x00", "1")
	want(t, all, "gameover", "\x00", "x", "y")
	if s := b.Stats(); s.Publishers != 1 || s.Subscribers != 2 || s.Topics != 2 || s.Passed != 4 || s.Dropped != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A subscription is known to publishers that come later, and gone with its last subscriber.
func TestBrokerLateComers(t *testing.T) {
	t.Parallel()
	b := startBroker(t, zeromq.BrokerConfig{})
	first, second := b.subscriber(t, "a"), b.subscriber(t, "a")
	eventually(t, "both are connected", func() bool { return b.Stats().Subscribers == 2 })
	pub := b.publisher(t)
	want(t, pub, "\x01a")
	if err := first.Unsubscribe("a"); err != nil { // one of two
		t.Fatal(err)
	}
	third := b.subscriber(t, "b")
	want(t, pub, "\x01b")
	put(t, pub, "a", "1")
	want(t, second, "a", "1")
	second.Close()
	want(t, pub, "\x00a")
	third.Unsubscribe("b")
	want(t, pub, "\x00b")
	late := b.publisher(t)
	fourth := b.subscriber(t, "c")
	want(t, late, "\x01c")
	want(t, pub, "\x01c")
	put(t, late, "c", "2")
	want(t, fourth, "c", "2")
	pub.Close() // no harm to the others
	eventually(t, "one publisher is left", func() bool { return b.Stats().Publishers == 1 })
	put(t, late, "c", "3")
	want(t, fourth, "c", "3")
}

func TestBrokerWaitsForNobody(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := startBroker(t, zeromq.BrokerConfig{
		QueueMessages: 16, Pub: []string{"tcp://127.0.0.1:0", "ipc://" + filepath.Join(dir, "pub")},
		Sub: []string{"ipc://" + filepath.Join(dir, "sub"), "tcp://127.0.0.1:0"},
	})
	if len(b.pub) != 2 || len(b.sub) != 2 {
		t.Fatalf("bound %q and %q", b.pub, b.sub)
	}
	pub := dialled(t, zmq4.XPub, zeromq.Options{}, b.pub[1])
	good := b.subscriber(t, "good", "big")
	stuck := dialled(t, zmq4.Sub, zeromq.Options{RecvHWM: 1}, b.sub[1])
	stuck.Subscribe("stuck")
	for range 3 {
		if _, err := pub.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	body := strings.Repeat("x", 256<<10)
	for n := 0; b.Stats().Dropped == 0; n++ {
		if n == 1000 {
			t.Fatal("the stuck subscriber takes everything")
		}
		put(t, pub, "stuck", body)
		put(t, pub, "good", strconv.Itoa(n))
		want(t, good, "good", strconv.Itoa(n))
	}
}

func TestBrokerFlushesAtTheEnd(t *testing.T) {
	t.Parallel()
	b := startBroker(t, zeromq.BrokerConfig{Linger: patience})
	pub, sub := b.publisher(t), b.subscriber(t, "")
	want(t, pub, "\x01")
	const n = 5000
	for i := range n {
		put(t, pub, "t", strconv.Itoa(i))
	}
	eventually(t, "all is passed", func() bool { return b.Stats().Passed == n })
	received := make(chan error, 1)
	go func() {
		for i := range n {
			m, err := sub.Recv()
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
	b.stop()
	if err := <-received; err != nil {
		t.Error(err)
	}
}

func TestBrokerConfig(t *testing.T) {
	t.Parallel()
	any1 := []string{"tcp://127.0.0.1:0"}
	for _, c := range []struct {
		cfg  zeromq.BrokerConfig
		want string
	}{
		{zeromq.BrokerConfig{Sub: any1}, "Pub: no endpoint"},
		{zeromq.BrokerConfig{Pub: any1}, "Sub: no endpoint"},
		{zeromq.BrokerConfig{Pub: any1, Sub: []string{"udp://x"}}, "Sub: "},
		{zeromq.BrokerConfig{Pub: any1, Sub: any1, QueueMessages: -1}, "QueueMessages"},
		{zeromq.BrokerConfig{Pub: any1, Sub: any1, MaxParts: -1}, "MaxParts"},
		{zeromq.BrokerConfig{Pub: any1, Sub: any1, Security: zeromq.Security{PlainServer: true}}, "Security"},
	} {
		if _, err := zeromq.NewBroker(c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
	b := startBroker(t, zeromq.BrokerConfig{})
	if err := b.Run(t.Context()); err == nil {
		t.Error("it runs twice")
	}
	taken, err := zeromq.NewBroker(zeromq.BrokerConfig{Pub: b.pub, Sub: any1})
	if err != nil {
		t.Fatal(err)
	}
	if err := taken.Run(t.Context()); err == nil || !strings.Contains(err.Error(), b.pub[0]) {
		t.Errorf("bound twice: %v", err)
	}
	if pub, sub := b.Addrs(); len(pub) != 1 || pub[0] != b.pub[0] || len(sub) != 1 || sub[0] != b.sub[0] {
		t.Errorf("addresses %q and %q", pub, sub)
	}
}
