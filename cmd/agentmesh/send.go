package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/message"
)

// outgoing is an envelope as this client writes it.
type outgoing struct {
	Type       string          `json:"type"`
	ID         string          `json:"id,omitempty"`
	From       *from           `json:"from,omitempty"`
	To         *address        `json:"to,omitempty"`
	Message    *string         `json:"message,omitempty"`
	Game       string          `json:"game,omitempty"`
	Payload    json.RawMessage `json:"payload,omitempty"`
	Since      *int64          `json:"since,omitempty"`
	Epoch      string          `json:"epoch,omitempty"`
	SinceAll   *int64          `json:"since_global,omitempty"`
	EpochOfAll string          `json:"epoch_global,omitempty"`
}

type address struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

type from struct {
	Type    string `json:"type"`
	ID      string `json:"id"`
	Session string `json:"session"`
}

// incoming is what this client looks at in an envelope it receives.
type incoming struct {
	Type   string   `json:"type"`
	Ref    string   `json:"ref"`
	To     *address `json:"to"`
	Seq    int64    `json:"seq"`
	Epoch  string   `json:"epoch"`
	Bound  bool     `json:"bound"`
	Reason string   `json:"reason"`
	Retry  bool     `json:"retry"`
	Joined []string `json:"joined"`
	Global *struct {
		Seq   int64  `json:"seq"`
		Epoch string `json:"epoch"`
	} `json:"global"`
}

func (l *line) speaker() *from { return &from{Type: message.User, ID: l.user, Session: l.token} }

func (l *line) send(ctx context.Context, e outgoing) error {
	e.From = l.speaker()
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return l.write(ctx, body)
}

func sendCommand() *cobra.Command {
	var t target
	var user, room, game, id string
	var all bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "send --session S (--user U | --room R | --all | --game G) TEXT",
		Short: "Send one message and wait until the mesh has stored it",
		Long: `send speaks as the session's user and waits for the Ack, which it prints. An Error or a Logout is printed
too and makes the command fail.

--id names the message: sent again with the same id it is acknowledged again and delivered once. For a game
TEXT is the payload; what is not JSON goes as a JSON string.

  agentmesh send --session - --user bob "Hello" < ann
  agentmesh send --session - --game chess --zmq tcp://mesh.example:5555 --curve-server server.key --curve-secret ann.key_secret e2e4 < ann`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			if id == "" {
				id = rand.Text()
			}
			for name, value := range map[string]string{"user": user, "room": room, "game": game} {
				if cmd.Flags().Changed(name) && value == "" {
					return fmt.Errorf("--%s is empty: who is the message for?", name)
				}
			}
			if cmd.Flags().Changed("all") && !all {
				return errors.New("--all=false names nobody: who is the message for?")
			}
			e := compose(user, room, game, args[0])
			e.ID = id
			l, err := t.dial(ctx, cmd)
			if err != nil {
				return err
			}
			defer l.close()
			if err := l.send(ctx, e); err != nil {
				return err
			}
			return l.await(ctx, cmd, id)
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&user, "user", "", "to this user")
	f.StringVar(&room, "room", "", "to the members of this room")
	f.BoolVar(&all, "all", false, "to everyone")
	f.StringVar(&game, "game", "", "an action in this game")
	f.StringVar(&id, "id", "", "idempotency key; one is made up if none is given")
	f.DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait for the Ack")
	cmd.MarkFlagsMutuallyExclusive("user", "room", "all", "game")
	cmd.MarkFlagsOneRequired("user", "room", "all", "game")
	return cmd
}

func compose(user, room, game, text string) outgoing {
	switch {
	case user != "":
		return outgoing{Type: message.DirectMessage, To: &address{message.User, user}, Message: &text}
	case room != "":
		return outgoing{Type: message.ChatRoomMessage, To: &address{message.ChatRoom, room}, Message: &text}
	case game != "":
		payload := json.RawMessage(text)
		if !json.Valid(payload) {
			payload = quoted(text)
		}
		return outgoing{Type: message.GameAction, Game: game, Payload: payload}
	}
	return outgoing{Type: message.GlobalMessage, Message: &text}
}

// quoted makes a JSON string of text.
func quoted(text string) json.RawMessage {
	body, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always can be
	}
	return body
}

// await prints the answer to the message with the given id.
func (l *line) await(ctx context.Context, cmd *cobra.Command, id string) error {
	for {
		select {
		case <-ctx.Done():
			if !l.reached() {
				return l.unreached("no agent answers at " + l.where + "; nothing was sent")
			}
			return errors.New("no answer in time: the message may or may not have been stored; send it again with the same --id " + id)
		case body, ok := <-l.received:
			if !ok && ctx.Err() != nil {
				continue
			}
			if !ok {
				return l.ended()
			}
			var in incoming
			if json.Unmarshal(body, &in) != nil {
				continue
			}
			switch {
			case in.Type == message.Logout:
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
				return fmt.Errorf("logged out: %s", in.Reason)
			case in.Type == message.Err && (in.Ref == id || in.Ref == ""):
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
				if in.Retry {
					return fmt.Errorf("the message was not accepted; send it again with --id %s", id)
				}
				return errors.New("the message was refused")
			case in.Type == message.Ack && in.Ref == id:
				fmt.Fprintf(cmd.OutOrStdout(), "%s\n", body)
				return nil
			}
		}
	}
}
