package zeromq

import "sync"

// turnLength is how many messages of one peer may be taken in a row while others wait. Answers to several of
// a peer's messages leave in one system call.
const turnLength = 8

// inbox is what waits for Recv: a lane for each peer, emptied in turn, so that a busy peer takes no more
// than its share. A full lane stops its own reader only.
type inbox struct {
	hwm   int
	ready bell

	mu    sync.Mutex
	first *lane // those that hold something
	last  *lane
}

// item is a received message and where it came from.
type item struct {
	frames [][]byte
	pipe   *pipe // nil for what the socket itself reports
	origin *Origin
}

type lane struct {
	items []item // from head on
	head  int
	next  *lane
	turn  bool // it stands in the inbox's list
	spent int  // messages taken in this turn
	held  bool // its reader waits
	left  bool // its reader is gone, and waits for it to be empty
	room  chan struct{}
}

func newLane() *lane { return &lane{room: make(chan struct{}, 1)} }

// push appends messages and waits while the lane is full. It returns ErrClosed when gone is closed.
func (q *inbox) push(ln *lane, items []item, gone <-chan struct{}) error {
	for {
		n := q.offer(ln, items)
		if items = items[n:]; len(items) == 0 {
			return nil
		}
		if err := ln.wait(gone); err != nil {
			return err
		}
	}
}

func (ln *lane) wait(gone <-chan struct{}) error {
	select {
	case <-ln.room:
		return nil
	case <-gone:
		return ErrClosed
	}
}

// offer appends what there is room for and returns how many that were.
func (q *inbox) offer(ln *lane, items []item) int {
	q.mu.Lock()
	n := min(q.hwm-len(ln.items)+ln.head, len(items))
	if n < len(items) {
		ln.held = true
	}
	if n > 0 {
		q.appendLocked(ln, items[:n])
	}
	q.mu.Unlock()
	if n <= 0 {
		return 0
	}
	q.ready.ring()
	return n
}

// drained waits until all of a lane that gets no more has been received.
func (q *inbox) drained(ln *lane, closing <-chan struct{}) {
	for {
		q.mu.Lock()
		ln.left = len(ln.items) > ln.head
		left := ln.left
		q.mu.Unlock()
		if !left {
			return
		}
		select {
		case <-ln.room:
		case <-closing:
			return
		}
	}
}

func (q *inbox) appendLocked(ln *lane, items []item) {
	if ln.head > 0 && len(ln.items)+len(items) > cap(ln.items) {
		n := copy(ln.items, ln.items[ln.head:])
		clear(ln.items[n:])
		ln.items, ln.head = ln.items[:n], 0
	}
	ln.items = append(ln.items, items...)
	if !ln.turn {
		q.enqueueLocked(ln)
	}
}

func (q *inbox) enqueueLocked(ln *lane) {
	ln.turn, ln.next = true, nil
	if q.last == nil {
		q.first = ln
	} else {
		q.last.next = ln
	}
	q.last = ln
}

// pop takes the next message, of the lane whose turn it is.
func (q *inbox) pop() (item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	ln := q.first
	if ln == nil {
		return item{}, false
	}
	it := ln.items[ln.head]
	ln.items[ln.head] = item{}
	ln.head++
	left := len(ln.items) - ln.head
	if ln.spent++; left == 0 || (q.last != ln && ln.spent >= turnLength) { // alone it stays
		ln.spent = 0
		if q.first = ln.next; q.first == nil {
			q.last = nil
		}
		ln.turn = false
		if left > 0 {
			q.enqueueLocked(ln)
		}
	}
	if left == 0 {
		ln.head, ln.items = 0, ln.items[:0]
		if cap(ln.items) > maxIdleQueue {
			ln.items = nil
		}
	}
	if (ln.held && left <= q.hwm/2) || (ln.left && left == 0) {
		ln.held = false
		select {
		case ln.room <- struct{}{}:
		default:
		}
	}
	return it, true
}
