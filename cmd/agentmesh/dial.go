package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// target is where a client command connects, and as whom.
type target struct {
	session, zmq, ws, redis, prefix, as string
}

func (t *target) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.session, "session", "", "session to speak with; - reads it from standard input")
	f.StringVar(&t.zmq, "zmq", "", "ZeroMQ endpoint of an agent (default "+defaultZeroMQ+")")
	f.StringVar(&t.ws, "ws", "", "WebSocket address of an agent instead, as ws://127.0.0.1:8080/ws")
	f.StringVar(&t.redis, "redis", defaultRedis, "URL of the broker, asked whose session it is")
	f.StringVar(&t.prefix, "prefix", "m", "prefix of the mesh's keys")
	f.StringVar(&t.as, "as", "", "the session's user, so that the broker need not be asked")
	cmd.MarkFlagsMutuallyExclusive("zmq", "ws")
}

// line is a connection to an agent on which envelopes go both ways.
type line struct {
	user      string
	token     string
	connected <-chan struct{} // one item for each time the connection was made anew
	received  <-chan []byte   // closed when the connection has ended for good
	write     func(ctx context.Context, body []byte) error
	cause     func() error // why received was closed
	close     func()
}

// dial connects. The user is asked of the broker unless --as says it.
func (t *target) dial(ctx context.Context, cmd *cobra.Command) (*line, error) {
	token, err := secret(cmd, t.session)
	if err != nil {
		return nil, err
	}
	user := t.as
	if user == "" {
		if user, err = t.owner(ctx, token); err != nil {
			return nil, err
		}
	}
	if t.ws != "" {
		return dialWebSocket(ctx, wsURL(t.ws), token, user)
	}
	endpoint := t.zmq
	if endpoint == "" {
		endpoint = defaultZeroMQ
	}
	return dialZeroMQ(ctx, endpoint, token, user)
}

// owner asks the broker whose session it is.
func (t *target) owner(ctx context.Context, token string) (string, error) {
	store, closeRedis, err := openStore(t.redis, t.prefix)
	if err != nil {
		return "", err
	}
	defer closeRedis()
	v, err := store.Verify(ctx, token)
	switch {
	case err != nil:
		return "", fmt.Errorf("the broker could not be asked whose session it is (--as USER makes that needless): %w", unreachable(err))
	case !v.Valid && v.Reason == session.Invalid:
		return "", errors.New("the broker knows no such session; `agentmesh session create` makes one")
	case !v.Valid:
		return v.Session.User, nil // the agent says what is wrong with it
	}
	return v.Session.User, nil
}

func wsURL(address string) string {
	address = strings.Replace(strings.Replace(address, "http://", "ws://", 1), "https://", "wss://", 1)
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		scheme, rest = "ws", address
	}
	if !strings.Contains(rest, "/") {
		rest += "/ws"
	}
	return scheme + "://" + rest
}

func dialWebSocket(ctx context.Context, url, token, user string) (*line, error) {
	c, err := websocket.Dial(ctx, url, websocket.ClientConfig{})
	if err != nil {
		return nil, fmt.Errorf("no agent at %s: %w", url, err)
	}
	connected := make(chan struct{}, 1)
	connected <- struct{}{}
	return &line{
		user: user, token: token, connected: connected, received: c.Messages(), write: c.Send, cause: c.Err,
		close: func() { _ = c.Close() },
	}, nil
}

func dialZeroMQ(ctx context.Context, endpoint, token, user string) (*line, error) {
	d, err := zeromq.NewDealer(zeromq.DealerConfig{Endpoint: endpoint})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }() // joined by close
	connected, received := make(chan struct{}, 1), make(chan []byte)
	relayed := make(chan struct{})
	go func() { // joined by close
		defer close(relayed)
		defer close(received)
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-d.Events():
				if e.Connected {
					select {
					case connected <- struct{}{}:
					default:
					}
				}
			case frames, ok := <-d.Messages():
				if !ok {
					return
				}
				if len(frames) != 1 {
					continue
				}
				select {
				case received <- frames[0]:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return &line{
		user: user, token: token, connected: connected, received: received,
		write: func(ctx context.Context, body []byte) error { return d.Send(ctx, body) },
		cause: func() error { return nil },
		close: func() { cancel(); <-relayed; <-ended }, //nolint:errcheck // the caller has ended it
	}, nil
}
