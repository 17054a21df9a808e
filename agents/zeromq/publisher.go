package zeromq

import (
	"container/list"
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

	reports list.List
	pending map[string]*list.Element // the last report of a topic
	other   bool                     // Recv looks for a message first
}

// report is what XPUB's Recv says about a topic: 1 or 0.
type report struct {
	topic  string
	first  byte
	pipe   *pipe
	origin *Origin
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
		if err := p.out.push(frames); errors.Is(err, ErrFull) {
			b.s.stats.drop(err, 1)
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
		if err := p.out.pushEncoded(encoded, count); errors.Is(err, ErrFull) {
			b.s.stats.drop(err, count-p.out.pushFirst(encoded))
		}
	}
}

func (b *publisher) recv(ctx context.Context) (item, error) {
	if !b.extended {
		return item{}, ErrUnsupported
	}
	return b.receive(ctx, b.take)
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
	defer b.mu.Unlock()
	return b.changeLocked(l, topic, on)
}

func (b *publisher) changeLocked(l *link, topic string, on bool) error {
	p := l.pipe
	if !on {
		b.forgetLocked()
		if _, known := p.topics[topic]; known {
			delete(p.topics, topic)
			p.topicBytes -= int64(len(topic))
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
	if p.topicBytes+int64(len(topic)) > b.s.opts.MaxTopicBytes {
		return fmt.Errorf("%w: subscriptions to topics of more than %d bytes", ErrLimit, b.s.opts.MaxTopicBytes)
	}
	p.topicBytes += int64(len(topic))
	if p.topics == nil {
		p.topics = map[string]struct{}{}
	}
	p.topics[topic] = struct{}{}
	b.forgetLocked()
	b.longest = max(b.longest, len(topic))
	pipes := b.topics.at(topic)
	if *pipes = append(*pipes, p); len(*pipes) == 1 || b.s.opts.XPubVerbose {
		b.reportLocked(p, l.origin, 1, topic)
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
		b.reportLocked(p, origin, 0, topic)
	}
}

// reportLocked queues a report. The order of reports is that of the changes. Beyond RecvHWM one that is the
// opposite of what waits for the same topic cancels it out, and the same is not said twice: so an XPUB that
// is not read keeps no more than its topics, however often subscribers come and go, and holds none up.
func (b *publisher) reportLocked(p *pipe, origin *Origin, first byte, topic string) {
	if !b.extended {
		return
	}
	if e := b.pending[topic]; e != nil && b.reports.Len() >= b.s.opts.RecvHWM {
		if e.Value.(report).first != first {
			b.reports.Remove(e)
			delete(b.pending, topic)
		}
		return
	}
	b.pending[topic] = b.reports.PushBack(report{topic, first, p, origin})
	b.s.inbox.ready.ring()
}

// take returns a report or a message, of both in turn.
func (b *publisher) take() (item, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.reports.Front()
	if b.other = !b.other; b.other || e == nil {
		if it, ok := b.s.inbox.pop(); ok || e == nil {
			return it, ok
		}
	}
	r := b.reports.Remove(e).(report)
	if b.pending[r.topic] == e {
		delete(b.pending, r.topic)
	}
	return item{[][]byte{append([]byte{r.first}, r.topic...)}, r.pipe, r.origin}, true
}

// disconnected ends the subscriptions of the connection; the next one brings its own.
func (b *publisher) disconnected(p *pipe) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLocked()
	for topic := range p.topics {
		b.removeLocked(p, nil, topic)
	}
	p.topics, p.topicBytes = nil, 0
	p.out.reset()
}

// Topics lists what subscribers ask for.
func (b *publisher) Topics() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics.keys("", nil)
}
