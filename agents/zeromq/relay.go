package zeromq

// relay passes what an XSUB receives on to an XPUB as it has come, in runs of messages for the same
// subscribers: nothing is decoded but headers and topics, and each subscriber takes one copy of a run. It is
// Proxy's short cut for messages that lie in a read buffer to their end; others take the way round the
// inbox, and those behind them too until they have passed.
type relay struct {
	to      *publisher
	stopped bool // guarded by to.mu
}

// pass takes messages from the front of buf and returns how many bytes they are.
func (r *relay) pass(buf []byte, limits limits) (taken int) {
	b := r.to
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.stopped {
		return 0
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
	}
	b.publishLocked(buf[run:taken], count)
	return taken
}

func (r *relay) stop() {
	r.to.mu.Lock()
	defer r.to.mu.Unlock()
	r.stopped = true
}

// relay is the decoder's of a connection to an XSUB.
func (l *link) relay(buf []byte) int {
	sub := l.pipe.sock.pattern.(*subscriber)
	r := sub.relay.Load()
	if r == nil || l.pipe.came != l.pipe.passed.Load() {
		return 0
	}
	return r.pass(buf, l.in.limits)
}

// shortCut is the relay between two sockets, nil if they cannot have one.
func shortCut(from, to *Socket) *relay {
	sub, ok := from.pattern.(*subscriber)
	pub, ok2 := to.pattern.(*publisher)
	if !ok || !ok2 || !sub.extended {
		return nil
	}
	return &relay{to: pub}
}
