package zeromq

import (
	"container/list"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// door is where strangers come in: bounded in number, in connects a second and in handshakes at a time.
type door struct {
	max      int // connections, those in their handshake included
	logger   *slog.Logger
	throttle throttle
	waiting  waitingRoom
	conns    atomic.Int64
}

// accept hands every connection to a goroutine of its own, so no stranger delays the next one.
func (d *door) accept(ctx context.Context, l net.Listener, serve func(net.Conn)) {
	defer l.Close()
	pause := time.Duration(0)
	for {
		conn, err := l.Accept()
		if err == nil {
			pause = 0
			serve(conn)
			continue
		}
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if pause == 0 { // out of descriptors, most likely: say so once, not once for each try
			d.logger.Error("zeromq: cannot accept, trying again", "addr", l.Addr().String(), "err", err)
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		if !sleep(ctx, pause) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// enter counts a connection and reports whether it may stay; leave follows in any case.
func (d *door) enter(conn net.Conn) bool {
	return d.conns.Add(1) <= int64(d.max) && d.throttle.allow(conn.RemoteAddr(), time.Now())
}

func (d *door) leave() { d.conns.Add(-1) }

// remoteAddr names the other end; those of ipc and inproc have no name.
func remoteAddr(conn net.Conn) string {
	switch conn.RemoteAddr().Network() {
	case "unix":
		return "ipc"
	case inprocNetwork:
		return inprocNetwork
	}
	return conn.RemoteAddr().String()
}

// waitingRoom holds the connections whose handshake is under way. When it is full the one that has waited
// longest is closed: honest peers take milliseconds, so silent ones crowd out each other.
type waitingRoom struct {
	max int

	mu     sync.Mutex
	conns  list.List
	closed bool
}

func (w *waitingRoom) enter(conn net.Conn) *list.Element {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
	}
	if w.conns.Len() >= w.max {
		oldest := w.conns.Front()
		w.conns.Remove(oldest)
		oldest.Value.(net.Conn).Close()
	}
	return w.conns.PushBack(conn)
}

func (w *waitingRoom) leave(place *list.Element) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns.Remove(place) // does nothing for one that was pushed out
}

// closeAll closes those inside and those who come later.
func (w *waitingRoom) closeAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for e := w.conns.Front(); e != nil; e = e.Next() {
		e.Value.(net.Conn).Close()
	}
}
