package zeromq

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

const (
	takeBytes = 128 << 10 // written at most, but for a single message, between two looks at the commands that wait

	maxIdleQueue = 256 // elements that an idle queue keeps room for
)

// outbox is the bounded queue in front of one connection, and its writer: a goroutine that exists only
// while there is something to write, and hands all that has gathered to the kernel in few calls.
type outbox struct {
	maxCount, maxBytes int
	timeout            time.Duration // of one write that makes no progress; 0 means for ever
	buffers            *buffers
	failed             func(error) // called by the writer, which ends; must not wait for it
	wrote              func(n int) // called by the writer after n messages; may be nil

	writer sync.WaitGroup

	mu       sync.Mutex
	conn     net.Conn      // nil: messages wait
	deadline time.Time     // of conn, for writes
	sealer   *curve.Sealer // of conn; nil: frames travel as they are
	queue    []parcel      // the writer reads the taken ones, so only it moves elements
	taken    int           // parcels that are being written
	count    int           // messages in queue
	bytes    int           // of them, on the wire
	commands []byte        // encoded; they overtake messages, never cut one
	writing  bool
	draining bool // refuses more, writes what is queued
	closed   bool
	idle     chan struct{} // closed when nothing is left; nil: nobody asked
}

// backlog counts the messages that have not been written.
func (o *outbox) backlog() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count
}

func (o *outbox) backlogBytes() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes
}

// push queues a message. A message larger than the whole limit is taken by an empty queue. Of one that is
// longer than maxCopied the bodies are kept, not the list of them; of others nothing is.
func (o *outbox) push(frames [][]byte) error { return o.pushUpTo(frames, o.maxCount) }

// pushUpTo is push with a limit of its own on the number of messages.
func (o *outbox) pushUpTo(frames [][]byte, maxCount int) error {
	if len(frames) == 0 {
		return ErrNoFrames
	}
	size := wireSize(frames)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitLocked(1, size, maxCount); err != nil {
		return err
	}
	if size > maxCopied {
		o.queue = append(o.queue, parcel{frames: slices.Clone(frames), count: 1, size: size})
	} else {
		p := o.parcelLocked(size)
		*p.encoded = appendMessage(*p.encoded, frames)
		p.count++
		p.size += size
	}
	o.startLocked()
	return nil
}

// pushEncoded queues count messages, encoded, of bufferCap bytes at most, all or none.
func (o *outbox) pushEncoded(encoded []byte, count int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err := o.admitLocked(count, len(encoded), o.maxCount); err != nil {
		return err
	}
	p := o.parcelLocked(len(encoded))
	*p.encoded = append(*p.encoded, encoded...)
	p.count += count
	p.size += len(encoded)
	o.startLocked()
	return nil
}

// pushFirst queues encoded messages one by one until there is no room; it returns how many those were.
func (o *outbox) pushFirst(encoded []byte) (count int) {
	for len(encoded) > 0 {
		end := 0
		for more := true; more; {
			h, n := parseHeader(encoded[end:])
			end += n + int(h.size)
			more = h.flags&flagMore != 0
		}
		if o.pushEncoded(encoded[:end], 1) != nil {
			break
		}
		encoded = encoded[end:]
		count++
	}
	return count
}

// admitLocked counts messages, if there is room for them.
func (o *outbox) admitLocked(count, size, maxCount int) error {
	if o.closed || o.draining {
		return ErrClosed
	}
	if count > maxCount-o.count || (o.count > 0 && o.bytes+size > o.maxBytes) {
		return ErrFull
	}
	o.count += count
	o.bytes += size
	return nil
}

// parcelLocked returns one that takes size more bytes.
func (o *outbox) parcelLocked(size int) *parcel {
	if n := len(o.queue); n > o.taken && o.queue[n-1].takes(size) {
		return &o.queue[n-1]
	}
	busy := o.writing || len(o.queue) > 0
	if n := len(o.queue); n > 0 && o.queue[n-1].encoded == nil {
		busy = false // a word between long messages must not take much more than it counts for
	}
	o.queue = append(o.queue, parcel{encoded: o.buffers.get(size, busy)})
	return &o.queue[len(o.queue)-1]
}

// hasRoom reports whether another message might be queued.
func (o *outbox) hasRoom() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.count < o.maxCount && o.bytes < o.maxBytes
}

// reset discards what is queued; there must be no connection.
func (o *outbox) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.discardLocked()
	o.stopLocked()
}

func (o *outbox) discardLocked() {
	for i := range o.queue {
		if p := &o.queue[i]; p.encoded != nil {
			o.buffers.put(p.encoded)
		}
	}
	clear(o.queue)
	o.queue, o.count, o.bytes = o.queue[:0], 0, 0
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
	o.conn, o.sealer, o.deadline = conn, sealer, time.Time{}
	if len(o.queue) > 0 || len(o.commands) > 0 {
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
		if !o.writing && (o.closed || len(o.queue) == 0) {
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
		o.discardLocked()
		o.queue, o.commands = nil, nil
	}
	if o.idle != nil && (o.closed || len(o.queue) == 0) {
		select {
		case <-o.idle:
		default:
			close(o.idle)
		}
	}
}

func (o *outbox) write() {
	var w writer
	for {
		commands, parcels := o.take(&w)
		if w.conn == nil {
			return
		}
		w.write(commands, parcels)
		err := w.err
		sent := o.done(&w, len(parcels))
		if o.wrote != nil && sent > 0 {
			o.wrote(sent)
		}
		if err != nil {
			o.failed(err)
			return
		}
	}
}

// take returns what w is to write next; without a connection in w the goroutine ends.
func (o *outbox) take(w *writer) ([]byte, []parcel) {
	o.mu.Lock()
	defer o.mu.Unlock()
	w.conn = nil
	if o.closed || o.conn == nil || (len(o.queue) == 0 && len(o.commands) == 0) {
		o.stopLocked()
		return nil, nil
	}
	w.conn, w.sealer, w.timeout, w.deadline, w.buffers = o.conn, o.sealer, o.timeout, o.deadline, o.buffers
	commands := o.commands
	o.commands = nil
	for bytes := 0; o.taken < len(o.queue) && (o.taken == 0 || bytes+o.queue[o.taken].size <= takeBytes); o.taken++ {
		bytes += o.queue[o.taken].size
	}
	return commands, o.queue[:o.taken]
}

// done removes what w has written of the parcels taken and returns how many messages that are. After an
// error the rest stays: a message of which the peer has only a part has not been received.
func (o *outbox) done(w *writer, parcels int) (sent int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.deadline = w.deadline
	whole := 0
	for ; whole < parcels; whole++ {
		p := &o.queue[whole]
		if w.err != nil && !w.wrote(p) {
			break
		}
		sent += p.count
		o.bytes -= p.size
		if p.encoded != nil {
			o.buffers.put(p.encoded)
		}
	}
	if whole < parcels && o.queue[whole].encoded != nil {
		p := &o.queue[whole]
		count, size := p.split(w.written, w.sealer != nil)
		p.count -= count
		p.from += size
		p.size -= size
		sent += count
		o.bytes -= size
	}
	o.count -= sent
	n := copy(o.queue, o.queue[whole:])
	clear(o.queue[n:])
	o.queue, o.taken = o.queue[:n], 0
	if w.err != nil {
		o.conn = nil
		o.stopLocked()
	}
	return sent
}
