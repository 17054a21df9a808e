package message

import "context"

// Mux is a Handler that passes each message to the Handler registered for its type. Register everything
// before the first message; after that a Mux is safe for concurrent use.
type Mux struct {
	handlers map[string]Handler
}

// NewMux makes an empty Mux.
func NewMux() *Mux { return &Mux{handlers: make(map[string]Handler)} }

// Register sets the handler of a type. It panics when the type has a handler already or is one that only the
// agent itself answers: both are mistakes in the program.
func (x *Mux) Register(typ string, h Handler) {
	switch {
	case typ == "" || h == nil:
		panic("message: Register needs a type and a handler")
	case IsSystem(typ):
		panic("message: " + typ + " is answered by the agent itself")
	}
	if _, taken := x.handlers[typ]; taken {
		panic("message: " + typ + " has a handler already")
	}
	x.handlers[typ] = h
}

// Lookup returns the handler of a type.
func (x *Mux) Lookup(typ string) (Handler, bool) {
	h, ok := x.handlers[typ]
	return h, ok
}

// Types lists what has a handler, in no order.
func (x *Mux) Types() []string {
	types := make([]string, 0, len(x.handlers))
	for t := range x.handlers {
		types = append(types, t)
	}
	return types
}

// Handle passes m on, or refuses it with UnknownType.
func (x *Mux) Handle(ctx context.Context, m *Message) error {
	if h, ok := x.handlers[m.Type]; ok {
		return h.Handle(ctx, m)
	}
	return &Error{Code: UnknownType, Field: "type", Message: "nobody here knows this type of message"}
}

// IsSystem reports whether the agent itself answers messages of this type.
func IsSystem(typ string) bool {
	switch typ {
	case Login, Logout, JoinRoom, LeaveRoom, Who, Ping, Ack, Err, Presence, Pong:
		return true
	}
	return false
}
