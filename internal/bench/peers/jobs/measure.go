package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	workers  = 50
	window   = 1500 * time.Millisecond // of a throughput measurement
	warmUp   = 1200 * time.Millisecond // asynq's dequeuer sleeps for a second when it begins with an empty queue
	backlog  = 4000                    // jobs that callers may be ahead of workers while both run
	maxJobs  = 1 << 20                 // of one measurement
	patience = 60 * time.Second
)

// A result is one measurement of one system.
type result struct {
	rate           float64 // jobs/s
	server, client float64 // CPU µs per job
	p50, p99       time.Duration
	void           string // why the figures do not count
}

// ledger knows of each job how often it was confirmed and handled.
type ledger struct {
	next      atomic.Int64
	confirmed atomic.Int64
	handled   atomic.Int64
	failed    atomic.Pointer[error]
	runs      []atomic.Int32
}

func newLedger() *ledger { return &ledger{runs: make([]atomic.Int32, maxJobs)} }

// handle counts a job and returns when it was sent.
func (l *ledger) handle(payload string) (at int64) {
	seq, at := parse(payload)
	l.runs[seq].Add(1)
	l.handled.Add(1)
	return at
}

// callers enqueue one job after the other until stop is closed, each waiting for the answer.
func (l *ledger) callers(n int, ahead int64, stop <-chan struct{}, send func(seq int, payload string) error) *sync.WaitGroup {
	var calling sync.WaitGroup
	for range n {
		calling.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if ahead > 0 && l.confirmed.Load()-l.handled.Load() > ahead {
					time.Sleep(time.Millisecond)
					continue
				}
				l.send(send)
			}
		})
	}
	return &calling
}

func (l *ledger) send(send func(seq int, payload string) error) {
	seq := int(l.next.Add(1) - 1)
	if seq >= maxJobs {
		time.Sleep(time.Millisecond)
		return
	}
	if err := send(seq, payload(seq, time.Now().UnixNano())); err != nil {
		l.failed.Store(&err)
		return
	}
	l.confirmed.Add(1)
}

// settle waits until all that was confirmed is handled and says what is wrong.
func (l *ledger) settle() string {
	for end := time.Now().Add(patience); l.handled.Load() < l.confirmed.Load() && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	if err := l.failed.Load(); err != nil {
		return "error: " + (*err).Error()
	}
	lost, again := 0, 0
	for i := range min(l.next.Load(), maxJobs) {
		switch n := l.runs[i].Load(); {
		case n == 0:
			lost++
		case n > 1:
			again++
		}
	}
	if lost > 0 || again > 0 {
		return fmt.Sprintf("%d lost, %d handled twice", lost, again)
	}
	return ""
}

// during measures CPU and the progress of count over a window.
func during(s system, d time.Duration, count func() int64) result {
	server, own, n, begin := s.server().cpu(), ownCPU(), count(), time.Now()
	time.Sleep(d)
	return since(s, server, own, n, begin, count)
}

func since(s system, server, own time.Duration, n int64, begin time.Time, count func() int64) result {
	took, jobs := time.Since(begin), float64(max(1, count()-n))
	return result{
		rate:   jobs / took.Seconds(),
		server: float64((s.server().cpu() - server).Microseconds()) / jobs,
		client: float64((ownCPU() - own).Microseconds()) / jobs,
	}
}

func enqueueing(callers int) func(s system) (result, error) {
	return func(s system) (result, error) {
		l, stop := newLedger(), make(chan struct{})
		calling := l.callers(callers, 0, stop, func(_ int, p string) error { return s.enqueue(context.Background(), "", p) })
		time.Sleep(200 * time.Millisecond)
		r := during(s, window, l.confirmed.Load)
		close(stop)
		calling.Wait()
		if err := l.failed.Load(); err != nil {
			r.void = (*err).Error()
		}
		return r, nil
	}
}

// working off a backlog: it is filled for a while first.
func working(s system) (result, error) {
	l, stop := newLedger(), make(chan struct{})
	calling := l.callers(512, 0, stop, func(_ int, p string) error { return s.enqueue(context.Background(), "", p) })
	for end := time.Now().Add(window); time.Now().Before(end) && l.confirmed.Load() < 100_000; {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	calling.Wait()
	total := l.confirmed.Load()
	server, own := s.server().cpu(), ownCPU()
	var first atomic.Int64
	end, err := s.work(workers, func(p string) {
		if first.Load() == 0 {
			first.CompareAndSwap(0, time.Now().UnixNano())
		}
		l.handle(p)
	})
	if err != nil {
		return result{}, err
	}
	defer end()
	// A slow system is not waited for to the end: its rate shows before.
	for limit := time.Now().Add(3 * time.Second); l.handled.Load() < total && time.Now().Before(limit); {
		time.Sleep(time.Millisecond)
	}
	r := since(s, server, own, 0, time.Unix(0, first.Load()), l.handled.Load)
	if l.handled.Load() == total {
		r.void = l.settle()
	}
	return r, nil
}

// both callers and workers, in a steady state.
func both(keys int) func(s system) (result, error) {
	return func(s system) (result, error) {
		l, stop := newLedger(), make(chan struct{})
		end, err := s.work(workers, func(p string) { l.handle(p) })
		if err != nil {
			return result{}, err
		}
		defer end()
		return l.flow(s, stop, func(seq int, p string) error {
			key := ""
			if keys > 0 {
				key = strconv.Itoa(seq % keys)
			}
			return s.enqueue(context.Background(), key, p)
		})
	}
}

func (l *ledger) flow(s system, stop chan struct{}, send func(seq int, payload string) error) (result, error) {
	calling := l.callers(64, backlog, stop, send)
	time.Sleep(warmUp)
	r := during(s, window, l.handled.Load)
	close(stop)
	calling.Wait()
	r.void = l.settle()
	return r, nil
}

// addressed jobs, from one agent to another.
func addressed(s system) (result, error) {
	l, stop := newLedger(), make(chan struct{})
	send, end, err := s.address(func(p string) { l.handle(p) })
	if err != nil {
		return result{}, err
	}
	defer end()
	return l.flow(s, stop, func(_ int, p string) error { return send(context.Background(), p) })
}

// latency at a rate, open loop: from before the call until the handler begins.
func latency(rate int) func(s system) (result, error) {
	return func(s system) (result, error) {
		l := newLedger()
		var mu sync.Mutex
		var took []time.Duration
		end, err := s.work(workers, func(p string) {
			now := time.Now().UnixNano()
			at := l.handle(p)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Duration(now-at))
		})
		if err != nil {
			return result{}, err
		}
		defer end()
		var calling sync.WaitGroup
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		const warm = 1 // s
		var r result
		server, own := s.server().cpu(), ownCPU()
		for i := range 4 * rate {
			if i == warm*rate {
				mu.Lock()
				took = took[:0]
				mu.Unlock()
				server, own = s.server().cpu(), ownCPU()
			}
			<-tick.C
			calling.Go(func() { l.send(func(_ int, p string) error { return s.enqueue(context.Background(), "", p) }) })
		}
		calling.Wait()
		r.void = l.settle()
		jobs := float64(3 * rate)
		r.server, r.client = float64((s.server().cpu()-server).Microseconds())/jobs, float64((ownCPU()-own).Microseconds())/jobs
		mu.Lock()
		defer mu.Unlock()
		slices.Sort(took)
		r.p50, r.p99, r.rate = took[len(took)/2], took[len(took)*99/100], float64(rate)
		return r, nil
	}
}

// redisLimit is what redis-benchmark reaches with XADD of the same size.
func redisLimit(clients, pipeline int) (float64, error) {
	p, err := startRedis(false)
	if err != nil {
		return 0, err
	}
	defer p.kill()
	host, port, _ := strings.Cut(p.addr, ":")
	n := 60_000
	if pipeline > 1 {
		n = 400_000
	}
	out, err := exec.Command("redis-benchmark", "-h", host, "-p", port, "-c", strconv.Itoa(clients), "-P", strconv.Itoa(pipeline),
		"-n", strconv.Itoa(n), "-q", "XADD", "s", "*", "e", payload(0, 0)).Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark (apt-get install redis-tools): %w", err)
	}
	fields := strings.Fields(strings.ReplaceAll(string(out), "\r", " "))
	for i, f := range fields {
		if f == "requests" && i > 0 {
			if rate, err := strconv.ParseFloat(fields[i-1], 64); err == nil && rate > 0 {
				return rate, nil
			}
		}
	}
	return 0, fmt.Errorf("redis-benchmark says %q", out)
}
