package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/message"
)

// pingEvery is how a silent ZeroMQ reconnect is found: the answer says whether the agent still knows us.
const pingEvery = 10 * time.Second

// unansweredAfter is when a person would begin to wonder.
const unansweredAfter = 2 * time.Second

func listenCommand() *cobra.Command {
	var t target
	var rooms []string
	var count int
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "listen --session S",
		Short: "Print what arrives for a user, one JSON line each",
		Long: `listen logs in, joins the given rooms, and prints each envelope that arrives, compacted, as one line. The
answers to its own Login, JoinRoom and Ping are not printed; "listening" on standard error says that all is
set up. Over ZeroMQ it survives a restart of the agent: it logs in again and resumes where it was.

  agentmesh listen --session - --room lobby < bob
  agentmesh listen --session - --zmq tcp://mesh.example:5555 --curve-server server.key --curve-secret bob.key_secret < bob`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			l, err := t.dial(ctx, cmd)
			if err != nil {
				return err
			}
			defer l.close()
			e := &ear{line: l, cmd: cmd, rooms: rooms, left: count, forever: count == 0, last: map[address]position{}, resumes: t.ws == ""}
			err = e.listen(ctx)
			if !e.loggedIn && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
				return l.unreached("no agent at " + l.where + " has let us in")
			}
			if errors.Is(err, context.DeadlineExceeded) && timeout > 0 && count > 0 {
				return fmt.Errorf("the time is up and %d envelopes are missing", e.left)
			}
			if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				return nil
			}
			return err
		},
	}
	t.flags(cmd)
	cmd.Flags().StringSliceVar(&rooms, "room", nil, "join this room; may be repeated")
	cmd.Flags().IntVar(&count, "count", 0, "stop after so many envelopes; 0 for never")
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "stop after this time; 0 for never")
	return cmd
}

// ear is a listener with a memory: one position for each history, so that it can resume.
type ear struct {
	*line
	cmd      *cobra.Command
	rooms    []string
	left     int
	forever  bool
	last     map[address]position
	loggedIn bool
	resumes  bool // the connection is made anew when it ends
}

type position struct {
	seq   int64
	epoch string
}

// Histories are named by their address; the inbox and the global one by their own.
var inbox, global = address{Type: message.User}, address{}

const loginID = "login"

func (e *ear) listen(ctx context.Context) error {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	slow := time.NewTimer(unansweredAfter)
	defer slow.Stop()
	for e.forever || e.left > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-slow.C:
			if !e.loggedIn {
				fmt.Fprintf(e.cmd.ErrOrStderr(), "%v; trying on\n", e.unreached("no agent at "+e.where+" answers yet"))
			}
		case <-e.connected:
			if err := e.login(ctx); err != nil {
				return err
			}
		case <-ping.C:
			if err := e.write(ctx, []byte(`{"type":"Ping"}`)); err != nil {
				return err
			}
		case body, ok := <-e.received:
			if !ok && ctx.Err() != nil {
				return ctx.Err()
			}
			if !ok {
				return e.ended()
			}
			if err := e.hear(ctx, body); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *ear) login(ctx context.Context) error {
	out := outgoing{Type: message.Login, ID: loginID}
	if p, known := e.last[inbox]; known {
		out.Since, out.Epoch = &p.seq, p.epoch
	}
	if p, known := e.last[global]; known {
		out.SinceAll, out.EpochOfAll = &p.seq, p.epoch
	}
	return e.send(ctx, out)
}

func (e *ear) joinRooms(ctx context.Context) error {
	for _, room := range e.rooms {
		at := address{message.ChatRoom, room}
		out := outgoing{Type: message.JoinRoom, ID: room, To: &at}
		if len(room) > message.MaxID {
			out.ID = ""
		}
		if p, known := e.last[at]; known {
			out.Since, out.Epoch = &p.seq, p.epoch
		}
		if err := e.send(ctx, out); err != nil {
			return err
		}
	}
	return nil
}

// hear deals with one envelope.
func (e *ear) hear(ctx context.Context, body []byte) error {
	var in incoming
	if err := json.Unmarshal(body, &in); err != nil {
		return fmt.Errorf("the agent sent something that is no envelope: %w", err)
	}
	switch in.Type {
	case message.Logout:
		if in.Reason == message.Drain && e.resumes {
			fmt.Fprintln(e.cmd.ErrOrStderr(), "the agent is stopping; waiting for it to come back")
			return nil
		}
	case message.Pong:
		if !in.Bound && e.loggedIn {
			return e.login(ctx)
		}
		return nil
	case message.Ack:
		return e.acknowledged(ctx, in)
	case message.Err:
		fmt.Fprintf(e.cmd.ErrOrStderr(), "%s\n", body)
		if in.Ref == loginID || !e.loggedIn {
			return errors.New("the login was refused")
		}
		return nil
	case message.Presence:
		if len(in.Joined) == 1 && in.Joined[0] == e.user {
			return nil
		}
	}
	if in.Seq > 0 && !e.advance(in) {
		return nil // seen before
	}
	line := &bytes.Buffer{}
	if err := json.Compact(line, body); err != nil {
		return err
	}
	fmt.Fprintln(e.cmd.OutOrStdout(), line)
	e.left--
	if in.Type == message.Logout {
		return fmt.Errorf("logged out: %s", in.Reason)
	}
	return nil
}

func (e *ear) acknowledged(ctx context.Context, in incoming) error {
	if in.Ref != loginID {
		e.note(address{message.ChatRoom, in.Ref}, in.Seq, in.Epoch)
		return nil
	}
	e.note(inbox, in.Seq, in.Epoch)
	if in.Global != nil {
		e.note(global, in.Global.Seq, in.Global.Epoch)
	}
	if !e.loggedIn {
		e.loggedIn = true
		fmt.Fprintln(e.cmd.ErrOrStderr(), "listening as", e.user)
	}
	return e.joinRooms(ctx)
}

func (e *ear) note(at address, seq int64, epoch string) { e.last[at] = position{seq, epoch} }

// advance moves the history of a delivery on; false means that it was seen before.
func (e *ear) advance(in incoming) bool {
	at := global
	if in.To != nil {
		at = *in.To
		if at.Type == message.User {
			at = inbox
		}
	}
	if p, known := e.last[at]; known && p.epoch == in.Epoch && in.Seq <= p.seq {
		return false
	}
	e.note(at, in.Seq, in.Epoch)
	return true
}
