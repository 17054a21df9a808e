package observables

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// How streams and subscriptions end, other than by completion.
var (
	ErrClosed   = errors.New("observables: subject has ended")         // by Publish after OnCompleted or OnError
	ErrDisposed = errors.New("observables: subscription was disposed") // by Dispose
	ErrOverflow = errors.New("observables: buffer overflow")           // by the Fail policy
	ErrTimeout  = errors.New("observables: nothing came in time")      // by Timeout
	ErrGoexit   = errors.New("observables: a callback called Goexit")  // by runtime.Goexit in a callback, as t.FailNow does
)

// ItemError is what went wrong with one item: an operator's error or a panic. The stream goes on.
type ItemError struct {
	Item  any    // what the failing stage was working on; for a batch handler the batch
	Err   error  // the error; for a panic with an error, that error
	Panic any    // the value of a panic; nil if there was none
	Stack []byte // of the panic
}

// Error never prints the item, and of a panic only errors and strings: items may hold secrets.
func (e *ItemError) Error() string {
	switch {
	case e.Panic == nil:
		return fmt.Sprintf("observables: item failed: %v", e.Err)
	case e.Err != nil:
		return fmt.Sprintf("observables: panic: %v", e.Err)
	}
	if s, ok := e.Panic.(string); ok {
		return "observables: panic: " + s
	}
	return fmt.Sprintf("observables: panic with a %T", e.Panic)
}

// Unwrap gives Err.
func (e *ItemError) Unwrap() error { return e.Err }

// panicError must be called by the deferred function that recovered p, so that the stack is the panic's.
func panicError(item, p any) *ItemError {
	err, _ := p.(error)
	return &ItemError{Item: item, Err: err, Panic: p, Stack: debug.Stack()}
}
