package zeromq

import (
	"net"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

const (
	takeBytes = 256 << 10 // encoded at most between two looks at the commands that wait
	takeCount = 4096
	bigFrame  = 8 << 10 // written from where it lies instead of being copied
	bufferCap = 32 << 10

	maxIdleQueue = 256 // elements that an idle queue keeps room for
)

// outbox is the bounded queue in front of one connection, and its writer: a goroutine that exists only
// while there is something to write, and hands all that has gathered to the kernel in few calls.
type outbox struct {
	maxCount, maxBytes int
	timeout            time.Duration // of one write that makes no progress; 0 means for ever
	buffers            *sync.Pool    // of *[]byte, bufferCap each
	failed             func(error)   // called by the writer, which ends; must not wait for it
	wrote              func(n int)   // called by the writer after n messages; may be nil

	writer sync.WaitGroup

	mu       sync.Mutex
	conn     net.Conn      // nil: messages wait
	sealer   *curve.Sealer // of conn; nil: frames travel as they are
	queue    []queued      // from head on; the writer reads the part it took, so only it moves elements
	head     int
	bytes    int
	commands []byte // encoded; they overtake messages, never cut one
	writing  bool
	draining bool // refuses more, writes what is queued
	closed   bool
	idle     chan struct{} // closed when nothing is left; nil: nobody asked
}

type queued struct {
	frames [][]byte
	size   int
}

// backlog counts the messages that the writer has not taken.
func (o *outbox) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue) - o.head
}

func (o *outbox) backlogBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// push queues a message. A message larger than the whole limit is taken by an empty queue.
func (o *outbox) push(frames [][]byte) error { return o.pushUpTo(frames, o.maxCount) }

// pushUpTo is push with a limit of its own on the number of messages.
func (o *outbox) pushUpTo(frames [][]byte, maxCount int) error {
	if len(frames) == 0 {
		return ErrNoFrames
	}
	size := wireSize(frames)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.draining {
		return ErrClosed
	}
	if n := len(o.queue) - o.head; n >= maxCount || (n > 0 && o.bytes+size > o.maxBytes) {
		return ErrFull
	}
	o.queue = append(o.queue, queued{frames, size})
	o.bytes += size
	o.startLocked()
	return nil
}

// hasRoom reports whether another message might be queued.
func (o *outbox) hasRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)-o.head < o.maxCount && o.bytes < o.maxBytes
}

// reset discards what is queued; there must be no connection.
func (o *outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.queue)
	o.queue, o.head, o.bytes = o.queue[:0], 0, 0
	o.stopLocked()
}

// onFailure replaces failed; there must be no connection.
func (o *outbox) onFailure(failed func(error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.failed = failed
}

// command queues a command frame ahead of the messages. It reports false when the earlier ones have not
// left yet: a peer that asks and does not read gets no more memory.
func (o *outbox) command(name string, body []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || len(o.commands) > 4*maxCommand {
		return false
	}
	o.commands = appendCommand(o.commands, name, body)
	o.startLocked()
	return true
}

// attach gives the outbox a connection, and what seals its frames or nil; what waits is written.
func (o *outbox) attach(conn net.Conn, sealer *curve.Sealer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conn, o.sealer = conn, sealer
	if len(o.queue) > o.head || len(o.commands) > 0 {
		o.startLocked()
	}
}

// detach takes the connection away and waits for the writer. The caller has closed the connection.
func (o *outbox) detach() {
	o.mu.Lock()
	o.conn, o.sealer, o.commands = nil, nil, nil
	o.mu.Unlock()
	o.writer.Wait()
}

func (o *outbox) startLocked() {
	if o.writing || o.conn == nil || o.closed {
		return
	}
	o.writing = true
	o.writer.Go(o.write) // joined by detach and wait
}

// drain refuses more and returns a channel that is closed when all is written or given up.
func (o *outbox) drain() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.draining = true
	if o.idle == nil {
		o.idle = make(chan struct{})
		if !o.writing && (o.closed || len(o.queue) == o.head) {
			close(o.idle)
		}
	}
	return o.idle
}

// close discards the queue. It does not wait for the writer; that is wait, after closing the connection.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return
	}
	o.closed = true
	if !o.writing {
		o.stopLocked()
	}
}

func (o *outbox) wait() { o.writer.Wait() }

// stopLocked is the writer's end: nothing to do, or nowhere to write it.
func (o *outbox) stopLocked() {
	o.writing = false
	if len(o.queue) == 0 && cap(o.queue) > maxIdleQueue {
		o.queue = nil
	}
	if o.closed {
		o.queue, o.head, o.bytes, o.commands = nil, 0, 0, nil
	}
	if o.idle != nil && (o.closed || len(o.queue) == o.head) {
		select {
		case <-o.idle:
		default:
			close(o.idle)
		}
	}
}

func (o *outbox) write() {
	for {
		w, commands, batch := o.take()
		if w.conn == nil {
			return
		}
		sent, err := o.flush(w, commands, batch)
		o.done(sent, err)
		if o.wrote != nil && sent > 0 {
			o.wrote(sent)
		}
		if err != nil {
			o.failed(err)
			return
		}
	}
}

// take returns what to write next; one without a connection ends the goroutine.
func (o *outbox) take() (writer, []byte, []queued) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed || o.conn == nil || (o.head == len(o.queue) && len(o.commands) == 0) {
		o.stopLocked()
		return writer{}, nil, nil
	}
	commands := o.commands
	o.commands = nil
	end, bytes := o.head, 0
	for end < len(o.queue) && end-o.head < takeCount && bytes < takeBytes {
		bytes += o.queue[end].size
		end++
	}
	return writer{conn: o.conn, sealer: o.sealer, timeout: o.timeout}, commands, o.queue[o.head:end]
}

// done removes what was sent. After an error the rest stays: a message of which the peer has only a part
// has not been received.
func (o *outbox) done(sent int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := o.head; i < o.head+sent; i++ {
		o.bytes -= o.queue[i].size
		o.queue[i] = queued{}
	}
	o.head += sent
	switch {
	case o.head == len(o.queue):
		o.queue, o.head = o.queue[:0], 0
	case o.head > len(o.queue)/2:
		n := copy(o.queue, o.queue[o.head:])
		clear(o.queue[n:])
		o.queue, o.head = o.queue[:n], 0
	}
	if err != nil {
		o.conn = nil
		o.stopLocked()
	}
}

// flush writes the commands and the batch and returns how many messages left whole.
func (o *outbox) flush(w writer, commands []byte, batch []queued) (int, error) {
	p := o.buffers.Get().(*[]byte)
	defer o.buffers.Put(p)
	w.buf = (*p)[:0]
	w.commands(commands)
	before := len(w.buf)
	for i := range batch {
		frames := batch[i].frames
		for j, f := range frames {
			var flags byte
			if j < len(frames)-1 {
				flags = flagMore
			}
			if w.frame(flags, f); w.err != nil {
				return w.whole(before, batch), w.err
			}
		}
	}
	if w.flush(); w.err != nil {
		return w.whole(before, batch), w.err
	}
	return len(batch), nil
}

// writer gathers frames into a buffer and long ones into the same system call.
type writer struct {
	conn    net.Conn
	sealer  *curve.Sealer // nil: frames travel as they are
	timeout time.Duration
	buf     []byte
	written int64
	err     error
}

// commands takes encoded commands.
func (w *writer) commands(encoded []byte) {
	if w.sealer == nil {
		w.buf = append(w.buf, encoded...)
		return
	}
	for len(encoded) > 0 && w.err == nil {
		h, n := parseHeader(encoded)
		end := n + int(h.size)
		w.buf, w.err = w.sealer.AppendFrame(w.buf, flagCommand, encoded[n:end])
		encoded = encoded[end:]
	}
}

func (w *writer) frame(flags byte, body []byte) {
	if w.sealer != nil {
		w.sealed(flags, body)
		return
	}
	if len(w.buf)+len(body)+9 > bufferCap {
		w.flush()
	}
	w.buf = appendHeader(w.buf, flags, len(body))
	if len(body) < bigFrame {
		w.buf = append(w.buf, body...)
		return
	}
	w.send(net.Buffers{w.buf, body})
}

// sealed is frame with a box around it. It is written in one piece: the box begins with what proves its end.
func (w *writer) sealed(flags byte, body []byte) {
	if len(w.buf)+curve.SealedSize(len(body)) > bufferCap {
		w.flush()
	}
	if w.err == nil {
		w.buf, w.err = w.sealer.AppendFrame(w.buf, flags, body)
	}
}

func (w *writer) flush() {
	if len(w.buf) > 0 {
		w.send(net.Buffers{w.buf})
	}
}

func (w *writer) send(b net.Buffers) {
	if w.err == nil && w.timeout > 0 {
		w.err = w.conn.SetWriteDeadline(time.Now().Add(w.timeout))
	}
	if w.err == nil {
		var n int64
		if len(b) == 1 {
			var m int
			m, w.err = w.conn.Write(b[0])
			n = int64(m)
		} else {
			n, w.err = b.WriteTo(w.conn)
		}
		w.written += n
	}
	w.buf = w.buf[:0]
}

// whole counts the messages of batch that were written to their last byte.
func (w *writer) whole(before int, batch []queued) int {
	left := w.written - int64(before)
	for i, m := range batch {
		size := m.size
		if w.sealer != nil {
			size = sealedSize(m.frames)
		}
		if left -= int64(size); left < 0 {
			return i
		}
	}
	return len(batch)
}
