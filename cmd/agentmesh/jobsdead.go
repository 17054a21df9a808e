package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/jobs"
)

func (d *desk) dead() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dead",
		Short: "Look after dead letters: jobs that were given up",
		Long: `A job becomes a dead letter when its attempts are spent, when its handler says that trying again is useless, when too
many agents died over it, or when it cannot be read. A queue keeps about its last 10,000.`,
	}
	cmd.AddCommand(d.deadList(), d.deadRetry(), d.deadPurge())
	return cmd
}

type letterView struct {
	jobs.DeadLetter

	ID      string `json:"id"`
	Type    string `json:"type"`
	Key     string `json:"key,omitempty"`
	Attempt int    `json:"attempt"`
}

func (d *desk) deadList() *cobra.Command {
	var limit int
	var inboxes bool
	cmd := &cobra.Command{
		Use:   "ls (QUEUE | --inboxes)",
		Short: "List dead letters, the newest first",
		Long: `PLACE names a letter for retry and purge. REASON is permanent (the handler said so), attempts (they are spent), deliveries
(agents died over it) or malformed.`,
		Args: cobra.MaximumNArgs(1),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			queue, err := letterQueue(args, inboxes)
			if err != nil {
				return err
			}
			list, err := b.DeadLetters(ctx, queue, limit)
			if err != nil {
				return err
			}
			t := d.table(out, "PLACE\tID\tTYPE\tKEY\tDIED\tREASON\tERROR")
			for _, l := range list {
				p := letterView{DeadLetter: l, ID: l.Job.ID, Key: l.Job.Key, Attempt: l.Job.Attempt + 1}
				if l.Job.Message != nil {
					p.Type = l.Job.Message.Type
				}
				if err := t.row(p, "%s\t%s\t%s\t%s\t%s\t%s\t%s", l.Place, p.ID, p.Type, p.Key, l.At.Local().Format(time.DateTime), l.Reason, l.Error); err != nil {
					return err
				}
			}
			return t.end()
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most")
	cmd.Flags().BoolVar(&inboxes, "inboxes", false, "those of all agents' inboxes instead of a queue's")
	return cmd
}

// letterQueue is the queue of the arguments, empty for inboxes.
func letterQueue(args []string, inboxes bool) (string, error) {
	switch {
	case inboxes && len(args) == 0:
		return "", nil
	case !inboxes && len(args) > 0:
		return args[0], nil
	}
	return "", errors.New("name either a queue or --inboxes; `agentmesh jobs queues` lists the queues")
}

func (d *desk) deadRetry() *cobra.Command {
	return &cobra.Command{
		Use:   "retry QUEUE [PLACE ...]",
		Short: "Enqueue dead letters anew, all of a queue if no PLACE is given",
		Long: `They start over with their first attempt, at the end of the queue, and behind other jobs of their key. What is
malformed stays. Those of inboxes cannot be retried: the agent they were for may be gone.`,
		Args: cobra.MinimumNArgs(1),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			n, err := b.RetryDead(ctx, args[0], args[1:]...)
			if err != nil {
				return err
			}
			if n == 0 && len(args) > 1 {
				return fmt.Errorf("there is no such dead letter any more; `agentmesh jobs dead ls %s` lists them", args[0])
			}
			return d.said(out, map[string]any{"retried": n}, "retried %d", n)
		}),
	}
}

func (d *desk) deadPurge() *cobra.Command {
	var all, inboxes bool
	cmd := &cobra.Command{
		Use:   "purge (QUEUE | --inboxes) (PLACE ... | --all)",
		Short: "Delete dead letters for good",
		Args:  cobra.ArbitraryArgs,
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			queue, places := "", args
			if !inboxes {
				var err error
				if queue, err = letterQueue(args, false); err != nil {
					return err
				}
				places = args[1:]
			}
			if all == (len(places) > 0) {
				return errors.New("say which: either PLACEs as `agentmesh jobs dead ls` prints them, or --all; what is deleted cannot be brought back")
			}
			n, err := b.PurgeDead(ctx, queue, places...)
			if err != nil {
				return err
			}
			return d.said(out, map[string]any{"purged": n}, "purged %d", n)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	cmd.Flags().BoolVar(&inboxes, "inboxes", false, "those of all agents' inboxes instead of a queue's")
	return cmd
}
