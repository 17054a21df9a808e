package observables

import "time"

// minSweep is how many verdicts may be cached before all are looked at for expired ones.
const minSweep = 64

// cache keeps key's verdict for ttl. Verdicts are in a list by age: the oldest make room at MaxKeys, and
// expired ones at its head go at once. As verdicts may differ in ttl, the whole list is swept each time it
// has doubled, so expired verdicts never outnumber the live ones by more than that.
func (c *checking[T, K, O, V]) cache(key *checkKey[T, K, O, V], now time.Time, ttl time.Duration) {
	c.uncache(key)
	if ttl > 0 {
		key.expires = now.Add(ttl)
		key.isCached = true
		key.older = c.newest
		if c.newest == nil {
			c.oldest = key
		} else {
			c.newest.newer = key
		}
		c.newest = key
		c.cached++
	}
	for c.oldest != nil && (c.cached > c.cfg.MaxKeys || !now.Before(c.oldest.expires)) {
		c.forget(c.oldest, now)
	}
	if c.cached < c.sweepAt {
		return
	}
	for k := c.oldest; k != nil; {
		newer := k.newer
		if !now.Before(k.expires) {
			c.forget(k, now)
		}
		k = newer
	}
	c.sweepAt = max(minSweep, 2*c.cached)
}

// uncache ends the freshness of key's verdict.
func (c *checking[T, K, O, V]) uncache(key *checkKey[T, K, O, V]) {
	key.expires = time.Time{}
	if !key.isCached {
		return
	}
	if key.older == nil {
		c.oldest = key.newer
	} else {
		key.older.newer = key.newer
	}
	if key.newer == nil {
		c.newest = key.older
	} else {
		key.newer.older = key.older
	}
	key.older, key.newer, key.isCached = nil, nil, false
	c.cached--
}

func (c *checking[T, K, O, V]) forget(key *checkKey[T, K, O, V], now time.Time) {
	c.uncache(key)
	c.release(key, now)
}

// release drops the state of a key that nothing needs.
func (c *checking[T, K, O, V]) release(key *checkKey[T, K, O, V], now time.Time) {
	if key.waiting > 0 || key.scheduled || now.Before(key.expires) {
		return
	}
	c.uncache(key)
	if c.keys[key.id] == key {
		delete(c.keys, key.id)
	}
}

func (c *checking[T, K, O, V]) invalidate(id K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if key := c.keys[id]; key != nil && !key.known {
		c.drop(key)
	}
}

func (c *checking[T, K, O, V]) invalidateAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range c.keys {
		if !key.known {
			c.drop(key)
		}
	}
}

// drop takes the verdict from key. Items that could have used it get a lookup when they come first.
func (c *checking[T, K, O, V]) drop(key *checkKey[T, K, O, V]) {
	var none V
	key.verdict, key.err, key.upTo = none, nil, 0
	key.stale = true
	c.forget(key, time.Time{})
}
