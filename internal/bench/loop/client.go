package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// digits number a message at the front of its text, and in its id.
const digits = 10

// client is one DEALER.
type client struct {
	name string
	d    *zeromq.Dealer
}

// pair is a sender and its recipient.
type pair struct {
	from, to *client
	relay    bool
	next     int    // number of the next message
	head     []byte // of a message, up to the number in its id
	middle   []byte // up to the number in its text
	tail     []byte
}

// group is all pairs on a bed.
type group struct {
	pairs []*pair
	stop  context.CancelFunc
	tasks sync.WaitGroup
}

// connect makes pairs; senders are connected to the first endpoint, recipients to the second. All are
// logged in when it returns.
func connect(ctx context.Context, b *bed, pairs, size int) (g *group, err error) {
	running, stop := context.WithCancel(ctx)
	g = &group{stop: stop}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var store *session.Store
	if b.redis != nil {
		if store, err = session.NewStore(session.Config{Redis: b.redis, Prefix: "m"}); err != nil {
			return g, err
		}
	}
	for i := range pairs {
		p := &pair{relay: store == nil}
		g.pairs = append(g.pairs, p)
		var token string
		if p.from, token, err = g.join(ctx, running, store, b.endpoints[0], fmt.Sprintf("sender-%d", i)); err != nil {
			return g, err
		}
		if p.to, _, err = g.join(ctx, running, store, b.endpoints[1], fmt.Sprintf("reader-%d", i)); err != nil {
			return g, err
		}
		p.head = []byte(`{"type":"DirectMessage","id":"`)
		p.middle = fmt.Appendf(nil, `","from":{"type":"User","id":%q,"session":%q},"to":{"type":"User","id":%q},"message":"`, p.from.name, token, p.to.name)
		p.tail = []byte(strings.Repeat("x", size-digits) + `"}`)
	}
	return g, nil
}

// join connects a DEALER and logs it in. On the relay, which knows a client from its first message on, it
// sends itself one, and its token is as long as a real one.
func (g *group) join(ctx, running context.Context, store *session.Store, endpoint, name string) (*client, string, error) {
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: endpoint, RoutingID: name, Inbox: 4096})
	if err != nil {
		return nil, "", err
	}
	g.tasks.Go(func() { _ = d.Run(running) }) // nil when running ends; joined by close
	token, hello := strings.Repeat("t", 43), [][]byte{[]byte(name), []byte("hello")}
	if store != nil {
		if token, _, err = store.Create(ctx, name, time.Hour); err != nil {
			return nil, "", err
		}
		hello = [][]byte{fmt.Appendf(nil, `{"type":"Login","from":{"type":"User","id":%q,"session":%q}}`, name, token)}
	}
	if err := d.Send(ctx, hello...); err != nil {
		return nil, "", err
	}
	select {
	case frames := <-d.Messages():
		if len(frames) == 0 || store != nil && !bytes.HasPrefix(frames[0], []byte(`{"type":"Ack"`)) {
			return nil, "", fmt.Errorf("%s: the answer to Login is %q", name, frames)
		}
	case <-ctx.Done():
		return nil, "", fmt.Errorf("%s: no answer to the first message", name)
	}
	return &client{name: name, d: d}, token, nil
}

// close ends the clients.
func (g *group) close() {
	g.stop()
	g.tasks.Wait()
}

// message is the next message of the pair, as frames.
func (p *pair) message(n int) [][]byte {
	number := fmt.Appendf(make([]byte, 0, digits), "%0*d", digits, n)
	body := make([]byte, 0, len(p.head)+len(p.middle)+len(p.tail)+2*digits)
	body = append(append(body, p.head...), number...)
	body = append(append(body, p.middle...), number...)
	body = append(body, p.tail...)
	if p.relay {
		return [][]byte{[]byte(p.to.name), body}
	}
	return [][]byte{body}
}

var (
	delivered = []byte(`{"type":"DirectMessage"`)
	textMark  = []byte(`"message":"`)
	ackMark   = []byte(`{"type":"Ack","ref":"`)
)

// received reads the number of a message that the recipient got.
func received(frames [][]byte) (int, error) {
	if len(frames) == 0 {
		return 0, errors.New("the recipient's connection has ended")
	}
	body := frames[len(frames)-1]
	at := bytes.Index(body, textMark)
	if !bytes.HasPrefix(body, delivered) || at < 0 {
		return 0, fmt.Errorf("the recipient got %q", body)
	}
	return number(body[at+len(textMark):])
}

// acknowledged reads the number of a message from its Ack.
func acknowledged(frames [][]byte) (int, error) {
	if len(frames) != 1 || !bytes.HasPrefix(frames[0], ackMark) {
		return 0, fmt.Errorf("the sender got %q", frames)
	}
	return number(frames[0][len(ackMark):])
}

func number(text []byte) (int, error) {
	if len(text) < digits {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return strconv.Atoi(string(text[:digits]))
}
