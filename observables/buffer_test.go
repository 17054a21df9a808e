package observables_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/observables"
)

func TestBuffer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		op   observables.Op[int, []int]
		end  int
		at   []int
		want string
	}{
		"count":          {observables.Buffer[int](2, 0), 50, []int{0, 1, 2, 3, 4}, "[[0 1]@1 [2 3]@3 [4]@50]"},
		"time":           {observables.Buffer[int](0, 10*ms), 50, []int{0, 1, 9, 20, 29, 31}, "[[0 1 2]@10 [3 4]@30 [5]@41]"},
		"count and time": {observables.Buffer[int](2, 10*ms), 35, []int{0, 1, 2, 13, 14, 30}, "[[0 1]@1 [2]@12 [3 4]@14 [5]@35]"},
		"nothing":        {observables.Buffer[int](2, 10*ms), 35, nil, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if got := fmt.Sprint(timed(t, c.op, c.end, c.at...)); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
			})
		})
	}
}

func TestWindow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := observables.NewSubject[int](observables.Config{})
		start := time.Now()
		var got [4][]string
		n := 0
		sub := observables.Window[int](3, 10*ms, observables.Config{})(s.Stream()).Subscribe(t.Context(), func(w observables.Stream[int]) {
			n++
			i := n
			w.Subscribe(t.Context(), func(v int) { got[i] = append(got[i], fmt.Sprint(v)) }, nil, func(err error) {
				got[i] = append(got[i], fmt.Sprintf("%v@%d", err, time.Since(start)/ms))
			})
		}, nil, nil)
		send := func(vs ...int) {
			_ = s.PublishBatch(t.Context(), vs)
			synctest.Wait()
		}
		send(1, 2, 3, 4)
		time.Sleep(5 * ms)
		send(5)
		time.Sleep(20 * ms)
		send(6)
		broken := errors.New("broken")
		s.OnError(broken)
		<-sub.Done()
		synctest.Wait()
		if want := "[[] [1 2 3 <nil>@0] [4 5 <nil>@10] [6 broken@25]]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	})
}
