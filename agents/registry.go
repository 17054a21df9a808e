package agents

import (
	"maps"
	"strconv"
	"sync"
)

// registry is every client of an agent, and who uses which session.
type registry struct {
	mu        sync.Mutex
	all       map[uint64]*client
	bySession map[string]map[*client]struct{}
	over      map[string]int // how many, by transport
	next      uint64
}

func newRegistry() *registry {
	return &registry{
		all: make(map[uint64]*client), bySession: make(map[string]map[*client]struct{}),
		over: map[string]int{overZeroMQ: 0, overWebSocket: 0},
	}
}

func (r *registry) add(c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	c.key, c.name = r.next, strconv.FormatUint(r.next, 10)
	r.all[c.key] = c
	r.over[c.transport]++
}

func (r *registry) remove(c *client) {
	s, _ := c.identity()
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.all[c.key]; there {
		delete(r.all, c.key)
		r.over[c.transport]--
	}
	r.unindex(c, s.Digest)
}

// indexSession moves c from the users of one session to those of another; either may be empty.
func (r *registry) indexSession(c *client, from, to string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unindex(c, from)
	if _, there := r.all[c.key]; !there || to == "" {
		return
	}
	users := r.bySession[to]
	if users == nil {
		users = make(map[*client]struct{}, 1)
		r.bySession[to] = users
	}
	users[c] = struct{}{}
}

func (r *registry) unindex(c *client, digest string) {
	users := r.bySession[digest]
	delete(users, c)
	if len(users) == 0 {
		delete(r.bySession, digest)
	}
}

// ofSession lists the clients bound to a session.
func (r *registry) ofSession(digest string) []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*client, 0, len(r.bySession[digest]))
	for c := range r.bySession[digest] {
		list = append(list, c)
	}
	return list
}

// digests lists the sessions in use.
func (r *registry) digests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]string, 0, len(r.bySession))
	for d := range r.bySession {
		list = append(list, d)
	}
	return list
}

// sessions counts the sessions in use.
func (r *registry) sessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.bySession)
}

// transports counts the clients.
func (r *registry) transports() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.over)
}

func (r *registry) snapshot() []*client {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*client, 0, len(r.all))
	for _, c := range r.all {
		list = append(list, c)
	}
	return list
}
