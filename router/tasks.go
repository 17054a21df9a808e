package router

import (
	"context"
	"sync"
	"time"
)

const (
	taskWorkers = 4
	taskRetry   = 100 * time.Millisecond
)

type taskKind uint8

const (
	syncTask    taskKind = iota // read what the feed misses
	releaseTask                 // take the feed out of Redis, nobody is interested any more
	taskKinds
)

type task struct {
	feed *feed
	kind taskKind
}

// tasks is what feeds need from Redis, each feed at most once per kind: bounded by the number of feeds.
type tasks struct {
	r *Router

	mu     sync.Mutex
	queue  []task
	later  map[*time.Timer]struct{}
	closed bool
	wake   chan struct{}
}

func newTasks(r *Router) *tasks {
	return &tasks{r: r, wake: make(chan struct{}, 1), later: map[*time.Timer]struct{}{}}
}

// addLocked queues a task of f, whose mutex the caller holds.
func (t *tasks) addLocked(f *feed, kind taskKind) {
	if f.tasks[kind] {
		return
	}
	f.tasks[kind] = true
	t.mu.Lock()
	t.queue = append(t.queue, task{f, kind})
	t.mu.Unlock()
	t.ring()
}

func (t *tasks) ring() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// again queues a task whose Redis command failed, after a while.
func (t *tasks) again(f *feed, kind taskKind) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(taskRetry, func() {
		t.mu.Lock()
		delete(t.later, timer)
		closed := t.closed
		t.mu.Unlock()
		if closed {
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		t.addLocked(f, kind)
	})
	t.later[timer] = struct{}{}
}

func (t *tasks) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for timer := range t.later {
		timer.Stop()
	}
}

func (t *tasks) next() (task, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return task{}, false
	}
	next := t.queue[0]
	t.queue = t.queue[1:]
	if len(t.queue) > 0 {
		t.ring()
	} else {
		t.queue = nil
	}
	return next, true
}

func (t *tasks) run(ctx context.Context) {
	for {
		for ctx.Err() == nil {
			next, ok := t.next()
			if !ok {
				break
			}
			t.do(ctx, next)
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (t *tasks) do(ctx context.Context, next task) {
	f := next.feed
	f.mu.Lock()
	f.tasks[next.kind] = false
	f.mu.Unlock()
	switch next.kind {
	case syncTask:
		if err := f.catchUp(ctx); err != nil {
			t.again(f, syncTask)
		}
	case releaseTask:
		t.r.release(ctx, f)
	}
}
