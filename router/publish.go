package router

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
)

// Post is one message on its way into a history.
type Post struct {
	To     History
	Author string // must be a member of the room; "" is not checked
	Mark   string // names the post for Config.Dedup; "" for one that its author will not send again
	Body   []byte // the finished envelope, a JSON object without seq and epoch; not written to afterwards
}

// transportMark is how long the mark of a post without one is remembered: as long as this router may send
// it again because a reply was lost.
const transportMark = time.Minute

// post is a Post on its way, or a message for the holders of a history that is in no history itself.
type post struct {
	history History
	author  string
	mark    string
	named   bool // the mark is a client's, else one of this router's own
	body    []byte
	message *message.Message // for the holders; nil for a Post
	done    func(message.Result, bool, error)
	since   time.Time // accepted
	size    int       // of the body as it was accepted

	// Guarded by the lane.
	left      int // agents that have not confirmed
	complete  bool
	result    message.Result
	duplicate bool
	err       error
}

// Publish stores p and brings it to all who are connected. It returns at once. done is called once: when
// the post is stored and every agent that must deliver it has been told. It then holds the position, and
// whether the mark had been used before (nothing was stored again). For one history the calls come in the
// order of Publish; an ErrRefused comes at once, before Publish returns. Errors: ErrNotMember, ErrRefused,
// ErrUnavailable (all: nothing was stored), ErrUnknown (the router ended; nobody knows).
func (r *Router) Publish(p Post, done func(message.Result, bool, error)) {
	n := &post{history: p.To, mark: p.Mark, named: p.Mark != "", body: p.Body, done: done}
	if p.To.Kind == Room {
		n.author = p.Author
	}
	if !n.named {
		// No client's mark begins with a line feed: ids hold no control characters.
		n.mark = "\n" + r.me + "\n" + strconv.FormatUint(r.counter.Add(1), 36)
	}
	r.enqueue(n)
}

// Volatile brings body to whoever is attached to h now. It is in no history, and delivered at most once.
// done, which may be nil, is called once when the agents have been told.
func (r *Router) Volatile(h History, body []byte, done func(error)) {
	m := &message.Message{
		Type: VolatileType, From: message.Address{Type: agentType, ID: r.me}, To: h.address(), Payload: body,
	}
	n := &post{history: h, message: m}
	if done != nil {
		n.done = func(_ message.Result, _ bool, err error) { done(err) }
	}
	r.enqueue(n)
}

func (r *Router) enqueue(p *post) {
	if p.done == nil {
		p.done = func(message.Result, bool, error) {}
	}
	p.since, p.size = time.Now(), len(p.body)
	if !r.lane(p.history).add(p) {
		r.stats.full.Add(1)
		p.done(message.Result{}, false, ErrRefused)
	}
}

// group is the posts of one history in one script call, or one message for holders.
type group struct {
	posts   []*post
	call    redisx.Call
	unknown bool // an attempt may have been executed
}

// groups makes the calls for a batch. Posts of one history are together, in order.
func (r *Router) groups(batch []*post) []*group {
	var all []*group
	open := map[History]*group{}
	for _, p := range batch {
		g := open[p.history]
		if g == nil || p.message != nil {
			g = &group{}
			all = append(all, g)
			if p.message == nil {
				open[p.history] = g
			} else {
				delete(open, p.history) // what comes later stays later
			}
		}
		g.posts = append(g.posts, p)
	}
	for _, g := range all {
		g.call = r.call(g.posts)
	}
	return all
}

func (r *Router) call(posts []*post) redisx.Call {
	h := posts[0].history
	if posts[0].message != nil {
		return redisx.Call{Script: r.scripts.holders, Keys: []string{r.key(h, ":at")}}
	}
	c := redisx.Call{Script: r.scripts.publish}
	c.Keys = append(make([]string, 0, 4+len(posts)), r.key(h, ":h"), r.key(h, ":l"), r.key(h, ":at"), r.key(h, ":mem"))
	check := "0"
	if h.Kind == Room {
		check = "1"
	}
	mark := r.key(h, ":o:")
	named := make([]byte, len(posts))
	c.Args = append(make([]any, 0, 7+2*len(posts)), max(r.config.Keep, 0), r.config.KeepFor.Milliseconds(), r.newEpoch(), check,
		r.config.Dedup.Milliseconds(), transportMark.Milliseconds(), named)
	for i, p := range posts {
		named[i] = '0'
		if p.named {
			named[i] = '1'
		}
		c.Keys = append(c.Keys, mark+p.mark)
		c.Args = append(c.Args, p.body)
		if h.Kind == Room {
			c.Args = append(c.Args, p.author)
		}
	}
	return c
}

// stored reads what the script did with the posts of g, and sends the deliveries.
func (l *lane) stored(ctx context.Context, g *group, a *answer) error {
	r := l.r
	if g.posts[0].message != nil {
		holders := a.strings()
		if a.err != nil {
			return a.err
		}
		l.announce(ctx, g.posts[0], g.posts[0].message, holders)
		return nil
	}
	list := a.array(0)
	holders, epoch := list.strings(), a.str(1)
	a.err = errors.Join(a.err, list.err)
	type outcome struct {
		status, seq int64
		epoch, body string
	}
	outcomes := make([]outcome, len(g.posts))
	for i := range g.posts {
		if seq, stored := a.at(i + 2).(int64); stored {
			outcomes[i] = outcome{0, seq, epoch, ""}
			continue
		}
		v := a.array(i + 2)
		outcomes[i] = outcome{v.int(0), v.int(1), v.str(2), v.str(3)}
		a.err = errors.Join(a.err, v.err)
	}
	if a.err != nil {
		return a.err
	}
	for i, p := range g.posts {
		o := outcomes[i]
		switch o.status {
		case 0:
			r.stats.published.Add(1)
		case 1:
			r.stats.duplicates.Add(1)
			if o.body != "" {
				p.body = []byte(o.body) // the same number is always delivered with the same body
			}
		case 2:
			l.settle(p, ErrNotMember)
			continue
		}
		p.result, p.duplicate = message.Result{Seq: o.seq, Epoch: o.epoch}, o.status == 1
		m := &message.Message{Type: DeliveryType, To: p.history.address(), Seq: o.seq, Epoch: o.epoch, Payload: p.body}
		l.announce(ctx, p, m, holders)
	}
	return nil
}

// announce brings m to the holders and settles p when all have it.
func (l *lane) announce(ctx context.Context, p *post, m *message.Message, holders []string) {
	r := l.r
	p.message = m
	switch m.Type {
	case DeliveryType:
		r.pass(p.history, m.Seq, m.Epoch, m.Payload)
	case VolatileType:
		r.passVolatile(p.history, m.Payload)
	}
	if p.history.Kind == Global {
		l.expect(p, 1)
		l.carry(ctx, p, "", 0)
		return
	}
	others := holders[:0:0]
	for _, h := range holders {
		if h != r.me && r.config.Alive(h) {
			others = append(others, h)
		}
	}
	l.expect(p, len(others))
	for _, h := range others {
		l.carry(ctx, p, h, 0)
	}
}

// carry sends p's message to one holder (to all agents for ""), until the carrier takes it or a lease has
// passed: by then the holder is gone, or has read the history when it renewed its lease.
func (l *lane) carry(ctx context.Context, p *post, holder string, attempt int) {
	r := l.r
	done := func(err error) {
		switch {
		case err == nil:
		case holder != "" && errors.Is(err, ErrNoAgent):
			l.forget(ctx, p.history, holder)
		case p.message.Type != DeliveryType:
			l.confirm(p, err)
			return
		case time.Since(p.since) > r.config.Lease:
			r.stats.gaveUp.Add(1)
		default:
			l.later(backoff(attempt), func() { l.carry(ctx, p, holder, attempt+1) })
			return
		}
		l.confirm(p, nil)
	}
	if holder == "" {
		r.config.Carrier.Broadcast(p.message, done)
		return
	}
	r.config.Carrier.SendTo(holder, p.message, done)
}

func backoff(attempt int) time.Duration {
	return min(10*time.Millisecond<<min(attempt, 6), 500*time.Millisecond)
}
