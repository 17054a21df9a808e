package jobs

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/redis/go-redis/v9"
)

// A shard is one partition of a queue, as this worker sees it: it reads jobs, holds them until Redis has
// confirmed what became of them, and renews their leases meanwhile.
type shard struct {
	q       *queue
	b       *Broker
	tag     string
	number  string   // of the partition
	streams []string // of the four priorities, the most urgent first

	freed     chan struct{} // a job was let go
	decided   chan struct{} // a verdict waits
	sooner    chan struct{} // nextDue came nearer
	changed   chan struct{} // the settings may have
	paused    atomic.Bool
	cancelled atomic.Pointer[map[string]struct{}] // ids of jobs that are not to run, as settings says
	another   atomic.Bool                         // look for jobs of crashed workers at once
	closing   chan struct{}                       // no verdict will follow

	mu       sync.Mutex
	held     map[string]*task // by ref
	verdicts []*task
	nextDue  time.Time // when a retry is due, as far as this worker knows
	settings settings

	counted bool // of the settling goroutine: Redis counts what runs, though the settings do not say so yet

	// Of the reading goroutine.
	group       *redisx.Group
	unsure      bool      // a reply was lost: Redis may believe that we hold more than we do
	nextReclaim time.Time // when to look for jobs of crashed workers
	urgent      bool      // there may be jobs of several priorities
	reads       int
	fallow      time.Time // the queue's rate admits nothing before then
}

func newShard(q *queue, part int) *shard {
	tag := q.w.b.keys.queue(q.name, part)
	return &shard{
		q: q, b: q.w.b, tag: tag, number: strconv.Itoa(part), held: make(map[string]*task), urgent: true,
		streams: streamsOf(tag), settings: settings{revision: -1},
		freed: make(chan struct{}, 1), decided: make(chan struct{}, 1), sooner: make(chan struct{}, 1), changed: make(chan struct{}, 1), closing: make(chan struct{}),
	}
}

// streamsOf names the streams of the four priorities, the most urgent first.
func streamsOf(tag string) []string {
	return []string{tag + ":s3", tag + ":s2", tag + ":s1", tag + ":s0"}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// createGroup starts at 0 and not at the end: done jobs are deleted, so all that is in the stream is work.
func (s *shard) createGroup(ctx context.Context) error { return createGroups(ctx, s.b, s.tag) }

func createGroups(ctx context.Context, b *Broker, tag string) error {
	for _, stream := range streamsOf(tag) {
		err := b.redis.XGroupCreateMkStream(ctx, stream, "g", "0").Err()
		if err != nil && !strings.HasPrefix(err.Error(), "BUSYGROUP") {
			return err
		}
	}
	return nil
}

// room is how many more jobs this shard may hold; few are not worth a read while others are ready.
func (s *shard) room() int {
	parts := len(s.q.shards)
	prefetch := s.q.prefetch() / parts
	limit := max(1, (s.q.cfg.Concurrency+parts-1)/parts) + prefetch
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resting() || s.q.w.gate.closed() {
		return 0
	}
	if free := limit - len(s.held); free > prefetch/4 {
		return free
	}
	return 0
}

// read takes jobs until the worker stops: first those of crashed workers, then new ones. ctx does not end
// with the worker.
func (s *shard) read(ctx context.Context) {
	s.group = s.q.w.reads.Group("g", s.q.w.me, s.streams)
	s.nextReclaim = time.Now().Add(rand.N(s.b.cfg.Lease / 3))
	var delay time.Duration
	for !s.q.w.halted() {
		free := s.room()
		if free == 0 {
			select {
			case <-s.freed:
			case <-s.q.w.stop:
			}
			continue
		}
		err := s.readOnce(ctx, min(free, maxBatch))
		if err == nil {
			delay = 0
			continue
		}
		if s.q.w.halted() {
			return
		}
		s.recover(ctx, err)
		delay = min(max(2*delay, 20*time.Millisecond), 500*time.Millisecond)
		s.q.w.until(ctx, delay/2+rand.N(delay))
	}
}

// recover prepares for the next read after an error.
func (s *shard) recover(ctx context.Context, err error) {
	if isNoGroup(err) {
		s.b.cfg.Metrics.Count("nogroup", s.q.name, 1)
		_ = s.createGroup(ctx) // if it fails the next read does too
		return
	}
	if !s.unsure {
		s.b.cfg.Logger.Warn("reading jobs failed; it is tried again", "queue", s.q.name, "error", err)
	}
	s.unsure = true
	s.nextReclaim = time.Now().Add(s.b.cfg.Lease/2 + redialPause + rand.N(s.b.cfg.Lease/4)) // the living get the time to renew first
	s.b.trouble(ctx, err)
	s.b.cfg.Metrics.Count("error", s.q.name, 1)
}

// maxShared is how large a reply may be for its jobs to share its memory: one that runs for long keeps all of it.
const maxShared = 128 << 10

func (s *shard) readOnce(ctx context.Context, free int) error {
	if s.unsure {
		if err := s.resync(ctx); err != nil {
			return err
		}
		s.unsure = false
		return nil
	}
	if now := time.Now(); s.another.Swap(false) || !now.Before(s.nextReclaim) {
		return s.reclaim(ctx, free)
	}
	if wait := time.Until(s.fallow); wait > 0 {
		s.q.w.until(ctx, min(wait, s.b.cfg.Block))
		return nil
	}
	if s.urgent {
		n, err := s.fetch(ctx, free)
		if err != nil || n > 0 {
			return err
		}
		free = 1 // of each stream
	}
	var got []entry
	block := max(time.Millisecond, min(s.b.cfg.Block, time.Until(s.nextReclaim).Round(time.Millisecond)))
	err := s.group.Read(ctx, free, block, func(e *redisx.Entry, size int) {
		level := e.Stream[len(e.Stream)-1:]
		s.urgent = s.urgent || level != "0"
		one := entry{ref: level + ":" + string(e.ID), envelope: e.Value("e"), key: string(e.Value("k")), admitted: string(e.Value("l"))}
		if size > maxShared {
			one.envelope = bytes.Clone(one.envelope)
		}
		got = append(got, one)
	})
	if errors.Is(err, redis.Nil) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.take(ctx, got)
}

// few jobs at a time mean that the queue is not busy, and that latency counts.
const few = 8

// take holds what was just read, as far as the queue's limits admit it.
func (s *shard) take(ctx context.Context, got []entry) error {
	aside, err := s.admit(ctx, got)
	if err != nil {
		return err
	}
	tasks := make([]*task, 0, len(got))
	s.mu.Lock()
	for _, e := range got {
		_, waits := aside[e.ref]
		if _, held := s.held[e.ref]; !waits && !held {
			t := newTask(s, e)
			s.held[e.ref] = t
			tasks = append(tasks, t)
		}
	}
	s.mu.Unlock()
	s.q.ready.add(tasks...)
	if len(tasks) < few {
		runtime.Gosched() // the one that was woken begins at once, and not when the next read has been sent
	}
	return nil
}

// fetch takes jobs by priority. It costs more than reading all streams at once, which takes too many when
// several hold jobs, so it is used while there are urgent ones.
func (s *shard) fetch(ctx context.Context, free int) (int, error) {
	s.reads++
	reversed := 0
	if s.reads%16 == 0 { // else a steady flow of urgent jobs starves the others
		reversed = 1
	}
	list, err := s.eval(ctx, fetchScript, []string{s.tag + ":meta"}, s.q.w.me, s.tag, free, reversed)
	if err != nil {
		return 0, err
	}
	s.urgent = text(list[0]) == "1"
	got := entries(list[1:])
	return len(got), s.take(ctx, got)
}

// ids snapshots what this worker holds.
func (s *shard) ids() map[string]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make(map[string]struct{}, len(s.held))
	for id := range s.held {
		ids[id] = struct{}{}
	}
	return ids
}

// hold takes an entry unless it is held, or was when before was made.
func (s *shard) hold(e entry, before map[string]struct{}) bool {
	t := s.grab(e, before)
	if t != nil {
		s.q.ready.add(t)
	}
	return t != nil
}

func (s *shard) grab(e entry, before map[string]struct{}) *task {
	if _, ok := before[e.ref]; ok {
		return nil
	}
	t := newTask(s, e)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.held[e.ref]; ok {
		return nil
	}
	s.held[e.ref] = t
	return t
}

// resync takes the jobs that Redis has given us in a reply that was lost. Held ones are told from them by
// a snapshot from before the question: a job that is acknowledged while it is answered is not taken again.
func (s *shard) resync(ctx context.Context) error {
	for level, start := 0, "-"; level <= maxPriority; {
		before := s.ids()
		list, err := s.eval(ctx, resyncScript, []string{s.streams[maxPriority-level]}, s.q.w.me, level, start, maxBatch)
		if err != nil {
			return err
		}
		got := entries(list[1:])
		s.insist(ctx, got)
		for _, e := range got {
			if s.hold(e, before) {
				s.b.cfg.Metrics.Count("resynced", s.q.name, 1)
			}
		}
		start = "(" + text(list[0])
		if start == "(" {
			level, start = level+1, "-"
		}
	}
	return nil
}

// reclaim takes over jobs of workers that crashed or stalled.
func (s *shard) reclaim(ctx context.Context, free int) error {
	before, suspects := s.ids(), 0
	gate := s.q.w.gate.reserve()
	if gate {
		suspects = 1
	}
	list, err := s.eval(ctx, reclaimScript, []string{s.tag + ":dead"}, s.q.w.me, s.tag,
		s.b.cfg.Lease.Milliseconds(), free, s.b.cfg.MaxDeliveries, s.b.cfg.DeadKeep, suspects)
	if err != nil {
		if gate {
			s.q.w.gate.open()
		}
		return err
	}
	suspect := text(list[1])
	if gate && suspect == "" {
		s.q.w.gate.open()
	}
	// Leases are renewed three times, so one that is half over is late, and this look comes often enough to see
	// it before it has run out: then the next one comes when it has.
	every := s.b.cfg.Lease / 3
	wait := every - every/8 + rand.N(every/4)
	if ms := whole(text(list[2])); ms >= 0 {
		wait = min(wait, time.Duration(ms)*time.Millisecond+rand.N(5*time.Millisecond))
	}
	s.nextReclaim = time.Now().Add(wait)
	got := entries(list[3:])
	s.insist(ctx, got)
	for _, e := range got {
		var held bool
		if e.ref == suspect {
			held = s.isolate(e, before) //nolint:contextcheck // handlers have a context of their own, which ends with the worker
		} else {
			held = s.hold(e, before)
		}
		if held {
			s.b.cfg.Metrics.Count("reclaimed", s.q.name, 1)
		}
	}
	if n := whole(text(list[0])); n > 0 {
		s.b.cfg.Metrics.Count("dead", s.q.name, int(n))
		s.b.cfg.Logger.Error("jobs became dead letters: too many workers died or stalled over them", "queue", s.q.name, "jobs", n)
	}
	return nil
}

// keep renews the leases of what is held and makes retries ready when they are due, until ctx ends.
func (s *shard) keep(ctx context.Context) {
	renew, promote := time.NewTimer(s.b.cfg.Lease/3), time.NewTimer(0)
	defer renew.Stop()
	defer promote.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-renew.C:
			if err := s.renew(ctx); err != nil && !isNoGroup(err) {
				s.b.trouble(ctx, err)
				renew.Reset(min(s.b.cfg.Lease/6, 200*time.Millisecond))
			} else {
				renew.Reset(s.b.cfg.Lease / 3)
			}
		case <-s.sooner:
			s.mu.Lock()
			promote.Reset(time.Until(s.nextDue))
			s.mu.Unlock()
		case <-s.changed:
			promote.Reset(0)
		case <-promote.C:
			promote.Reset(s.promote(ctx))
		}
	}
}

// unknownRetries is how often to look for retries that a worker left behind that has crashed since. The one
// that failed a job knows when it is due.
const unknownRetries = time.Second

// promote makes due retries ready and says when to come again.
func (s *shard) promote(ctx context.Context) time.Duration {
	s.mu.Lock()
	s.nextDue = time.Time{}
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	wait := unknownRetries/2 + rand.N(unknownRetries/2)
	answer, err := s.b.redis.Eval(ctx, promoteScript, []string{s.tag + ":d", s.tag + ":j", s.tag + ":meta"}, s.tag, 200).Int64Slice()
	if err == nil && len(answer) == 2 {
		if answer[0] >= 0 {
			wait = min(wait, time.Duration(answer[0])*time.Millisecond)
		}
		if answer[1] != s.revision() {
			_ = s.configure(ctx) // if it fails it is done the next time
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.nextDue.IsZero() {
		wait = min(wait, time.Until(s.nextDue))
	}
	return max(wait, time.Millisecond)
}

// renew prolongs the leases of what is held; of what another worker has taken it ends the handlers.
func (s *shard) renew(ctx context.Context) error {
	ids := slices.Collect(maps.Keys(s.ids()))
	for chunk := range slices.Chunk(ids, maxBatch) {
		args := make([]any, 0, len(chunk)+2)
		args = append(args, s.q.w.me, s.tag)
		for _, id := range chunk {
			args = append(args, id)
		}
		lost, err := s.eval(ctx, renewScript, []string{s.tag + ":meta"}, args...)
		if err != nil {
			return err
		}
		for _, id := range texts(lost) {
			s.mu.Lock()
			t := s.held[id]
			s.mu.Unlock()
			if t != nil {
				s.b.cfg.Metrics.Count("lost", s.q.name, 1)
				t.ctx.cancel(errLeaseLost)
			}
		}
	}
	return s.prolong(ctx)
}
