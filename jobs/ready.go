package jobs

import "sync"

// ready hands jobs to the goroutines that run them. A goroutine is woken for the first of many jobs, not for each: one
// that finds more than it takes wakes the next, so a quick handler is called again and again by the one that is awake,
// and behind a slow one nothing waits. It holds what its worker holds, which the shards bound.
type ready struct {
	mu      sync.Mutex
	arrived sync.Cond
	tasks   []*task // those before head are gone
	head    int
	idle    int  // goroutines that wait, one that was woken and has not come yet included
	waking  bool // there is such a one
	closed  bool
}

func newReady() *ready {
	r := &ready{}
	r.arrived.L = &r.mu
	return r
}

// add gives jobs to the goroutines.
func (r *ready) add(tasks ...*task) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == len(r.tasks) {
		r.tasks, r.head = r.tasks[:0], 0
	} else if r.head > maxBatch && r.head*2 > len(r.tasks) {
		n := copy(r.tasks, r.tasks[r.head:])
		clear(r.tasks[n:])
		r.tasks, r.head = r.tasks[:n], 0
	}
	r.tasks = append(r.tasks, tasks...)
	r.wake()
}

// take waits for a job; nil when r is closed and empty.
func (r *ready) take() *task {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.head == len(r.tasks) {
		if r.closed {
			return nil
		}
		r.idle++
		r.arrived.Wait()
		r.idle--
		r.waking = false
	}
	t := r.tasks[r.head]
	r.tasks[r.head] = nil
	r.head++
	r.wake()
	return t
}

// wake wakes one goroutine if there is work for it and none is on its way. The caller holds r.mu.
func (r *ready) wake() {
	if r.head < len(r.tasks) && r.idle > 0 && !r.waking {
		r.waking = true
		r.arrived.Signal()
	}
}

// close makes take end when nothing is left. Nothing is added afterwards.
func (r *ready) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.arrived.Broadcast()
}
