package zeromq

import "encoding/binary"

// Frame flags of ZMTP 3 (RFC 23).
const (
	flagMore    = 0x01
	flagLong    = 0x02
	flagCommand = 0x04
)

// frameHeader is what stands before each body on the wire: a flag byte and a length of one or eight bytes.
type frameHeader struct {
	flags byte
	size  uint64 // as claimed by the peer; nothing is allocated from it unchecked
}

// parseHeader reads the header at the start of b and returns how many bytes it took, 0 when b is too short.
func parseHeader(b []byte) (frameHeader, int) {
	if len(b) < 2 {
		return frameHeader{}, 0
	}
	if b[0]&flagLong == 0 {
		return frameHeader{flags: b[0], size: uint64(b[1])}, 2
	}
	if len(b) < 9 {
		return frameHeader{}, 0
	}
	return frameHeader{flags: b[0], size: binary.BigEndian.Uint64(b[1:])}, 9
}

// appendHeader appends the header of a body of size bytes.
func appendHeader(dst []byte, flags byte, size int) []byte {
	if size <= 255 {
		return append(dst, flags, byte(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, flags|flagLong), uint64(size))
}

// appendCommand appends a whole command frame.
func appendCommand(dst []byte, name string, body []byte) []byte {
	dst = appendHeader(dst, flagCommand, 1+len(name)+len(body))
	dst = append(dst, byte(len(name)))
	dst = append(dst, name...)
	return append(dst, body...)
}

// parseCommand splits the body of a command frame into its name and its data.
func parseCommand(body []byte) (name string, data []byte, ok bool) {
	if len(body) == 0 || body[0] == 0 || len(body) < 1+int(body[0]) {
		return "", nil, false
	}
	n := 1 + int(body[0])
	return string(body[1:n]), body[n:], true
}

// headerSize is what appendHeader appends for a body of size bytes.
func headerSize(size int) int {
	if size <= 255 {
		return 2
	}
	return 9
}

// wireSize is the number of bytes that frames take on the wire.
func wireSize(frames [][]byte) int {
	size := 0
	for _, f := range frames {
		size += headerSize(len(f)) + len(f)
	}
	return size
}
