package zeromq

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const memoryPipeSize = 64 << 10 // bytes that one direction holds

// memoryConn is one end of a connection inside the process. Other than net.Pipe's it has buffers, so two
// ends that write first do not wait for each other, and it can be closed for writing alone.
type memoryConn struct {
	in, out *memoryStream
	addr    net.Addr
}

func newMemoryPipe(addr net.Addr) (near, far net.Conn) {
	a, b := newMemoryStream(), newMemoryStream()
	return &memoryConn{a, b, addr}, &memoryConn{b, a, addr}
}

func (c *memoryConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *memoryConn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *memoryConn) CloseWrite() error {
	c.out.finish()
	return nil
}

func (c *memoryConn) Close() error {
	c.out.finish()
	c.in.breakOff()
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr  { return c.addr }
func (c *memoryConn) RemoteAddr() net.Addr { return c.addr }

func (c *memoryConn) SetDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	c.out.writeBy.set(c.out, t)
	return nil
}

func (c *memoryConn) SetReadDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	return nil
}

func (c *memoryConn) SetWriteDeadline(t time.Time) error {
	c.out.writeBy.set(c.out, t)
	return nil
}

// memoryStream is one direction.
type memoryStream struct {
	mu       sync.Mutex
	changed  sync.Cond
	buf      []byte
	finished bool // by its writer
	broken   bool // by its reader
	readBy   memoryDeadline
	writeBy  memoryDeadline
}

func newMemoryStream() *memoryStream {
	s := &memoryStream{}
	s.changed.L = &s.mu
	return s
}

// memoryDeadline is guarded by the mutex of its stream.
type memoryDeadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *memoryDeadline) set(s *memoryStream, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.at = t; !t.IsZero() {
		d.timer = time.AfterFunc(time.Until(t), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.changed.Broadcast()
		})
	}
	s.changed.Broadcast()
}

func (d *memoryDeadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (s *memoryStream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.broken:
			return 0, net.ErrClosed
		case s.readBy.passed():
			return 0, os.ErrDeadlineExceeded
		case len(s.buf) > 0:
			n := copy(p, s.buf)
			s.buf = s.buf[:copy(s.buf, s.buf[n:])]
			s.changed.Broadcast()
			return n, nil
		case s.finished:
			return 0, io.EOF
		}
		s.changed.Wait()
	}
}

func (s *memoryStream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.finished:
			return n, net.ErrClosed
		case s.broken:
			return n, io.ErrClosedPipe
		case s.writeBy.passed():
			return n, os.ErrDeadlineExceeded
		}
		m := min(len(p), memoryPipeSize-len(s.buf))
		s.buf = append(s.buf, p[:m]...)
		n, p = n+m, p[m:]
		s.changed.Broadcast()
		if len(p) == 0 {
			return n, nil
		}
		s.changed.Wait()
	}
}

func (s *memoryStream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.stopLocked()
}

func (s *memoryStream) breakOff() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.buf = true, nil
	s.stopLocked()
}

func (s *memoryStream) stopLocked() {
	if s.finished && s.broken {
		for _, d := range []*memoryDeadline{&s.readBy, &s.writeBy} {
			if d.timer != nil {
				d.timer.Stop()
			}
		}
	}
	s.changed.Broadcast()
}
