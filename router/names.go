package router

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

//go:embed scripts/claim.lua
var claimSource string

//go:embed scripts/resolve.lua
var resolveSource string

//go:embed scripts/unclaim.lua
var unclaimSource string

// ErrTaken says that a living agent has a name.
var ErrTaken = errors.New("router: the name is taken")

// shards is how many hash tags names are spread over; an agent prolongs its claims once for each.
const shards = 16

// NamesConfig says how Names works.
type NamesConfig struct {
	Redis       *redisx.Client // required
	Incarnation string         // required: names this run of this agent
	Prefix      string         // of all keys; "" means "m"
	Lease       time.Duration  // how long the names of a crashed agent stay taken; 0 means 3 s
	// Lost is told of a name that turns out to be another agent's: one that was wanted for longer than the
	// lease, or held while Redis was away. It must not block.
	Lost   func(name string)
	Logger *slog.Logger // nil: slog.Default()
}

// Names is who has which name in the mesh: of several agents that claim one the first has it, until it gives
// it up or dies and its lease runs out. Names are any bytes. All methods are safe for concurrent use.
type Names struct {
	cfg                     NamesConfig
	claim, resolve, unclaim *redisx.Script
	kick                    chan struct{}

	mu   sync.Mutex
	held map[string]*name
	left []string // given up, and not yet told
}

// A name is one that this agent has or wants.
type name struct {
	users  int
	taken  bool      // another agent has it
	unsure bool      // Redis has not answered
	since  time.Time // it is wanted
}

// NewNames makes Names. It does no I/O.
func NewNames(cfg NamesConfig) (*Names, error) {
	or(&cfg.Prefix, "m")
	or(&cfg.Lease, 3*time.Second)
	if cfg.Redis == nil || cfg.Incarnation == "" {
		return nil, errors.New("router: NamesConfig: Redis and Incarnation are required")
	}
	if cfg.Lease < 100*time.Millisecond {
		return nil, errors.New("router: NamesConfig.Lease must be at least 100 ms")
	}
	if cfg.Lost == nil {
		cfg.Lost = func(string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return &Names{
		cfg: cfg, held: make(map[string]*name), kick: make(chan struct{}, 1),
		claim: redisx.NewScript(claimSource), resolve: redisx.NewScript(resolveSource), unclaim: redisx.NewScript(unclaimSource),
	}, nil
}

func (n *Names) tag(shard int) string { return "{" + n.cfg.Prefix + ":n:" + strconv.Itoa(shard) + "}" }

func shardOf(name string) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return int(h.Sum32() % shards)
}

// Claim takes a name and returns ErrTaken when another agent has it. Each Claim that returns nil wants a
// Release. When Redis cannot be asked the name is taken as ours until it can.
func (n *Names) Claim(ctx context.Context, s string) error {
	if n.Want(ctx, s) {
		return nil
	}
	n.Release(s)
	return ErrTaken
}

// Want is Claim that goes on trying when another agent has the name, for a lease: that one may be dead. It
// reports whether it was free; Has says later whether it is ours. After a lease Lost is told. Each Want wants a
// Release.
func (n *Names) Want(ctx context.Context, s string) bool {
	n.mu.Lock()
	at := n.held[s]
	if at != nil {
		at.users++
		taken := at.taken
		n.mu.Unlock()
		return !taken
	}
	at = &name{users: 1, since: time.Now()}
	n.held[s] = at
	n.mu.Unlock()
	_, taken, err := n.call(ctx, shardOf(s), []string{s})
	n.mu.Lock()
	defer n.mu.Unlock()
	at.taken, at.unsure = len(taken) > 0, err != nil
	if now := n.held[s]; now == nil { // given up meanwhile, and perhaps told before Redis heard of the claim
		n.left = append(n.left, s)
		n.poke()
	} else if now != at {
		now.unsure = true
	}
	return len(taken) == 0
}

// Has says whether a name is ours, as far as this agent knows. It costs nothing.
func (n *Names) Has(s string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.held[s]
	return at != nil && !at.taken
}

// Release gives a name up, soon.
func (n *Names) Release(s string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := n.held[s]
	if at == nil {
		return
	}
	if at.users--; at.users > 0 {
		return
	}
	delete(n.held, s)
	if !at.taken {
		n.left = append(n.left, s)
		n.poke()
	}
}

func (n *Names) poke() {
	select {
	case n.kick <- struct{}{}:
	default:
	}
}

// call claims names of one shard, and says whether the claims there held until now and which were refused.
func (n *Names) call(ctx context.Context, shard int, names []string) (held bool, taken []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Lease/3)
	defer cancel()
	tag := n.tag(shard)
	args := []any{n.cfg.Incarnation, n.cfg.Lease.Milliseconds(), tag}
	for _, s := range names {
		args = append(args, s)
	}
	answer, err := n.cfg.Redis.Eval(ctx, n.claim, []string{tag, tag + ":l"}, args...).Int64Slice()
	if err != nil {
		return false, nil, fmt.Errorf("router: claim names: %w", err)
	}
	for _, i := range answer[1:] {
		taken = append(taken, names[i-1])
	}
	return answer[0] == 1, taken, nil
}

// Resolve tells which incarnation has each name, "" for nobody.
func (n *Names) Resolve(ctx context.Context, names []string) ([]string, error) {
	var where [shards][]int
	for i, s := range names {
		where[shardOf(s)] = append(where[shardOf(s)], i)
	}
	var calls []redisx.Call
	var about [][]int
	for shard, list := range where {
		if len(list) == 0 {
			continue
		}
		args := make([]any, len(list))
		for i, at := range list {
			args[i] = names[at]
		}
		tag := n.tag(shard)
		calls = append(calls, redisx.Call{Script: n.resolve, Keys: []string{tag, tag + ":l"}, Args: args})
		about = append(about, list)
	}
	found := make([]string, len(names))
	for c, cmd := range n.cfg.Redis.EvalAll(ctx, calls) {
		answer, err := cmd.StringSlice()
		if err != nil {
			return nil, fmt.Errorf("router: resolve names: %w", err)
		}
		for i, at := range about[c] {
			found[at] = answer[i]
		}
	}
	return found, nil
}

// Run keeps the claims alive until ctx ends, then gives them up.
func (n *Names) Run(ctx context.Context) error {
	tick := time.NewTicker(n.cfg.Lease / 12)
	defer tick.Stop()
	for round, due := 0, true; ; {
		switch {
		case due && round%4 == 0:
			n.renew(ctx, round%40 == 0)
		case due:
			n.claimWanted(ctx)
		}
		if due {
			round++
		}
		n.tellLeft(ctx)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.Lease/3)
			defer cancel()
			n.mu.Lock()
			for s := range n.held {
				n.left = append(n.left, s)
			}
			clear(n.held)
			n.mu.Unlock()
			n.tellLeft(last)
			return nil
		case <-tick.C:
			due = true
		case <-n.kick:
			due = false
		}
	}
}

// renew prolongs the claims of each shard in which this agent has any, and claims anew what it wants and has
// not; now and then everything: Redis may have lost a part.
func (n *Names) renew(ctx context.Context, all bool) {
	var have, want [shards][]string
	n.mu.Lock()
	for s, at := range n.held {
		shard := shardOf(s)
		have[shard] = append(have[shard], s)
		if at.taken || at.unsure || all {
			want[shard] = append(want[shard], s)
		}
	}
	n.mu.Unlock()
	for shard := range shards {
		if len(have[shard]) == 0 || ctx.Err() != nil {
			continue
		}
		if err := n.renewShard(ctx, shard, have[shard], want[shard]); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("renewing the claims of names failed; it is tried again", "error", err)
			return
		}
	}
}

// claimWanted tries to get what another agent has or had.
func (n *Names) claimWanted(ctx context.Context) {
	var want [shards][]string
	n.mu.Lock()
	for s, at := range n.held {
		if at.taken || at.unsure {
			want[shardOf(s)] = append(want[shardOf(s)], s)
		}
	}
	n.mu.Unlock()
	for shard, list := range want {
		for chunk := range slices.Chunk(list, batchSize) {
			_, taken, err := n.call(ctx, shard, chunk)
			if err != nil {
				return // renew tells of it
			}
			n.learn(chunk, taken)
		}
	}
}

func (n *Names) renewShard(ctx context.Context, shard int, have, want []string) error {
	held, _, err := n.call(ctx, shard, nil)
	if err != nil {
		return err
	}
	if !held {
		want = have
	}
	for chunk := range slices.Chunk(want, batchSize) {
		_, taken, err := n.call(ctx, shard, chunk)
		if err != nil {
			return err
		}
		n.learn(chunk, taken)
	}
	return nil
}

// learn notes what became of claims.
func (n *Names) learn(asked, taken []string) {
	var lost []string
	n.mu.Lock()
	for _, s := range asked {
		at := n.held[s]
		if at == nil {
			n.left = append(n.left, s) // given up meanwhile
			continue
		}
		was := at.taken
		at.taken, at.unsure = slices.Contains(taken, s), false
		if at.taken && (!was || time.Since(at.since) > n.cfg.Lease+n.cfg.Lease/3) {
			lost = append(lost, s)
		}
	}
	n.mu.Unlock()
	for _, s := range lost {
		n.cfg.Lost(s)
	}
}

// tellLeft takes names out of Redis, as far as it can be reached; else their lease never ends while this agent
// has others, so they are kept for the next time.
func (n *Names) tellLeft(ctx context.Context) {
	n.mu.Lock()
	left := n.left
	n.left = nil
	var byShard [shards][]any
	for _, s := range left {
		if n.held[s] == nil { // not claimed again meanwhile
			byShard[shardOf(s)] = append(byShard[shardOf(s)], s)
		}
	}
	n.mu.Unlock()
	for shard, list := range byShard {
		for chunk := range slices.Chunk(list, batchSize) {
			c, cancel := context.WithTimeout(ctx, n.cfg.Lease/3)
			tag := n.tag(shard)
			err := n.cfg.Redis.Eval(c, n.unclaim, []string{tag, tag + ":of:" + n.cfg.Incarnation}, append([]any{n.cfg.Incarnation}, chunk...)...).Err()
			cancel()
			n.mu.Lock()
			for _, v := range chunk {
				s, _ := v.(string)
				if err != nil {
					n.left = append(n.left, s)
				} else if at := n.held[s]; at != nil { // claimed again meanwhile: in which order is not known
					at.unsure = true
				}
			}
			n.mu.Unlock()
		}
	}
}
