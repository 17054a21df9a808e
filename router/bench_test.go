package router_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/router"
)

// BenchmarkPublish stores messages for users who are connected here, up to 1,000 of them under way.
func BenchmarkPublish(b *testing.B) {
	for _, histories := range []int{1, 64} {
		b.Run(fmt.Sprintf("histories=%d", histories), func(b *testing.B) {
			m := newMesh(b, testredis.Start(b).URL)
			a := m.agent("a")
			posts := make([]router.Post, histories)
			for i := range posts {
				user := fmt.Sprint("user", i)
				if err := a.Bind(m.ctx, &sink{key: uint64(i)}, user); err != nil {
					b.Fatal(err)
				}
				posts[i] = chat(inbox(user), "", "", "hello there, how are you today?")
			}
			slots := make(chan struct{}, 1000)
			var work sync.WaitGroup
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				slots <- struct{}{}
				work.Add(1)
				a.Publish(posts[n%histories], func(_ message.Result, _ bool, err error) {
					if err != nil {
						b.Error(err)
					}
					<-slots
					work.Done()
				})
				n++
			}
			work.Wait()
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}

type sink struct{ key uint64 }

func (s *sink) Send([]byte) error { return nil }
func (s *sink) Backlog() int      { return 0 }
func (s *sink) Key() uint64       { return s.key }
