package zeromq

import (
	"context"
	"errors"
	"sync"
)

// Proxy passes messages between two sockets, both ways, until ctx ends or one of them is closed: an XSUB and
// an XPUB make a broker of publications, a ROUTER and a DEALER one of requests, a PULL and a PUSH a queue.
// A socket that only sends, or only receives, is no error. It closes neither and returns nil when ctx ended.
func Proxy(ctx context.Context, a, b *Socket) error { return proxy(ctx, a, b, func() {}) }

// proxy is Proxy; passed is called for each message from a to b.
func proxy(ctx context.Context, a, b *Socket, passed func()) error {
	both, stop := context.WithCancel(ctx)
	defer stop()
	var errA, errB error
	var ways sync.WaitGroup
	ways.Go(func() { errA = pass(both, stop, a, b, passed) })
	ways.Go(func() { errB = pass(both, stop, b, a, func() {}) })
	ways.Wait()
	if ctx.Err() != nil { // sockets of the same context may have heard of its end before both did
		return nil
	}
	return errors.Join(errA, errB)
}

func pass(ctx context.Context, stop context.CancelFunc, from, to *Socket, passed func()) error {
	for {
		m, err := from.RecvFrames(ctx)
		if err == nil {
			err = to.SendFrames(ctx, m.Frames...)
		}
		switch {
		case err == nil:
			passed()
		case errors.Is(err, ErrUnsupported):
			return nil
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end that was asked for
		case errors.Is(err, ErrUnroutable), errors.Is(err, ErrFull), errors.Is(err, ErrNoFrames):
			// of a ROUTER with RouterMandatory: costs that message
		default:
			stop()
			return err
		}
	}
}
