package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// AgentInfo is one living agent.
type AgentInfo struct {
	Incarnation string    `json:"-"`
	Name        string    `json:"name"`
	Queues      []string  `json:"queues"`
	Since       time.Time `json:"since"`
}

// A census is the list of living agents as it was a moment ago.
type census struct {
	b    *Broker
	now  atomic.Pointer[snapshot]
	poke chan struct{} // read again at once

	mu    sync.Mutex
	known map[string]AgentInfo // what an agent tells of itself never changes, so it is read once
}

type snapshot struct {
	agents map[string]AgentInfo
	queues map[string]int
	dead   map[string]int64 // when they were declared dead
}

// censusEvery is how old the list may be.
const censusEvery = time.Second

func (c *census) init(b *Broker) {
	c.b, c.poke, c.known = b, make(chan struct{}, 1), make(map[string]AgentInfo)
	c.now.Store(&snapshot{})
}

// keep refreshes the list until ctx ends.
func (c *census) keep(ctx context.Context) {
	tick := time.NewTicker(censusEvery)
	defer tick.Stop()
	for {
		if _, err := c.take(ctx, false); err != nil {
			c.b.trouble(ctx, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.poke:
		}
	}
}

// again makes keep refresh the list soon.
func (c *census) again() {
	select {
	case c.poke <- struct{}{}:
	default:
	}
}

// take reads the list anew; with declare it declares those dead whose time has run out.
func (c *census) take(ctx context.Context, declare bool) (*snapshot, error) {
	tag := c.b.keys.agents()
	flag := 0
	if declare {
		flag = 1
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	answer, err := c.b.redis.Eval(ctx, censusScript, []string{tag, tag + ":dead"}, flag).Slice()
	if err != nil {
		return nil, err
	}
	living, dead := texts(answer[0]), texts(answer[1])
	s := &snapshot{agents: make(map[string]AgentInfo, len(living)), queues: make(map[string]int), dead: make(map[string]int64, len(dead)/2)}
	for i := 0; i+1 < len(dead); i += 2 {
		s.dead[dead[i]] = whole(dead[i+1])
	}
	infos, err := c.describe(ctx, living)
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		s.agents[info.Incarnation] = info
		for _, q := range info.Queues {
			s.queues[q]++
		}
	}
	c.now.Store(s)
	return s, nil
}

// describe gives what the living tell of themselves, and forgets the others.
func (c *census) describe(ctx context.Context, living []string) ([]AgentInfo, error) {
	c.mu.Lock()
	known := maps.Clone(c.known)
	c.mu.Unlock()
	var unknown []string
	for _, inc := range living {
		if _, ok := known[inc]; !ok {
			unknown = append(unknown, inc)
		}
	}
	for chunk := range slices.Chunk(unknown, maxBatch) {
		values, err := c.b.redis.HMGet(ctx, c.b.keys.agents()+":i", chunk...).Result()
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			info := AgentInfo{}
			if text, ok := v.(string); !ok || json.Unmarshal([]byte(text), &info) != nil {
				continue // it was forgotten meanwhile
			}
			info.Incarnation = chunk[i]
			known[chunk[i]] = info
		}
	}
	infos := make([]AgentInfo, 0, len(living))
	next := make(map[string]AgentInfo, len(living))
	for _, inc := range living {
		if info, ok := known[inc]; ok {
			infos = append(infos, info)
			next[inc] = info
		}
	}
	c.mu.Lock()
	c.known = next
	c.mu.Unlock()
	return infos, nil
}

// Agents asks Redis for the living agents, sorted by name and incarnation.
func (b *Broker) Agents(ctx context.Context) ([]AgentInfo, error) {
	s, err := b.agents.take(ctx, false)
	if err != nil {
		return nil, fmt.Errorf("jobs: list agents: %w", err)
	}
	return slices.SortedFunc(maps.Values(s.agents), func(x, y AgentInfo) int {
		if x.Name != y.Name {
			if x.Name < y.Name {
				return -1
			}
			return 1
		}
		if x.Incarnation < y.Incarnation {
			return -1
		}
		return 1
	}), nil
}

// Alive says whether an agent was alive about a second ago. It costs nothing.
func (b *Broker) Alive(incarnation string) bool {
	_, ok := b.agents.now.Load().agents[incarnation]
	return ok
}

// HasWorkers says whether any living agent works on queue, as of about a second ago. It costs nothing.
func (b *Broker) HasWorkers(queue string) bool { return b.agents.now.Load().queues[queue] > 0 }
