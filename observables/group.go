package observables

import (
	"errors"
	"fmt"
	"time"
)

// GroupConfig says how GroupBy divides a stream.
type GroupConfig[T any, K comparable] struct {
	Key    func(T) K     // required
	Groups int           // at the same time; the one that has been idle for longest ends for a new one; 0 means 1024
	Idle   time.Duration // a group ends when nothing has come for it for so long; 0 means never
	Buffer Config        // of the groups' subscribers; one that is full and blocks holds up all groups
}

func (c *GroupConfig[T, K]) setDefaults() {
	if c.Groups == 0 {
		c.Groups = 1024
	}
}

func (c *GroupConfig[T, K]) validate() error {
	switch {
	case c.Key == nil:
		return errors.New("observables: GroupConfig.Key is required")
	case c.Groups < 0:
		return fmt.Errorf("observables: GroupConfig.Groups is %d, want 0 or more", c.Groups)
	case c.Idle < 0:
		return fmt.Errorf("observables: GroupConfig.Idle is %v, want 0 or more", c.Idle)
	}
	return nil
}

// Group is the items of one key.
type Group[T any, K comparable] struct {
	Key K
	Stream[T]
}

// GroupBy emits a group when the first item of a key comes, and then hands that key's items to the group's
// subscribers. Who wants the first item subscribes in the handler. A group completes when it is idle or must
// make room, and ends as the stream does; an item of its key that comes later begins another. Groups outlive
// a subscription to GroupBy by nothing.
func GroupBy[T any, K comparable](cfg GroupConfig[T, K]) (Op[T, Group[T, K]], error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return staged(false, func(st *staging[Group[T, K]]) stage[T, Group[T, K]] {
		g := &grouping[T, K]{cfg: &cfg, st: st, groups: make(map[K]*group[T, K])}
		return stage[T, Group[T, K]]{next: g.next, tick: g.tick, last: g.end}
	}), nil
}

// grouping is one subscription of GroupBy. Its groups are in a list by their last item.
type grouping[T any, K comparable] struct {
	cfg            *GroupConfig[T, K]
	st             *staging[Group[T, K]]
	groups         map[K]*group[T, K]
	oldest, newest *group[T, K]
}

type group[T any, K comparable] struct {
	key          K
	subject      *Subject[T]
	used         time.Time // zero: in this batch
	older, newer *group[T, K]
}

func (g *grouping[T, K]) next(v T) {
	key := g.cfg.Key(v)
	gr := g.groups[key]
	if gr == nil {
		if len(g.groups) >= g.cfg.Groups {
			g.remove(g.oldest, nil)
		}
		gr = &group[T, K]{key: key, subject: NewSubject[T](g.cfg.Buffer)}
		g.groups[key] = gr
		g.append(gr)
		g.st.emit(Group[T, K]{key, gr.subject.Stream()})
	} else if gr != g.newest {
		g.unlink(gr)
		g.append(gr)
	}
	gr.used = time.Time{}
	_ = gr.subject.Publish(g.st.ctx, v)
}

func (g *grouping[T, K]) tick(now time.Time) (wake time.Time) {
	for gr := g.newest; gr != nil && gr.used.IsZero(); gr = gr.older {
		gr.used = now
	}
	if g.cfg.Idle == 0 {
		return time.Time{}
	}
	for g.oldest != nil {
		if wake = g.oldest.used.Add(g.cfg.Idle); now.Before(wake) {
			return wake
		}
		g.remove(g.oldest, nil)
	}
	return time.Time{}
}

func (g *grouping[T, K]) end(err error) {
	for g.oldest != nil {
		g.remove(g.oldest, err)
	}
}

func (g *grouping[T, K]) remove(gr *group[T, K], err error) {
	g.unlink(gr)
	delete(g.groups, gr.key)
	gr.subject.finish(err)
}

func (g *grouping[T, K]) append(gr *group[T, K]) {
	gr.older, gr.newer = g.newest, nil
	if g.newest == nil {
		g.oldest = gr
	} else {
		g.newest.newer = gr
	}
	g.newest = gr
}

func (g *grouping[T, K]) unlink(gr *group[T, K]) {
	if gr.older == nil {
		g.oldest = gr.newer
	} else {
		gr.older.newer = gr.newer
	}
	if gr.newer == nil {
		g.newest = gr.older
	} else {
		gr.newer.older = gr.older
	}
}
