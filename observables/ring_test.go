package observables_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/agentmesh/agentmesh/observables"
)

// FuzzRing drives a ring and a slice by the same bytes and compares them after each step.
func FuzzRing(f *testing.F) {
	for policy := range byte(4) {
		f.Add(policy, byte(3), []byte{0, 0, 0, 0, 3, 0, 41, 3, 0, 4, 0, 3, 3})
		f.Add(policy, byte(1), []byte{45, 0, 2, 3, 6, 3, 4, 4, 0, 3})
		f.Add(policy, byte(8), []byte{0, 0, 73, 33, 0, 0, 0, 3, 0, 3, 18, 3, 4, 3})
	}
	f.Fuzz(func(t *testing.T, policy, buffer byte, steps []byte) {
		cfg := observables.Config{Buffer: 1 + int(buffer%16), Overflow: observables.Overflow(policy % 4)}
		r := observables.NewRing(cfg)
		var queue []int
		var dropped uint64
		var next int
		var token, closed bool
		var cause error
		boom := errors.New("boom")
		put := func(v int) bool {
			switch {
			case closed:
				return true
			case len(queue) < cfg.Buffer:
				queue = append(queue, v)
				token = true
				return true
			case cfg.Overflow == observables.Block:
				return false
			}
			dropped++
			switch cfg.Overflow {
			case observables.DropOldest:
				queue = append(queue[1:], v)
			case observables.Fail:
				closed, cause = true, observables.ErrOverflow
			}
			return true
		}
		for i, step := range steps {
			switch step % 8 {
			case 0, 1, 2:
				next++
				if got, want := r.Offer(next), put(next); got != want {
					t.Fatalf("step %d: Offer gave %t, want %t", i, got, want)
				}
			case 3: // as the consumer does
				got, open := r.Token()
				if got != token || open != (token || !closed) {
					t.Fatalf("step %d: token %t, open %t; want %t, %t", i, got, open, token, token || !closed)
				}
				if !got {
					break
				}
				if items := r.Take(); !slices.Equal(items, queue) {
					t.Fatalf("step %d: took %v, want %v", i, items, queue)
				}
				r.Forget()
				queue, token = nil, false
			case 4:
				r.Close(boom)
				if !closed {
					closed, cause = true, boom
				}
			default:
				var vs []int
				for range step / 8 {
					next++
					vs = append(vs, next)
				}
				if step%8 == 5 && cfg.Overflow == observables.Block { // only Block rings are forced
					if r.Force(vs); !closed && len(vs) > 0 {
						queue = append(queue, vs...)
						token = true
					}
					break
				}
				want := 0
				for want < len(vs) && put(vs[want]) {
					want++
				}
				if got := r.OfferAll(vs); got != want {
					t.Fatalf("step %d: OfferAll(%d items) gave %d, want %d", i, len(vs), got, want)
				}
			}
			if r.Dropped() != dropped || r.Cause() != cause || r.HasRoom() != (closed || len(queue) < cfg.Buffer) {
				t.Fatalf("step %d: dropped %d, cause %v, room %t; want %d, %v, %d of %d", i, r.Dropped(), r.Cause(), r.HasRoom(),
					dropped, cause, len(queue), cfg.Buffer)
			}
		}
	})
}
