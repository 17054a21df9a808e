package agents

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// The second of the three frames of what Very Powerful Agents say: [topic, 0x00, payload] is a
// notification, [name, 0x01, payload] a message to or from a client.
const (
	notificationFrame = 0
	relayFrame        = 1
)

// ErrForeign is why a message that arrived was left out: it has not three frames, or another type frame, or
// text that is not UTF-8. The Python side stops for ever at such a message.
var ErrForeign = errors.New("agents: not a message of this kind")

// isKind reads a type frame as the Python side does: a big-endian number of any length, 0 if there is none.
func isKind(frame []byte, kind byte) bool {
	if len(frame) == 0 {
		return kind == 0
	}
	last := len(frame) - 1
	for _, b := range frame[:last] {
		if b != 0 {
			return false
		}
	}
	return frame[last] == kind
}

// triple reads [head, kind, payload].
func triple(frames [][]byte, kind byte) (head, payload string, err error) {
	switch {
	case len(frames) != 3:
		return "", "", fmt.Errorf("%w: %d frames", ErrForeign, len(frames))
	case !isKind(frames[1], kind):
		return "", "", fmt.Errorf("%w: type frame %x", ErrForeign, frames[1][:min(len(frames[1]), 8)])
	case !utf8.Valid(frames[0]) || !utf8.Valid(frames[2]):
		return "", "", fmt.Errorf("%w: not UTF-8", ErrForeign)
	}
	return string(frames[0]), string(frames[2]), nil
}

// newTriple is the frames of a message that every receiver survives.
func newTriple(head string, kind byte, payload string) ([][]byte, error) {
	if !utf8.ValidString(head) || !utf8.ValidString(payload) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrForeign)
	}
	return [][]byte{[]byte(head), {kind}, []byte(payload)}, nil
}
