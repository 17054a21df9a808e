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
