package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/jobs"
)

// A sequence checks that the jobs of each key come in order, one at a time.
type sequence struct {
	mu     sync.Mutex
	next   map[string]int
	busy   map[string]bool
	errors []string
	done   int
	again  int // jobs that ran again, in their place
}

func (s *sequence) handle(fail int) message.HandlerFunc {
	return func(ctx context.Context, m *message.Message) error {
		key, number, _ := strings.Cut(m.Text, "/")
		s.mu.Lock()
		if s.next == nil {
			s.next, s.busy = make(map[string]int), make(map[string]bool)
		}
		if s.busy[key] {
			s.errors = append(s.errors, "two at a time: "+m.Text)
		}
		s.busy[key] = true
		s.mu.Unlock()
		failed := rand.IntN(100) < fail
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy[key] = false
		if failed {
			return errors.New("for the test")
		}
		if number == fmt.Sprint(s.next[key]-1) {
			s.again++
			return nil
		}
		if want := fmt.Sprint(s.next[key]); number != want {
			s.errors = append(s.errors, fmt.Sprintf("%s: want %s", m.Text, want))
			s.next[key], _ = strconv.Atoi(number)
		}
		s.next[key]++
		s.done++
		return nil
	}
}

func (s *sequence) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

func TestOrderPerKeyThroughRetries(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		for _, parts := range []int{1, 3} {
			t.Run(fmt.Sprint(parts), func(t *testing.T) {
				var s sequence
				queue := fmt.Sprintf("game%d", parts)
				var b *jobs.Broker
				for range 3 {
					cfg := quick(client(t, url))
					cfg.Lease = time.Minute
					cfg.Partitions = parts
					b = start(t, cfg)
					work(t, b, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{queue: {Handler: s.handle(5), Concurrency: 10}}})
				}
				const keys, each = 20, 40
				for i := range each {
					for k := range keys {
						b.Enqueue(queue, jobs.Job{Key: name(k), Message: text(fmt.Sprintf("%d/%d", k, i))}, func(_ jobs.Receipt, err error) {
							if err != nil {
								t.Error(err)
							}
						})
					}
				}
				eventually(t, "all done", func() bool { return s.count() >= keys*each })
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.done != keys*each || s.again > 0 || len(s.errors) > 0 {
					t.Errorf("%d done of %d; order: %v", s.done, keys*each, s.errors)
				}
				ctx, c := context10(t), client(t, url)
				for part := range parts {
					tag := fmt.Sprintf("{m:q:%s:%d}", queue, part)
					eventually(t, "nothing is left", func() bool {
						return c.Exists(ctx, tag+":d", tag+":j").Val() == 0 && c.XLen(ctx, tag+":s0").Val() == 0 && len(c.Keys(ctx, tag+":k:*").Val()) == 0
					})
					if blocked := c.HGet(ctx, tag+":meta", "blocked").Val(); blocked != "0" && blocked != "" {
						t.Errorf("partition %d: %s jobs are counted as blocked, none is", part, blocked)
					}
				}
			})
		}
	})
}
