package curve

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Frame flags of ZMTP 3 (RFC 23), and those inside a box (RFC 26).
const (
	flagMore    = 0x01
	flagLong    = 0x02
	flagCommand = 0x04

	innerMore    = 0x01
	innerCommand = 0x02
)

const (
	messageName = "\x07MESSAGE"

	// Overhead is how much longer the body of a sealed frame is than the body that was sealed.
	Overhead = len(messageName) + 8 + tagSize + 1
)

// SealedSize is what a frame with a body of n bytes takes on the wire once sealed, its header included.
func SealedSize(n int) int {
	if n+Overhead > 255 {
		return 9 + n + Overhead
	}
	return 2 + n + Overhead
}

// Sealer turns frames into MESSAGE commands. It allocates nothing and is used by one goroutine at a time.
// Frames must reach the peer in the order in which they were sealed, each once.
type Sealer struct {
	stream *stream
	nonce  uint64 // of the next frame
}

// AppendFrame appends to dst a frame, header and all, that carries flags (MORE and COMMAND of ZMTP) and body.
// body must not overlap dst. It fails with ErrExhausted only, after 2^64 frames.
func (s *Sealer) AppendFrame(dst []byte, flags byte, body []byte) ([]byte, error) {
	if s.nonce == math.MaxUint64 {
		return dst, ErrExhausted
	}
	at, size := len(dst), len(body)+Overhead
	dst = slices.Grow(dst, 9+size)
	dst = appendHeader(dst, 0, size)
	dst = append(dst, messageName...)
	dst = binary.BigEndian.AppendUint64(dst, s.nonce)
	box := len(dst)
	dst = dst[:at+SealedSize(len(body))]
	s.stream.seal(dst[box:], flags&flagMore|flags&flagCommand>>1, body, s.nonce)
	s.nonce++
	return dst, nil
}

// Opener turns MESSAGE commands back into frames. It allocates nothing and is used by one goroutine at a time.
type Opener struct {
	stream *stream
	nonce  uint64 // of the last frame
}

// Open decrypts in place the body of a frame that came with these flags in its header (LONG is ignored). It
// returns the flags of the frame inside, MORE and COMMAND of ZMTP, and its body, which is a part of the given
// one. After an error, which wraps ErrProtocol, the connection must be closed.
func (o *Opener) Open(flags byte, body []byte) (byte, []byte, error) {
	// libzmq sends the command MESSAGE as a frame without the COMMAND flag; the RFC has it with.
	if flags&^(flagLong|flagCommand) != 0 {
		return 0, nil, fmt.Errorf("%w: MESSAGE with flags %#x", ErrProtocol, flags)
	}
	if len(body) < Overhead || string(body[:len(messageName)]) != messageName {
		return 0, nil, fmt.Errorf("%w: no MESSAGE but %d other bytes", ErrProtocol, len(body))
	}
	nonce := binary.BigEndian.Uint64(body[len(messageName):])
	if nonce <= o.nonce {
		return 0, nil, fmt.Errorf("%w: nonce %d after %d", ErrProtocol, nonce, o.nonce)
	}
	inner, payload, ok := o.stream.open(body[len(messageName)+8:], nonce)
	if !ok {
		return 0, nil, fmt.Errorf("%w: MESSAGE does not open", ErrProtocol)
	}
	if inner&^(innerMore|innerCommand) != 0 || inner == innerMore|innerCommand {
		return 0, nil, fmt.Errorf("%w: flags %#x in the box", ErrProtocol, inner)
	}
	o.nonce = nonce
	return inner&innerMore | inner&innerCommand<<1, payload, nil
}

// parseHeader reads the header at the start of b and returns how many bytes it took, 0 when b is too short.
func parseHeader(b []byte) (flags byte, size uint64, n int) {
	switch {
	case len(b) < 2:
		return 0, 0, 0
	case b[0]&flagLong == 0:
		return b[0], uint64(b[1]), 2
	case len(b) < 9:
		return 0, 0, 0
	}
	return b[0], binary.BigEndian.Uint64(b[1:]), 9
}

func appendHeader(dst []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(dst, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, flags|flagLong), uint64(size))
}

// appendCommand appends a whole command frame.
func appendCommand(dst []byte, body []byte) []byte {
	return append(appendHeader(dst, flagCommand, len(body)), body...)
}
