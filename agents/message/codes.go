package message

import "time"

// Code says what went wrong, in the words of the protocol.
type Code string

// The codes of the protocol.
const (
	BadRequest      Code = "BadRequest"
	TooLarge        Code = "TooLarge"
	UnknownType     Code = "UnknownType"
	Unauthenticated Code = "Unauthenticated"
	Forbidden       Code = "Forbidden"
	NotFound        Code = "NotFound"
	RateLimited     Code = "RateLimited"
	Unavailable     Code = "Unavailable" // nothing was accepted; send again with the same id
	Internal        Code = "Internal"
)

// Error is an error that a client may see: a code, the field at fault and a sentence for people. It
// never holds Go error text, addresses or stacks.
type Error struct {
	Ref        string // the id of the message at fault, where it could be read
	Code       Code
	Field      string        // the member at fault, dotted (from.id); may be empty
	Message    string        // for people
	Retry      bool          // sending the same again later may work
	RetryAfter time.Duration // 0 means not said
}

// Error gives the code, the field and the sentence.
func (e *Error) Error() string {
	if e.Field != "" {
		return string(e.Code) + " " + e.Field + ": " + e.Message
	}
	return string(e.Code) + ": " + e.Message
}
