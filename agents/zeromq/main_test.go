package zeromq_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/internal/leaktest"
)

func TestMain(m *testing.M) {
	if order := os.Getenv(childOrder); order != "" {
		if err := obey(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

const patience = 30 * time.Second

// testRouter is a Router that runs until the test ends.
type testRouter struct {
	*zeromq.Router
	url    string
	events chan zeromq.Event
	ended  chan error
	stop   context.CancelFunc
}

// startRouter runs a Router; what it receives goes to onMessage, which releases nothing itself.
func startRouter(t testing.TB, cfg zeromq.RouterConfig, onMessage func(zeromq.Message)) *testRouter {
	t.Helper()
	if cfg.Bind == nil {
		cfg.Bind = []string{"tcp://127.0.0.1:0"}
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	router, err := zeromq.NewRouter(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := router.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &testRouter{Router: router, url: router.Addrs()[0], events: make(chan zeromq.Event, 1<<14), ended: make(chan error, 1), stop: stop}
	messages := router.Messages().Subscribe(context.Background(), func(m zeromq.Message) { onMessage(m) }, nil, nil)
	events := router.Events().Subscribe(context.Background(), func(e zeromq.Event) {
		select {
		case r.events <- e:
		default: // nobody looks
		}
	}, nil, nil)
	go func() { r.ended <- router.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-r.ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
		<-messages.Done()
		<-events.Done()
	})
	return r
}

func (r *testRouter) address() string { return strings.TrimPrefix(r.url, "tcp://") }

// await returns the first event of this kind; the ones before it are dropped.
func (r *testRouter) await(t testing.TB, kind zeromq.EventKind) zeromq.Event {
	t.Helper()
	timer := time.After(patience)
	for {
		select {
		case e := <-r.events:
			if e.Kind == kind {
				return e
			}
		case <-timer:
			t.Fatalf("no %v", kind)
		}
	}
}

func echo(m zeromq.Message) {
	m.Peer.Release(1)
	m.Peer.Send(m.Frames...)
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// python is a peer.py process.
type python struct {
	*exec.Cmd
	lines *bufio.Scanner
}

func startPython(t testing.TB, args ...string) *python {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"testdata/peer.py"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; apt-get install python3-zmq", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return &python{cmd, bufio.NewScanner(out)}
}

func (p *python) line(t testing.TB) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("python peer ended: %v; if it cannot import zmq: apt-get install python3-zmq", p.lines.Err())
	}
	return p.lines.Text()
}

// dialRaw opens a TCP connection that the test speaks bytes on.
func dialRaw(t testing.TB, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// runWithListener runs an echo Router on l until the test ends; what it logs can be read.
func runWithListener(t testing.TB, l net.Listener) (logged func() string) {
	t.Helper()
	var log safeBuffer
	router, err := zeromq.NewRouter(zeromq.RouterConfig{
		Bind: []string{"tcp://127.0.0.1:0"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	router.UseListener(l)
	ctx, stop := context.WithCancel(context.Background())
	messages := router.Messages().Subscribe(context.Background(), echo, nil, nil)
	ended := make(chan error, 1)
	go func() { ended <- router.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		<-messages.Done()
	})
	return log.String
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
