package observables

// Sizes gives how many keys, orders, cached verdicts and waiting items all subscriptions hold.
func (c *Checker[T, K, O, V]) Sizes() (keys, orders, cached, waiting int) {
	c.each(func(run *checking[T, K, O, V]) {
		run.mu.Lock()
		defer run.mu.Unlock()
		keys += len(run.keys)
		orders += len(run.orders)
		cached += run.cached
		waiting += run.waiting
	})
	return
}

// Ring lets the fuzz test drive a ring as its producers and its consumer would.
type Ring struct {
	*ring[int]
	sub *Subscription
}

func NewRing(cfg Config) *Ring {
	sub := &Subscription{}
	sub.root.sub = sub
	return &Ring{newRing[int](cfg, &sub.root), sub}
}

func (r *Ring) Offer(v int) bool      { return r.offer(v) }
func (r *Ring) OfferAll(vs []int) int { return r.offerAll(vs) }
func (r *Ring) Force(vs []int)        { r.force(vs) }
func (r *Ring) HasRoom() bool         { return r.hasRoom() }
func (r *Ring) Close(err error)       { r.close(err) }
func (r *Ring) Cause() error          { return r.cause() }
func (r *Ring) Dropped() uint64       { return r.sub.Dropped() }
func (r *Ring) Forget()               { clear(r.last) }

// Token takes the token if there is one; open is false at the end.
func (r *Ring) Token() (token, open bool) {
	select {
	case _, open = <-r.tokens:
		return open, open
	default:
		return false, true
	}
}

func (r *Ring) Take() []int {
	older, newer := r.take()
	return append(append([]int(nil), older...), newer...)
}
