package agents_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

// TestStartAndStop: an agent that has stopped leaves nothing behind. It counts goroutines, so nothing runs
// beside it.
func TestStartAndStop(t *testing.T) {
	before := runtime.NumGoroutine()
	for i := range 5 {
		r := run(t, config(), nil)
		c := r.login(t, "ann")
		c.direct("1", "ann", "to myself")
		c.saying("to myself")
		idle, err := net.Dial("tcp", strings.TrimPrefix(r.at.HTTP, "http://")) // says nothing
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := r.stop(); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("run %d took %v to stop with nothing to do", i, took)
		}
		if reason := c.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" }).str("reason"); reason != "Drain" {
			t.Errorf("run %d: the reason is %q", i, reason)
		}
		_ = c.Close()
		_ = idle.Close()
	}
	eventually(t, "goroutines ended", func() bool { return runtime.NumGoroutine() <= before })
}

func TestRunsOnce(t *testing.T) {
	t.Parallel()
	r := run(t, config(), nil)
	if err := r.Run(t.Context()); err == nil {
		t.Error("a second Run returned no error")
	}
	r.login(t, "ann") // the first goes on
}

// TestEndsBeforeItStarted: a context that has ended already is an orderly stop, and never ready.
func TestEndsBeforeItStarted(t *testing.T) {
	t.Parallel()
	cfg := config()
	cfg.Ready = func(agents.Addresses) { t.Error("it said that it is ready") }
	a, err := agents.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := a.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPortInUse: the error names the address, and what was bound before it is free again.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for name, occupy := range map[string]func(c *agents.Config){
		"http":   func(c *agents.Config) { c.HTTP = taken.Addr().String() },
		"zeromq": func(c *agents.Config) { c.ZeroMQ = append(c.ZeroMQ, "tcp://"+taken.Addr().String()) },
		"broker": func(c *agents.Config) { c.EmbeddedAddr = taken.Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			first := free.Addr().String()
			_ = free.Close()
			cfg := config()
			cfg.ZeroMQ = []string{"tcp://" + first}
			occupy(&cfg)
			a, err := agents.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			err = a.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "in use") {
				t.Errorf("Run returned %v", err)
			}
			again, err := net.Listen("tcp", first)
			if err != nil {
				t.Fatalf("the socket that could be bound was not closed: %v", err)
			}
			_ = again.Close()
		})
	}
}

// TestNoBroker: an agent whose broker does not answer says so and ends.
func TestNoBroker(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	cfg := config()
	cfg.Redis = "redis://user:hunter2@" + addr
	a, err := agents.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = a.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "does not answer; is it running") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Run returned %v", err)
	}
}

// TestPartBreaks: when a part of the agent fails for good, Run ends with its error instead of going on
// without that part. Here Redis refuses to say which sessions are revoked.
func TestPartBreaks(t *testing.T) {
	t.Parallel()
	redis := testredis.Start(t)
	cfg := config()
	cfg.Redis = redis.URL
	r := run(t, cfg, nil)
	c := r.login(t, "ann")
	spoil(t, redis.Addr, "{m:sr}")
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the agent goes on")
	}
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "WRONGTYPE") {
		t.Errorf("Run returned %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	if _, err := agents.New(agents.Config{}); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	for want, c := range map[string]agents.Config{
		"Name must":         {Name: strings.Repeat("n", 129)},
		"Name must be":      {Name: "a\nb"},
		"MaxMessage must":   {MaxMessage: 200 << 10},
		"MaxMessage":        {MaxMessage: 10},
		"Window must":       {Window: -1},
		"Queue must":        {Queue: -1},
		"BindTimeout must":  {BindTimeout: -1},
		"Lease must":        {Lease: -1},
		"DrainWithin must":  {DrainWithin: -1},
		"HistoryFor must":   {HistoryFor: -1},
		"Workers must":      {Workers: -1},
		"GlobalBurst":       {GlobalBurst: -1},
		"Dev needs HTTP":    {Dev: true},
		"Dev lets":          {Dev: true, HTTP: "0.0.0.0:80"},
		"EmbeddedAddr must": {EmbeddedAddr: "0.0.0.0:0"},
		"unencrypted":       {ZeroMQ: []string{"tcp://0.0.0.0:5555"}},
		"would carry":       {ZeroMQ: []string{"tcp://*:5555"}},
		"sessions":          {ZeroMQ: []string{"tcp://localhost.example.com:5555"}},
		"each other":        {NotifyPub: []string{"tcp://127.0.0.1:0"}},
		"NotifySub on":      {NotifyPub: []string{"tcp://127.0.0.1:0"}, NotifySub: []string{"tcp://*:0"}},
		"NotifyPub: ":       {NotifyPub: []string{"127.0.0.1:0"}, NotifySub: []string{"tcp://127.0.0.1:0"}},
		"CurveServer":       {Security: zeromq.Security{CurveServer: &zeromq.CurveServer{}}},
	} {
		t.Run(want, func(t *testing.T) {
			if _, err := agents.New(c); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("New: got %v, want an error with %q", err, want)
			}
		})
	}
	_, secret := curve.GenerateKeyPair()
	encrypted := zeromq.Security{CurveServer: &zeromq.CurveServer{Secret: secret, Authorise: curve.AnyKey}}
	for _, c := range []agents.Config{
		{ZeroMQ: []string{"tcp://0.0.0.0:5555"}, Insecure: true},
		{ZeroMQ: []string{"tcp://0.0.0.0:5555"}, Security: encrypted},
		{ZeroMQ: []string{"tcp://[::1]:5555", "tcp://localhost:5555", "ipc:///run/mesh.sock"}},
		{GlobalRate: -1}, {SessionTTL: -1}, {History: -1},
	} {
		if _, err := agents.New(c); err != nil {
			t.Errorf("New(%+v): %v", fmt.Sprint(c.ZeroMQ), err)
		}
	}
}

// spoil puts a text where the agent expects something else.
func spoil(tb testing.TB, addr, key string) {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "DEL %s\r\nSET %s text\r\n", key, key); err != nil {
		tb.Fatal(err)
	}
	buf := make([]byte, 64)
	for got := ""; !strings.Contains(got, "+OK"); {
		n, err := conn.Read(buf)
		if err != nil {
			tb.Fatalf("spoiling %s: %q, %v", key, got, err)
		}
		got += string(buf[:n])
	}
}
