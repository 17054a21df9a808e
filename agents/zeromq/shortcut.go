package zeromq

// shortcut passes what an XSUB receives on to an XPUB as it has come, in runs of messages for the same
// subscribers: nothing is decoded but headers and topics, and each subscriber takes one copy of a run. It is
// Proxy's short cut for messages that lie in a read buffer to their end; others take the way round the
// inbox, and those behind them too until they have passed.
type shortcut struct {
	to      *publisher
	passed  func(messages int)
	stopped bool // guarded by to.mu
}

// pass takes messages from the front of buf and returns how many bytes and messages they are.
func (c *shortcut) pass(buf []byte, limits limits) (taken, messages int) {
	b := c.to
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.stopped {
		return 0, 0
	}
	run, count := 0, 0
	for {
		m, ok := parseMessage(buf[taken:], limits)
		if !ok {
			break
		}
		if topic := buf[taken:][m.topic:m.topicEnd]; !b.matchedLocked(topic) {
			b.publishLocked(buf[run:taken], count)
			run, count = taken, 0
			b.matchLocked(topic)
		}
		taken += m.wire
		count++
		messages++
	}
	b.publishLocked(buf[run:taken], count)
	c.passed(messages)
	return taken, messages
}

func (c *shortcut) stop() {
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.stopped = true
}

// forward is the decoder's of a connection to an XSUB.
func (l *link) forward(sub *subscriber, buf []byte) int {
	c := sub.shortcut.Load()
	if c == nil || l.pipe.came != l.pipe.passed.Load() {
		return 0
	}
	taken, messages := c.pass(buf, l.in.limits)
	l.pipe.sock.stats.in.Add(uint64(messages))
	return taken
}

// takeShortcut opens one between two sockets that can have it and have none; end closes it.
func takeShortcut(from, to *Socket, passed func(int)) (end func()) {
	sub, ok := from.pattern.(*subscriber)
	pub, ok2 := to.pattern.(*publisher)
	c := &shortcut{to: pub, passed: passed}
	if !ok || !ok2 || !sub.extended || !sub.shortcut.CompareAndSwap(nil, c) {
		return func() {}
	}
	return func() {
		sub.shortcut.Store(nil)
		c.stop()
	}
}
