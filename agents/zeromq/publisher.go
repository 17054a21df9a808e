package zeromq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

const maxTopic = 32 << 10 // bytes of a topic that comes as a command of ZMTP 3.1

// publisher is PUB and XPUB: a message goes to the peers that have subscribed to a prefix of its first
// frame. A peer whose queue is full misses it and delays nobody. XPUB reports the first subscription to a
// topic and the last unsubscription, in order, as messages: 1 or 0 and the topic.
type publisher struct {
	passive
	extended bool
	notices  *lane

	mu      sync.Mutex
	topics  trie[[]*pipe]
	longest int // bytes of a topic, at any time
	message uint64
	encoded []byte // one message, used again

	// Who gets the messages whose first frame begins with matched, and is longer only if that has longest
	// bytes. Messages in a row mostly have the same.
	targets []*pipe
	matched []byte
	known   bool
}

func (b *publisher) send(_ context.Context, frames [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.matchedLocked(frames[0]) {
		b.matchLocked(frames[0])
	}
	if wireSize(frames) <= maxCopied {
		b.encoded = appendMessage(b.encoded[:0], frames)
		b.publishLocked(b.encoded, 1)
		return nil
	}
	for _, p := range b.targets {
		if errors.Is(p.out.push(frames), ErrFull) {
			b.s.dropped.Add(1)
		}
	}
	return nil
}

// matchedLocked reports whether targets are those of topic.
func (b *publisher) matchedLocked(topic []byte) bool {
	return b.known && string(b.matched) == string(topic[:min(len(topic), b.longest)])
}

func (b *publisher) matchLocked(topic []byte) {
	b.message++
	b.forgetLocked()
	b.topics.match(topic, func(pipes *[]*pipe) bool {
		for _, p := range *pipes {
			if p.mark != b.message {
				p.mark = b.message
				b.targets = append(b.targets, p)
			}
		}
		return true
	})
	b.matched, b.known = append(b.matched[:0], topic[:min(len(topic), b.longest)]...), true
}

// forgetLocked must follow every change of topics.
func (b *publisher) forgetLocked() {
	clear(b.targets)
	b.targets, b.known = b.targets[:0], false
}

// publishLocked queues count encoded messages for the targets. One that has no room for all of them gets the
// first ones.
func (b *publisher) publishLocked(encoded []byte, count int) {
	if count == 0 {
		return
	}
	for _, p := range b.targets {
		if errors.Is(p.out.pushEncoded(encoded, count), ErrFull) {
			b.s.dropped.Add(uint64(count - p.out.pushFirst(encoded)))
		}
	}
}

func (b *publisher) recv(ctx context.Context) (item, error) {
	if !b.extended {
		return item{}, ErrUnsupported
	}
	return b.passive.recv(ctx)
}

func (b *publisher) arrived(l *link, items []item) error {
	rest := items[:0]
	for _, it := range items {
		f := it.frames[0]
		if len(it.frames) > 1 || len(f) == 0 || f[0] > 1 {
			rest = append(rest, it)
			continue
		}
		// What was said before comes out before.
		if err := b.forward(l, rest); err != nil {
			return err
		}
		rest = rest[:0]
		if err := b.change(l, string(f[1:]), f[0] == 1); err != nil {
			return err
		}
	}
	return b.forward(l, rest)
}

// forward passes what XSUB peers say to XPUB's Recv.
func (b *publisher) forward(l *link, items []item) error {
	if !b.extended || len(items) == 0 {
		return nil
	}
	return b.passive.arrived(l, items)
}

func (b *publisher) change(l *link, topic string, on bool) error {
	b.mu.Lock()
	err := b.changeLocked(l, topic, on)
	b.mu.Unlock()
	if err != nil || !b.extended {
		return err
	}
	for b.s.inbox.full(b.notices) { // an XPUB that is not read stops those who subscribe
		if err := b.notices.wait(l.gone); err != nil {
			return err
		}
	}
	// The token was for all who wait.
	if b.s.inbox.full(b.notices) {
		return nil
	}
	select {
	case b.notices.room <- struct{}{}:
	default:
	}
	return nil
}

func (b *publisher) changeLocked(l *link, topic string, on bool) error {
	p := l.pipe
	if !on {
		b.forgetLocked()
		if _, known := p.topics[topic]; known {
			delete(p.topics, topic)
			b.removeLocked(p, l.origin, topic)
		}
		return nil
	}
	if _, known := p.topics[topic]; known {
		return nil
	}
	if len(p.topics) >= b.s.opts.MaxSubscriptions {
		return fmt.Errorf("%w: more than %d subscriptions", ErrLimit, b.s.opts.MaxSubscriptions)
	}
	if p.topics == nil {
		p.topics = map[string]struct{}{}
	}
	p.topics[topic] = struct{}{}
	b.forgetLocked()
	b.longest = max(b.longest, len(topic))
	pipes := b.topics.at(topic)
	if *pipes = append(*pipes, p); len(*pipes) == 1 || b.s.opts.XPubVerbose {
		b.noticeLocked(p, l.origin, 1, topic)
	}
	return nil
}

func (b *publisher) removeLocked(p *pipe, origin *Origin, topic string) {
	pipes := b.topics.find(topic)
	if i := slices.Index(*pipes, p); i >= 0 {
		*pipes = slices.Delete(*pipes, i, i+1)
	}
	if len(*pipes) == 0 {
		b.topics.remove(topic)
		b.noticeLocked(p, origin, 0, topic)
	}
}

// noticeLocked queues a report. The order of reports is that of the changes.
func (b *publisher) noticeLocked(p *pipe, origin *Origin, first byte, topic string) {
	if b.extended {
		b.s.inbox.force(b.notices, item{[][]byte{append([]byte{first}, topic...)}, p, origin})
	}
}

// disconnected ends the subscriptions of the connection; the next one brings its own.
func (b *publisher) disconnected(p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLocked()
	for topic := range p.topics {
		b.removeLocked(p, nil, topic)
	}
	p.topics = nil
	p.out.reset()
}

// Topics lists what subscribers ask for.
func (b *publisher) Topics() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics.keys("", nil)
}
