package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/agentmesh/agentmesh/agents/websocket"
	"github.com/agentmesh/agentmesh/agents/zeromq"
	"github.com/agentmesh/agentmesh/middleware/session"
)

// target is where a client command connects, and as whom.
type target struct {
	session, zmq, ws, redis, prefix, as string
	curveServer, curveSecret            string
}

func (t *target) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&t.session, "session", "", "session to speak with; - reads it from standard input")
	f.StringVar(&t.zmq, "zmq", "", "ZeroMQ endpoint of an agent (default "+defaultZeroMQ+")")
	f.StringVar(&t.ws, "ws", "", "WebSocket address of an agent instead, as ws://127.0.0.1:8080/ws")
	f.StringVar(&t.redis, "redis", defaultRedis, "URL of the broker, asked whose session it is")
	f.StringVar(&t.prefix, "prefix", "m", "prefix of the mesh's keys")
	f.StringVar(&t.as, "as", "", "the session's user, so that the broker need not be asked")
	f.StringVar(&t.curveServer, "curve-server", "", "public key of an agent that uses CURVE: its .key file, or the key itself")
	f.StringVar(&t.curveSecret, "curve-secret", "", "file with our own secret key; none means a new key, for agents that take any")
	cmd.MarkFlagsMutuallyExclusive("zmq", "ws")
	cmd.MarkFlagsMutuallyExclusive("curve-server", "ws")
	cmd.MarkFlagsMutuallyExclusive("curve-secret", "ws")
}

// line is a connection to an agent on which envelopes go both ways.
type line struct {
	user      string
	token     string
	where     string          // the address, for people
	reached   func() bool     // whether the connection was ever made
	trouble   func() error    // why it was not made; nil when that is not known
	connected <-chan struct{} // one item for each time the connection was made anew
	received  <-chan []byte   // closed when the connection has ended for good
	write     func(ctx context.Context, body []byte) error
	cause     func() error // why received was closed
	close     func()
}

// ended says why received was closed.
func (l *line) ended() error {
	err := l.cause()
	if errors.Is(err, zeromq.ErrUnauthorized) {
		return fmt.Errorf("%s: %w", l.where, err)
	}
	return errors.Join(errors.New("the agent closed the connection"), err)
}

// unreached says that no connection was made, and why if that is known.
func (l *line) unreached(what string) error {
	if err := l.trouble(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return errors.New(what)
}

// dial connects. The user is asked of the broker unless --as says it.
func (t *target) dial(ctx context.Context, cmd *cobra.Command) (*line, error) {
	security, err := clientSecurity(t.curveServer, t.curveSecret)
	if err != nil {
		return nil, err
	}
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
	return dialZeroMQ(ctx, zeromq.DealerConfig{Endpoint: endpoint, Security: security}, token, user)
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
		user: user, token: token, where: url, reached: func() bool { return true }, trouble: func() error { return nil },
		connected: connected, received: c.Messages(), write: c.Send, cause: c.Err,
		close: func() { _ = c.Close() },
	}, nil
}

// dialZeroMQ keeps connecting until it is told to stop, or refused.
func dialZeroMQ(ctx context.Context, cfg zeromq.DealerConfig, token, user string) (*line, error) {
	d, err := zeromq.NewDealer(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx) }() // joined by close
	connected, received := make(chan struct{}, 1), make(chan []byte)
	relayed := make(chan struct{})
	var ever atomic.Bool
	var last atomic.Pointer[error]
	trouble := func() error {
		if err := last.Load(); err != nil {
			return explain(*err, cfg.Security.CurveClient != nil)
		}
		return nil
	}
	go func() { // joined by close
		defer close(relayed)
		defer close(received)
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-d.Events():
				if ctx.Err() != nil {
					return
				}
				last.Store(&e.Err)
				if errors.Is(e.Err, zeromq.ErrUnauthorized) {
					return // trying again is no use
				}
				if e.Connected {
					ever.Store(true)
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
		user: user, token: token, where: cfg.Endpoint, reached: ever.Load, trouble: trouble,
		connected: connected, received: received,
		write: func(ctx context.Context, body []byte) error { return d.Send(ctx, body) },
		cause: trouble,
		close: func() { cancel(); <-relayed; <-ended }, //nolint:errcheck // the caller has ended it
	}, nil
}
