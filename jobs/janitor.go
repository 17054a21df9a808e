package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/redis/go-redis/v9"
)

// tidyEvery is how often an agent looks whether it is its turn to tidy up.
const tidyEvery = 5 * time.Minute

// Tidied is what was mended.
type Tidied struct {
	Consumers int // of killed workers, forgotten
	Mailboxes int // whose active job was gone
	Aside     int // jobs without a time, and what limits counted though it was gone
}

// tidyUp tidies up until the worker stops; of all agents one at a time does.
func (w *Worker) tidyUp(ctx context.Context) {
	for !w.halted() {
		w.until(ctx, tidyEvery/2+rand.N(tidyEvery))
		if w.halted() {
			return
		}
		if ok, err := w.b.redis.SetNX(ctx, w.b.keys.janitor(), w.me, tidyEvery*3/4).Result(); err != nil || !ok {
			continue
		}
		if t, err := w.b.Tidy(ctx); err != nil {
			w.b.trouble(ctx, err)
			w.b.cfg.Logger.Warn("tidying up failed; it is tried again", "error", err)
		} else if t != (Tidied{}) {
			w.b.cfg.Logger.Info("tidied up", "consumers", t.Consumers, "mailboxes", t.Mailboxes, "aside", t.Aside)
		}
	}
}

// Tidy mends what killed workers, deletions by hand and lost data leave behind. Workers do it now and then;
// repeating it is harmless. It scans the names of all keys, in steps.
func (b *Broker) Tidy(ctx context.Context) (Tidied, error) {
	var t Tidied
	queues, err := b.redis.SMembers(ctx, b.keys.queues()).Result()
	if err != nil {
		return t, fmt.Errorf("jobs: tidy up: %w", err)
	}
	living, err := b.agents.take(ctx, false)
	if err != nil {
		return t, fmt.Errorf("jobs: tidy up: %w", err)
	}
	for _, queue := range queues {
		for part := range b.cfg.Partitions {
			n, err := b.forgetConsumers(ctx, b.keys.queue(queue, part), living)
			if err != nil {
				return t, fmt.Errorf("jobs: tidy up queue %s: %w", queue, err)
			}
			t.Consumers += n
		}
		cmds, err := b.each(ctx, queue, func(tag string) redisx.Call {
			return redisx.Call{Script: tidyScript, Keys: []string{tag + ":j", tag + ":d", tag + ":f"}, Args: []any{tag}}
		})
		if err != nil {
			return t, err
		}
		for _, cmd := range cmds {
			n, _ := cmd.Int()
			t.Aside += n
		}
	}
	if t.Mailboxes, err = b.mend(ctx); err != nil {
		return t, fmt.Errorf("jobs: tidy up mailboxes: %w", err)
	}
	return t, nil
}

// forgetConsumers ends memberships of agents that are not alive any more. What they held was taken over. One
// that is alive after all becomes a member again by reading.
func (b *Broker) forgetConsumers(ctx context.Context, tag string, living *snapshot) (total int, err error) {
	for level := range maxPriority + 1 {
		stream := fmt.Sprintf("%s:s%d", tag, level)
		members, err := b.redis.XInfoConsumers(ctx, stream, "g").Result()
		if err != nil {
			continue // there is no such queue any more
		}
		var gone []any
		for _, c := range members {
			if _, alive := living.agents[c.Name]; !alive && c.Pending == 0 && len(gone) < maxBatch {
				gone = append(gone, c.Name)
			}
		}
		if len(gone) == 0 {
			continue
		}
		n, err := b.redis.Eval(ctx, consumersScript, []string{stream}, gone...).Int()
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// mend looks at every mailbox.
func (b *Broker) mend(ctx context.Context) (total int, err error) {
	scan := func(ctx context.Context, node redis.Cmdable) error {
		for cursor := uint64(0); ; {
			names, next, err := node.Scan(ctx, cursor, "{"+b.cfg.Prefix+":q:*}:k:*", 500).Result()
			if err != nil {
				return err
			}
			byTag := make(map[string][]any)
			for _, name := range names {
				if tag, key, ok := strings.Cut(name, "}:k:"); ok {
					byTag[tag+"}"] = append(byTag[tag+"}"], key)
				}
			}
			for tag, keys := range byTag {
				n, err := b.redis.Eval(ctx, mendScript, []string{tag + ":meta"}, append([]any{tag}, keys...)...).Int()
				if err != nil {
					return err
				}
				total += n
			}
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	if cluster, ok := b.redis.UniversalClient.(*redis.ClusterClient); ok {
		var nodes []*redis.Client // one after the other: scan counts
		collect := make(chan *redis.Client, 1024)
		err := cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
			collect <- node
			return nil
		})
		close(collect)
		for node := range collect {
			nodes = append(nodes, node)
		}
		for _, node := range nodes {
			if err == nil {
				err = scan(ctx, node)
			}
		}
		return total, err
	}
	return total, scan(ctx, b.redis.UniversalClient)
}
