package zeromq

import (
	"context"
	"errors"
	"sync"
)

// Proxy passes messages between two sockets, both ways, until ctx ends or one of them is closed: an XSUB and
// an XPUB make a broker of publications, a ROUTER and a DEALER one of requests, a PULL and a PUSH a queue.
// A socket that only sends, or only receives, is no error. It closes neither and returns nil when ctx ended.
func Proxy(ctx context.Context, a, b *Socket) error { return proxy(ctx, a, b, func(int) {}) }

// proxy is Proxy; passed is called with the number of messages that have gone from a to b, in any goroutine.
func proxy(ctx context.Context, a, b *Socket, passed func(int)) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	var errA, errB error
	var ways sync.WaitGroup
	ways.Go(func() { errA = pass(inner, stop, a, b, passed) })
	ways.Go(func() { errB = pass(inner, stop, b, a, func(int) {}) })
	ways.Wait()
	if ctx.Err() != nil { // which the sockets may have known first, and closed
		return nil
	}
	return errors.Join(errA, errB)
}

func pass(ctx context.Context, stop context.CancelFunc, from, to *Socket, passed func(int)) error {
	defer takeShortcut(from, to, passed)()
	for {
		it, err := from.receive(ctx)
		if err == nil {
			err = to.SendFrames(ctx, it.frames...)
		}
		if it.pipe != nil {
			it.pipe.passed.Add(1)
		}
		switch {
		case err == nil:
			passed(1)
		case errors.Is(err, ErrUnsupported):
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrUnroutable), errors.Is(err, ErrFull), errors.Is(err, ErrNoFrames):
			// of a ROUTER with RouterMandatory: costs that message
		default:
			stop()
			return err
		}
	}
}
