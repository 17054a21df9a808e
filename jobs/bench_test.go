package jobs_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/jobs"
)

var payload = &message.Message{Type: "ChatMessage", Text: strings.Repeat("x", 128)}

func benchConfig(b *testing.B, url string) jobs.Config {
	cfg := quick(client(b, url))
	cfg.Lease, cfg.AgentTTL, cfg.Block, cfg.MaxLen = 0, 0, 0, 1<<30
	return cfg
}

// BenchmarkEnqueue: 64 callers, each waits until Redis has confirmed its job.
func BenchmarkEnqueue(b *testing.B) {
	for name, key := range map[string]string{"plain": "", "keyed": "k"} {
		b.Run(name, func(b *testing.B) {
			broker := start(b, benchConfig(b, testredis.Start(b).URL))
			var callers sync.WaitGroup
			var next atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			for range 64 {
				callers.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						j := jobs.Job{Message: payload}
						if key != "" {
							j.Key = key + number(int(i%5000))
						}
						if _, err := broker.DoEnqueue(context.Background(), "q", j); err != nil {
							b.Error(err)
						}
					}
				})
			}
			callers.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkBacklog: 50 handlers work off what waits.
func BenchmarkBacklog(b *testing.B) {
	for name, key := range map[string]string{"plain": "", "keyed": "k"} {
		b.Run(name, func(b *testing.B) {
			cfg := benchConfig(b, testredis.Start(b).URL)
			cfg.LaneJobs, cfg.LaneBytes = 1<<30, 1<<30
			broker := start(b, cfg)
			var stored sync.WaitGroup
			stored.Add(b.N)
			for i := range b.N {
				j := jobs.Job{Message: payload}
				if key != "" {
					j.Key = key + number(i%5000)
				}
				broker.Enqueue("q", j, func(_ jobs.Receipt, err error) {
					if err != nil {
						b.Error(err)
					}
					stored.Done()
				})
			}
			stored.Wait()
			done := make(chan struct{})
			var n atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			work(b, broker, jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"q": {Concurrency: 50, Handler: message.HandlerFunc(func(context.Context, *message.Message) error {
				if n.Add(1) == int64(b.N) {
					close(done)
				}
				return nil
			})}}})
			<-done
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}

// BenchmarkSendTo: from one agent to another, 1024 on their way at a time; and one at a time, for latency.
func BenchmarkSendTo(b *testing.B) {
	for name, window := range map[string]int{"throughput": 1024, "latency": 1} {
		b.Run(name, func(b *testing.B) {
			url := testredis.Start(b).URL
			from := start(b, benchConfig(b, url))
			arrived := make(chan struct{}, window)
			to := start(b, benchConfig(b, url))
			w, _ := work(b, to, jobs.WorkerConfig{Inbox: message.HandlerFunc(func(context.Context, *message.Message) error {
				arrived <- struct{}{}
				return nil
			})})
			b.ReportAllocs()
			b.ResetTimer()
			sent := 0
			for got := range b.N {
				for sent < b.N && sent-got < window {
					from.SendTo(w.Incarnation(), jobs.Job{Message: payload}, func(_ jobs.Receipt, err error) {
						if err != nil {
							b.Error(err)
						}
					})
					sent++
				}
				select {
				case <-arrived:
				case <-time.After(deadline):
					b.Fatal("a job is missing")
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
