package observables

import "time"

// Debounce emits an item once none has come for d after it: the last of each burst. What still waits at the
// end leaves then. It never holds up what comes before: of more than 1024 items that it has not seen yet,
// the oldest are left out.
func Debounce[T any](d time.Duration) Op[T, T] {
	return staged(true, func(st *staging[T]) stage[T, T] {
		var latest T
		var due time.Time
		pending, fresh := false, false
		emit := func() {
			pending = false
			v := latest
			clear1(&latest)
			st.emit(v)
		}
		return stage[T, T]{
			next: func(v T) {
				if pending && !fresh && !time.Now().Before(due) {
					emit()
				}
				latest, pending, fresh = v, true, true
			},
			tick: func(now time.Time) time.Time {
				if fresh {
					due, fresh = now.Add(d), false
				}
				if pending && !now.Before(due) {
					emit()
				}
				if pending {
					return due
				}
				return time.Time{}
			},
			last: func(error) {
				if pending {
					emit()
				}
			},
		}
	})
}

// ThrottleFirst emits an item and leaves out those of the time d after it. It costs a look at the clock for
// each item, and has no buffer.
func ThrottleFirst[T any](d time.Duration) Op[T, T] {
	return stateful(func() func(T) (T, bool) {
		var until time.Time
		return func(v T) (T, bool) {
			now := time.Now()
			if now.Before(until) {
				return v, false
			}
			until = now.Add(d)
			return v, true
		}
	})
}

// ThrottleLatest emits an item at once, then the latest that came within the time d, and so on, so that the
// last state always arrives, if need be at the end. It never holds up what comes before, like Debounce.
func ThrottleLatest[T any](d time.Duration) Op[T, T] {
	return staged(true, func(st *staging[T]) stage[T, T] {
		var latest T
		var until time.Time
		pending := false
		emitted := false // one of this batch; what piled up behind it during a slow call is superseded
		emit := func(now time.Time) {
			pending, until = false, now.Add(d)
			v := latest
			clear1(&latest)
			st.emit(v)
		}
		return stage[T, T]{
			next: func(v T) {
				latest = v
				if pending {
					return
				}
				if now := time.Now(); !emitted && !now.Before(until) {
					emitted = true
					emit(now)
					return
				}
				pending = true
			},
			tick: func(now time.Time) time.Time {
				emitted = false
				if pending && !now.Before(until) {
					emit(now)
				}
				if pending {
					return until
				}
				return time.Time{}
			},
			last: func(error) {
				if pending {
					emit(time.Now())
				}
			},
		}
	})
}

// Sample emits the latest item at fixed times, every d after Subscribe, when there is a new one; what still
// waits at the end leaves then. It never holds up what comes before, like Debounce. d must be positive.
func Sample[T any](d time.Duration) Op[T, T] {
	if d <= 0 {
		panic("observables: Sample needs a positive duration")
	}
	return staged(true, func(st *staging[T]) stage[T, T] {
		start := time.Now()
		var latest T
		var due time.Time // of the latest; zero: there is none
		fresh := false
		emit := func() {
			due, fresh = time.Time{}, false
			v := latest
			clear1(&latest)
			st.emit(v)
		}
		return stage[T, T]{
			next: func(v T) { latest, fresh = v, true },
			tick: func(now time.Time) time.Time {
				if !due.IsZero() && !now.Before(due) {
					emit()
				}
				if fresh && due.IsZero() {
					due = start.Add(now.Sub(start).Truncate(d) + d)
				}
				return due
			},
			last: func(error) {
				if fresh {
					emit()
				}
			},
		}
	})
}

// clear1 forgets what an idle operator need not hold.
func clear1[T any](v *T) {
	var none T
	*v = none
}
