package middleware

import "github.com/agentmesh/agentmesh/agents/message"

// outcome calls done with the error that the work of a handler ends with, now or when its Pending is
// settled, and returns what the handler's caller is to get: done is through when that caller learns of the
// end.
func outcome(err error, done func(error)) error {
	if _, pending := err.(*message.Pending); !pending {
		done(err)
		return err
	}
	after := new(message.Pending)
	message.Settle(err, func(r message.Result, err error) {
		done(err)
		after.Done(r, err)
	})
	return after
}
