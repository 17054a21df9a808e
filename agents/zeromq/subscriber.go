package zeromq

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// subscriber is SUB and XSUB. Subscriptions are counted: publishers hear of the first to a topic and of the
// last unsubscription, and one that comes later, or again, hears of all there are.
type subscriber struct {
	passive
	extended bool
	shortcut atomic.Pointer[shortcut] // of a Proxy; nil: none

	mu     sync.Mutex
	topics trie[int]
	count  int
	pipes  map[*pipe]struct{} // those that have a connection
}

func (b *subscriber) subscribe(topic string, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !on {
		n := b.topics.find(topic)
		if n == nil {
			return nil
		}
		if *n--; *n > 0 {
			return nil
		}
		b.topics.remove(topic)
		b.count--
		b.tellLocked(0, topic)
		return nil
	}
	n := b.topics.at(topic)
	if *n++; *n == 1 {
		b.count++
		b.tellLocked(1, topic)
	}
	return nil
}

// tellLocked sends a change to every publisher. One that lets many changes pile up is disconnected; it hears
// of what is left of them when it is back.
func (b *subscriber) tellLocked(first byte, topic string) {
	message := [][]byte{append([]byte{first}, topic...)}
	for p := range b.pipes {
		if errors.Is(p.out.pushUpTo(message, max(b.s.opts.SendHWM, b.s.opts.SendHWM+b.count)), ErrFull) { // no overflow
			p.end(ErrFull)
		}
	}
}

func (b *subscriber) connected(l *link) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, topic := range b.topics.keys("", nil) {
		_ = l.pipe.out.pushUpTo([][]byte{append([]byte{1}, topic...)}, b.count) // the queue is empty
	}
	b.pipes[l.pipe] = struct{}{}
	return nil
}

func (b *subscriber) disconnected(p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pipes, p)
	p.out.reset()
}

// send of XSUB takes subscriptions, as XPUB receives them, and anything else, which goes to every publisher.
func (b *subscriber) send(_ context.Context, frames [][]byte) error {
	if !b.extended {
		return ErrUnsupported
	}
	if f := frames[0]; len(frames) == 1 && len(f) > 0 && f[0] <= 1 {
		return b.subscribe(string(f[1:]), f[0] == 1)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for p := range b.pipes {
		if err := p.out.push(frames); errors.Is(err, ErrFull) {
			b.s.stats.drop(err, 1)
		}
	}
	return nil
}

// arrived filters for SUB: what was on its way when a subscription ended is not delivered.
func (b *subscriber) arrived(l *link, items []item) error {
	if !b.extended {
		items = b.filter(items)
	}
	l.pipe.came += uint64(len(items))
	return b.passive.arrived(l, items)
}

func (b *subscriber) filter(items []item) []item {
	b.mu.Lock()
	defer b.mu.Unlock()
	wanted := items[:0]
	for _, it := range items {
		found := false
		b.topics.match(it.frames[0], func(*int) bool {
			found = true
			return false
		})
		if found {
			wanted = append(wanted, it)
		}
	}
	return wanted
}

// Topics lists the subscriptions.
func (b *subscriber) Topics() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics.keys("", nil)
}
