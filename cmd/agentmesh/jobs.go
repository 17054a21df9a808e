package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
)

// desk is what the jobs commands share.
type desk struct {
	redis, prefix string
	partitions    int
	json          bool
}

func jobsCommand() *cobra.Command {
	d := &desk{}
	cmd := &cobra.Command{
		Use:   "jobs",
		Short: "Look at the queues of a live mesh, and help them along",
		Long: `Jobs are what agents hand to one another through Redis. These commands talk to the broker itself, so they work
while agents run, and when none does.

What is wrong?
  agentmesh jobs queues                  # waiting and no workers? blocked, paused, dead letters?
  agentmesh jobs ls chat                 # which jobs, where, held by whom
  agentmesh jobs trace chat ID           # where is that one?
  agentmesh jobs dead ls chat            # what was given up, and why

What to do?
  agentmesh jobs pause chat              # agents stop taking jobs within a second; nothing is lost
  agentmesh jobs dead retry chat         # after the fix: all over again
  agentmesh jobs resume chat`,
	}
	f := cmd.PersistentFlags()
	f.StringVar(&d.redis, "redis", defaultRedis, "URL of the broker")
	f.StringVar(&d.prefix, "prefix", "m", "prefix of the mesh's keys")
	f.IntVar(&d.partitions, "partitions", 0, "partitions per queue, as the agents have; 0 asks the mesh")
	f.BoolVar(&d.json, "json", false, "one JSON object a line")
	cmd.AddCommand(
		d.queues(), d.list(), d.show(), d.trace(), d.dead(), d.cancel(), d.move(), d.cron(), d.limits(), d.drain(),
		d.setting("pause QUEUE", "Make all agents stop taking jobs from a queue, within about a second", "paused",
			"What runs goes on, and enqueueing does too. `agentmesh jobs resume` ends it.", (*jobs.Broker).Pause),
		d.setting("resume QUEUE", "End a pause", "resumed", "Agents take jobs again within about a second.", (*jobs.Broker).Resume),
		d.setting("close QUEUE", "Make a queue refuse new jobs", "closed",
			"What it holds is worked off, with what that leads to. `agentmesh jobs open` ends it.", (*jobs.Broker).Close),
		d.setting("open QUEUE", "Make a queue take jobs again after close or drain", "open", "It takes jobs at once.", (*jobs.Broker).Open),
	)
	return cmd
}

// with opens the broker for one command.
func (d *desk) with(run func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := redisx.Open(d.redis)
		if err != nil {
			return err
		}
		defer func() { _ = client.Close() }()
		if err := client.Ping(cmd.Context()).Err(); err != nil {
			return unreachable(err)
		}
		parts, err := jobs.Partitions(cmd.Context(), client, d.prefix, d.partitions, false)
		if err != nil {
			return err
		}
		b, err := jobs.New(jobs.Config{Redis: client, Prefix: d.prefix, Partitions: parts, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			return err
		}
		return run(cmd.Context(), b, cmd.OutOrStdout(), args)
	}
}

// table prints rows under a heading, or each as JSON.
type table struct {
	json *json.Encoder
	text *tabwriter.Writer
}

func (d *desk) table(out io.Writer, heading string) *table {
	if d.json {
		return &table{json: json.NewEncoder(out)}
	}
	t := &table{text: tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)}
	fmt.Fprintln(t.text, heading)
	return t
}

func (t *table) row(v any, format string, args ...any) error {
	if t.json != nil {
		return t.json.Encode(v)
	}
	_, err := fmt.Fprintf(t.text, format+"\n", args...)
	return err
}

func (t *table) end() error {
	if t.json != nil {
		return nil
	}
	return t.text.Flush()
}

// said prints the outcome of a command that changes something.
func (d *desk) said(out io.Writer, v map[string]any, format string, args ...any) error {
	if d.json {
		return json.NewEncoder(out).Encode(v)
	}
	_, err := fmt.Fprintf(out, format+"\n", args...)
	return err
}

func (d *desk) queues() *cobra.Command {
	return &cobra.Command{
		Use:   "queues",
		Short: "Count what each queue holds, and who works on it",
		Long: `queues lists every queue that anybody has worked on or enqueued to.

  WAITING  ready, but no worker has taken it       ACTIVE  held by a worker
  BLOCKED  behind another job of its key           ASIDE   delayed, to be tried again, or over a limit
  DEAD     given up; see agentmesh jobs dead ls    OLDEST  age of the oldest that waits or is active`,
		Args: cobra.NoArgs,
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, _ []string) error {
			list, err := b.Queues(ctx)
			if err != nil {
				return err
			}
			t := d.table(out, "QUEUE\tWORKERS\tWAITING\tACTIVE\tBLOCKED\tASIDE\tDEAD\tOLDEST\t")
			for _, q := range list {
				note := ""
				switch {
				case q.Paused && q.Closed:
					note = "paused, closed"
				case q.Paused:
					note = "paused"
				case q.Closed:
					note = "closed"
				case q.Workers == 0 && q.Waiting > 0:
					note = "nobody works on it"
				}
				if err := t.row(q, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s", q.Name, q.Workers, q.Waiting, q.Active, q.Blocked, q.Aside, q.Dead,
					q.Oldest.Round(time.Millisecond), note); err != nil {
					return err
				}
			}
			return t.end()
		}),
	}
}

// jobView is a job as ls, show and trace print it.
type jobView struct {
	jobs.Sighting

	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Key      string          `json:"key,omitempty"`
	Priority int             `json:"priority,omitempty"`
	Attempt  int             `json:"attempt"`
	Created  time.Time       `json:"created,omitzero"`
	Deadline time.Time       `json:"deadline,omitzero"`
	Message  json.RawMessage `json:"message,omitempty"`
}

func viewOf(s jobs.Sighting) jobView {
	j := s.Job
	l := jobView{Sighting: s, ID: j.ID, Key: j.Key, Priority: j.Priority, Attempt: j.Attempt + 1, Created: j.Created, Deadline: j.Deadline}
	if j.Message != nil {
		l.Type = j.Message.Type
	}
	return l
}

const jobHeading = "STATE\tID\tTYPE\tKEY\tATTEMPT\tCREATED\tWHERE"

func (t *table) job(s jobs.Sighting) error {
	l := viewOf(s)
	where := s.Place
	switch {
	case s.Worker != "":
		where = fmt.Sprintf("agent %s, delivery %d, renewed %s ago", s.Worker, s.Deliveries, s.Held.Round(time.Millisecond))
	case s.Error != "":
		where = s.Place + " " + s.Error
	case !s.Due.IsZero():
		where = "until " + s.Due.Local().Format(time.DateTime)
	}
	created := ""
	if !l.Created.IsZero() {
		created = l.Created.Local().Format(time.DateTime)
	}
	return t.row(l, "%s\t%s\t%s\t%s\t%d\t%s\t%s", s.State, l.ID, l.Type, l.Key, l.Attempt, created, where)
}

func (d *desk) list() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "ls QUEUE",
		Short: "List the jobs of a queue",
		Long: `ls walks over what the queue holds: ready and active jobs, the urgent first, then what is put aside, then what waits
behind another job of its key. It is no snapshot: jobs move while it looks.`,
		Args: cobra.ExactArgs(1),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			t := d.table(out, jobHeading)
			n := 0
			for s, err := range b.Jobs(ctx, args[0]) {
				if err != nil {
					return err
				}
				if err := t.job(s); err != nil {
					return err
				}
				if n++; n == limit {
					break
				}
			}
			return t.end()
		}),
	}
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 means all, up to 10,000 of each kind")
	return cmd
}

// find traces a job, and fails with advice when there is none.
func find(ctx context.Context, b *jobs.Broker, queue, id string) ([]jobs.Sighting, error) {
	found, err := b.Trace(ctx, queue, id)
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("no trace of job %s in queue %s: it is done, or was never there\n"+
			"`agentmesh jobs queues` lists the queues, `agentmesh jobs ls %s` their jobs; only a job with ResultFor leaves a trace when it is done", id, queue, queue)
	}
	return found, err
}

func (d *desk) trace() *cobra.Command {
	return &cobra.Command{
		Use:   "trace QUEUE ID",
		Short: "Find out where a job is, or how it ended",
		Long: `trace looks in the queue's streams, mailboxes and delayed jobs, among its dead letters and its results. A job may be found
twice: cancelled and still running, for instance.`,
		Args: cobra.ExactArgs(2),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			found, err := find(ctx, b, args[0], args[1])
			if err != nil {
				return err
			}
			t := d.table(out, jobHeading)
			for _, s := range found {
				if err := t.job(s); err != nil {
					return err
				}
			}
			return t.end()
		}),
	}
}

func (d *desk) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show QUEUE ID",
		Short: "Print a job with its message, as JSON",
		Args:  cobra.ExactArgs(2),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			found, err := find(ctx, b, args[0], args[1])
			if err != nil {
				return err
			}
			e := json.NewEncoder(out)
			if !d.json {
				e.SetIndent("", "  ")
			}
			for _, s := range found {
				l := viewOf(s)
				if s.Job.Message != nil {
					l.Message = s.Job.Message.AppendJSON(nil)
				}
				if err := e.Encode(l); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

func (d *desk) cancel() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel QUEUE ID",
		Short: "Cancel a job, wherever it is",
		Long: `A job that waits for its time is gone at once. Else its id is marked for a day: where the job runs its handler's context
ends, and where it begins to, it is dropped.`,
		Args: cobra.ExactArgs(2),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			gone, err := b.Cancel(ctx, args[0], args[1])
			if err != nil {
				return err
			}
			state := "marked: it ends where it runs or begins to; `agentmesh jobs trace` shows whether it is still there"
			if gone {
				state = "gone"
			}
			return d.said(out, map[string]any{"id": args[1], "gone": gone}, "%s", state)
		}),
	}
}

func (d *desk) setting(use, short, said, long string, set func(*jobs.Broker, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			if err := known(ctx, b, args[0]); err != nil {
				return err
			}
			if err := set(b, ctx, args[0]); err != nil {
				return err
			}
			return d.said(out, map[string]any{"queue": args[0], "state": said}, "%s is %s", args[0], said)
		}),
	}
}

// known fails for a queue that nobody has ever used: a mistyped name changes nothing, and would tell nobody.
func known(ctx context.Context, b *jobs.Broker, queue string) error {
	_, err := look(ctx, b, queue)
	return err
}

// look tells what a queue holds now, and who works on it.
func look(ctx context.Context, b *jobs.Broker, queue string) (jobs.QueueStats, error) {
	list, err := b.Queues(ctx)
	if err != nil {
		return jobs.QueueStats{}, err
	}
	for _, q := range list {
		if q.Name == queue {
			return q, nil
		}
	}
	return jobs.QueueStats{}, fmt.Errorf("there is no queue %s; `agentmesh jobs queues` lists them (is --prefix right?)", queue)
}

func (d *desk) move() *cobra.Command {
	return &cobra.Command{
		Use:   "move FROM TO",
		Short: "Enqueue the waiting jobs of one queue in another",
		Long: `move takes what is ready in FROM, job by job in order, until nothing is left. What is active, delayed or to be tried again
stays. Pause FROM first when its workers should not take any meanwhile.`,
		Args: cobra.ExactArgs(2),
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, args []string) error {
			if err := known(ctx, b, args[0]); err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(ctx)
			ended := make(chan error, 1)
			go func() { ended <- b.Run(ctx) }() // joined below
			n, err := b.Move(ctx, args[0], args[1])
			cancel()
			if err = errors.Join(err, <-ended); err != nil {
				return fmt.Errorf("after %d jobs: %w", n, err)
			}
			return d.said(out, map[string]any{"moved": n}, "moved %d", n)
		}),
	}
}

func (d *desk) cron() *cobra.Command {
	return &cobra.Command{
		Use:   "cron",
		Short: "List what is enqueued by the calendar",
		Long:  `cron lists the entries that running agents have, or had in the last day: SEEN says when one last told.`,
		Args:  cobra.NoArgs,
		RunE: d.with(func(ctx context.Context, b *jobs.Broker, out io.Writer, _ []string) error {
			list, err := b.CronEntries(ctx)
			if err != nil {
				return err
			}
			t := d.table(out, "NAME\tSPEC\tQUEUE\tTYPE\tNEXT\tSEEN")
			for _, e := range list {
				if err := t.row(e, "%s\t%s\t%s\t%s\t%s\t%s", e.Name, e.Spec, e.Queue, e.Type,
					e.Next.Local().Format(time.DateTime), e.Seen.Local().Format(time.DateTime)); err != nil {
					return err
				}
			}
			return t.end()
		}),
	}
}
