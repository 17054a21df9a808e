package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/jobs"
)

// drain works a queue off. It only closes the queue and watches: the agents do the work.
func (d *desk) drain() *cobra.Command {
	var within time.Duration
	var reopen bool
	cmd := &cobra.Command{
		Use:   "drain QUEUE",
		Short: "Close a queue and wait until all it holds is worked off",
		Long: `drain makes QUEUE refuse new jobs and waits until the agents have done what it holds: ready, active, delayed and
to be tried again, with all that leads to. Nothing is lost or left behind: when it is interrupted, or --within has
passed, the queue stays closed, the agents go on, and drain can be called again. Afterwards it stays closed until
` + "`agentmesh jobs open`" + `, unless --reopen is given. Dead letters stay where they are.

On a terminal it shows how far it is; with --json it prints what the queue holds once a second.`,
		Args: cobra.ExactArgs(1),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			queue := args[0]
			if err := known(ctx, b, queue); err != nil {
				return err
			}
			if within > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, within)
				defer cancel()
			}
			if err := b.Close(ctx, queue); err != nil {
				return err
			}
			p := &progress{desk: d, out: out, terminal: !d.json && isTerminal(out)}
			begin, first := time.Now(), int64(-1)
			for {
				s, err := look(ctx, b, queue)
				if err != nil && ctx.Err() == nil {
					return err
				}
				if first < 0 && err == nil {
					first = s.Left()
				}
				switch {
				case ctx.Err() != nil:
					p.end()
					return fmt.Errorf("%s is closed, and not worked off yet; `agentmesh jobs queues` shows it, drain waits again, open takes new jobs: %w", queue, context.Cause(ctx))
				case s.Left() == 0:
					p.end()
					if reopen {
						if err := b.Open(ctx, queue); err != nil {
							return err
						}
					}
					state := map[bool]string{true: "open", false: "closed"}[reopen]
					return d.said(out, map[string]any{"queue": queue, "drained": first, "dead": s.Dead, "state": state},
						"%s is empty after %v, and %s", queue, time.Since(begin).Round(time.Millisecond), state)
				case s.Paused:
					p.end()
					return fmt.Errorf("%s is paused and holds %d jobs: `agentmesh jobs resume %s`, then drain again; it stays closed", queue, s.Left(), queue)
				case s.Workers == 0:
					p.end()
					return fmt.Errorf("no agent works on %s, and it holds %d jobs: start one, or `agentmesh jobs move` them; it stays closed", queue, s.Left())
				}
				if err := p.show(s, first); err != nil {
					return err
				}
				select {
				case <-ctx.Done():
				case <-time.After(p.pause()):
				}
			}
		}),
	}
	cmd.Flags().DurationVar(&within, "within", 0, "give up waiting after so long; 0 never")
	cmd.Flags().BoolVar(&reopen, "reopen", false, "take new jobs again when it is empty")
	return cmd
}

// progress shows how far a drain is.
type progress struct {
	*desk

	out      io.Writer
	terminal bool
	shown    bool
	last     time.Time
}

func (p *progress) pause() time.Duration {
	if p.terminal || p.json {
		return 100 * time.Millisecond
	}
	return 250 * time.Millisecond
}

func (p *progress) show(s jobs.QueueStats, first int64) error {
	switch {
	case p.terminal:
		const width = 30
		first = max(first, s.Left(), 1)
		done := int((first - s.Left()) * width / first)
		bar := make([]byte, width)
		for i := range bar {
			bar[i] = '.'
			if i < done {
				bar[i] = '#'
			}
		}
		p.shown = true
		_, err := fmt.Fprintf(p.out, "\r\x1b[K[%s] %d left: %d waiting, %d active, %d blocked, %d aside", bar, s.Left(), s.Waiting, s.Active, s.Blocked, s.Aside)
		return err
	case p.json && time.Since(p.last) > time.Second:
		p.last = time.Now()
		return p.said(p.out, map[string]any{"queue": s.Name, "left": s.Left(), "waiting": s.Waiting, "active": s.Active, "blocked": s.Blocked, "aside": s.Aside}, "")
	}
	return nil
}

// end leaves the line of the bar.
func (p *progress) end() {
	if p.shown {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

// isTerminal says whether somebody watches.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// limits shows or changes the limits of a queue.
func (d *desk) limits() *cobra.Command {
	var l jobs.Limit
	var kind string
	var key, clean bool
	cmd := &cobra.Command{
		Use:   "limits QUEUE",
		Short: "Show what limits a queue, or change it",
		Long: `Without flags limits shows them. With --rate, --burst and --concurrency it sets those of the whole queue, or with
--type of one type of message, or with --per-key of each key by itself; the others stay. --clear takes all of them
away. Agents follow within about a second; what must wait keeps no agent busy and is no failure.

  agentmesh jobs limits mail --rate 50 --burst 100
  agentmesh jobs limits mail --type Newsletter --concurrency 2
  agentmesh jobs limits mail --clear`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.Float64Var(&l.Rate, "rate", 0, "jobs a second that may begin; 0 for any number")
	f.IntVar(&l.Burst, "burst", 0, "how many of them at once after a quiet time; 0 for one")
	f.IntVar(&l.Concurrency, "concurrency", 0, "jobs that may run at a time, on all agents together; 0 for any number")
	f.StringVar(&kind, "type", "", "only messages of this type")
	f.BoolVar(&key, "per-key", false, "each key by itself; only a rate")
	f.BoolVar(&clean, "clear", false, "take all limits away")
	cmd.MarkFlagsMutuallyExclusive("type", "per-key", "clear")
	cmd.RunE = d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
		s, err := look(ctx, b, args[0])
		if err != nil {
			return err
		}
		now := jobs.Limits{}
		if s.Limits != nil {
			now = *s.Limits
		}
		changed := f.Changed("rate") || f.Changed("burst") || f.Changed("concurrency")
		switch {
		case clean && changed:
			return errors.New("--clear goes alone")
		case clean:
			now, changed = jobs.Limits{}, true
		case !changed && (kind != "" || key):
			return errors.New("say --rate, --burst or --concurrency; 0 takes one away")
		case kind != "":
			if now.Kinds == nil {
				now.Kinds = make(map[string]jobs.Limit)
			}
			if now.Kinds[kind] = l; l == (jobs.Limit{}) {
				delete(now.Kinds, kind)
			}
		case key:
			now.Key = l
		case changed:
			now.Queue = l
		}
		if changed {
			if err := b.SetLimits(ctx, args[0], now); err != nil {
				return err
			}
		}
		return d.showLimits(out, args[0], now)
	})
	return cmd
}

func (d *desk) showLimits(out io.Writer, queue string, l jobs.Limits) error {
	if d.json {
		return d.said(out, map[string]any{"queue": queue, "limits": l}, "")
	}
	t := d.table(out, "OF\tRATE\tBURST\tCONCURRENCY")
	one := func(of string, l jobs.Limit) error {
		if l == (jobs.Limit{}) {
			return nil
		}
		return t.row(nil, "%s\t%s\t%s\t%s", of, some(l.Rate), some(l.Burst), some(l.Concurrency))
	}
	if err := one("the queue", l.Queue); err != nil {
		return err
	}
	for kind, k := range l.Kinds {
		if err := one("type "+kind, k); err != nil {
			return err
		}
	}
	if err := one("each key", l.Key); err != nil {
		return err
	}
	return t.end()
}

// some shows a number, or nothing for none.
func some[T float64 | int](n T) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
