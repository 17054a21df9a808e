package zeromq

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
)

const inprocNetwork = "inproc"

var errNoInproc = errors.New("inproc:// needs Options.Inproc")

// Inproc is where the sockets of one process find each other by inproc:// names, as libzmq's context is.
// The zero value is ready. Who dials may come before who listens.
type Inproc struct {
	mu        sync.Mutex
	listeners map[string]*inprocListener
}

func (n *Inproc) listen(name string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[name] != nil {
		return nil, fmt.Errorf("inproc://%s is in use", name)
	}
	if n.listeners == nil {
		n.listeners = map[string]*inprocListener{}
	}
	l := &inprocListener{space: n, name: name, conns: make(chan net.Conn), done: make(chan struct{})}
	n.listeners[name] = l
	return l, nil
}

func (n *Inproc) dial(name string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[name]
	n.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("inproc://%s: nobody listens", name)
	}
	near, far := newMemoryPipe(l.Addr())
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, fmt.Errorf("inproc://%s: closed", name)
	}
}

type inprocListener struct {
	space *Inproc
	name  string
	conns chan net.Conn
	done  chan struct{}
}

func (l *inprocListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *inprocListener) Close() error {
	l.space.mu.Lock()
	defer l.space.mu.Unlock()
	if l.space.listeners[l.name] == l {
		delete(l.space.listeners, l.name)
		close(l.done)
	}
	return nil
}

func (l *inprocListener) Addr() net.Addr { return inprocAddr(l.name) }

type inprocAddr string

func (inprocAddr) Network() string  { return inprocNetwork }
func (a inprocAddr) String() string { return string(a) }

// parseAnyEndpoint is parseEndpoint that knows inproc://name too.
func parseAnyEndpoint(s string) (endpoint, error) {
	if name, ok := strings.CutPrefix(s, "inproc://"); ok && name != "" {
		return endpoint{inprocNetwork, name}, nil
	}
	return parseEndpoint(s)
}
