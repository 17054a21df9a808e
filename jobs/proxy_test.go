package jobs_test

import (
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A proxy stands between clients and Redis and makes trouble: it cuts connections when a reply comes back,
// so that the command was executed and nobody knows, or holds everything up.
type proxy struct {
	listener net.Listener
	target   string
	cut      atomic.Int64 // replies in a thousand
	cuts     atomic.Int64
	age      atomic.Int64  // how often hang was called
	gone     chan struct{} // closed: the proxy ends

	mu     sync.Mutex
	gate   chan struct{} // closed: open
	conns  map[net.Conn]struct{}
	closed bool
	ended  sync.WaitGroup
}

func newProxy(t testing.TB, url string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: strings.TrimPrefix(url, "redis://"), gate: make(chan struct{}), gone: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	close(p.gate)
	p.ended.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) url() string { return "redis://" + p.listener.Addr().String() }

// hold stops all traffic; let lets it go on.
func (p *proxy) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *proxy) let() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// hang makes all connections there are fall silent for good, without closing them. New ones work.
func (p *proxy) hang() { p.age.Add(1) }

func (p *proxy) close() {
	p.let()
	close(p.gone)
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.ended.Wait()
}

func (p *proxy) track(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		c.Close()
	}
	p.conns[c] = struct{}{}
}

func (p *proxy) accept() {
	for {
		down, err := p.listener.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", p.target)
		if err != nil {
			down.Close()
			continue
		}
		p.track(down)
		p.track(up)
		age := p.age.Load()
		p.ended.Go(func() { p.pass(up, down, false, age) })
		p.ended.Go(func() { p.pass(down, up, true, age) })
	}
}

func (p *proxy) pass(to, from net.Conn, replies bool, age int64) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		p.mu.Lock()
		gate := p.gate
		p.mu.Unlock()
		<-gate
		if p.age.Load() != age {
			<-p.gone
			return
		}
		if replies && rand.Int64N(1000) < p.cut.Load() {
			p.cuts.Add(1)
			return
		}
		if _, err := to.Write(buf[:n]); err != nil && err != io.EOF {
			return
		}
	}
}
