package rx

import (
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Item is what flows.
type Item struct{ N int64 }

// Shape is the form of a flow.
type Shape struct {
	Operators   int // Map and Filter in turn
	Subscribers int
	Publishers  int
}

// Flow is a running flow. Publish is called by Publishers goroutines; Finish is called once, and returns
// when all that was published has been handled.
type Flow struct {
	Publish func(*Item)
	Finish  func()
}

// Cost is what an item has cost.
type Cost struct {
	Wall, CPU time.Duration
	Allocs    float64
}

// Step is the first of the operators, and Keep the second.
func Step(m *Item) *Item { return m }

// Keep holds for every item.
func Keep(m *Item) bool { return m.N >= 0 }

// Measure publishes n items.
func Measure(f Flow, publishers, n int) Cost {
	item := &Item{N: 1}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, used := time.Now(), CPU()
	var group sync.WaitGroup
	for range publishers {
		group.Go(func() {
			for range n / publishers {
				f.Publish(item)
			}
		})
	}
	group.Wait()
	f.Finish()
	wall, cpu := time.Since(start), CPU()-used
	runtime.ReadMemStats(&after)
	return Cost{wall / time.Duration(n), cpu / time.Duration(n), float64(after.Mallocs-before.Mallocs) / float64(n)}
}

// Pace publishes perSecond items a second for a while, each millisecond its share, and tells how many a
// second it managed and how many cores that took.
func Pace(f Flow, perSecond int, during time.Duration) (rate, cores float64) {
	item := &Item{N: 1}
	start, used := time.Now(), CPU()
	sent := 0
	for time.Since(start) < during {
		for due := int(time.Since(start).Seconds() * float64(perSecond)); sent < due && time.Since(start) < during; sent++ {
			f.Publish(item)
		}
		time.Sleep(time.Millisecond)
	}
	f.Finish()
	wall := time.Since(start).Seconds()
	return float64(sent) / wall, (CPU() - used).Seconds() / wall
}

// CPU is the time that this process has had of all cores.
func CPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
