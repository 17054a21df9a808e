package curve

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// maxMetadata is the size of a peer's metadata that is still read.
const maxMetadata = 16 << 10

// Property is a name and a value that a peer says of itself, or that a certificate says of its owner.
type Property struct{ Name, Value string }

// Metadata is a list of properties. In the handshake it is sealed: only the owner of the peer's key can have
// said it, but nothing makes it true.
type Metadata []Property

// SocketMetadata is what every ZMTP socket says: its type, such as "DEALER", and its routing id, which may be
// empty.
func SocketMetadata(socketType, routingID string) Metadata {
	return Metadata{{"Socket-Type", socketType}, {"Identity", routingID}}
}

// Get returns the value of the property of that name, whose case does not matter.
func (m Metadata) Get(name string) string {
	for _, p := range m {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// Append appends the metadata as READY of ZMTP carries it (RFC 23).
func (m Metadata) Append(dst []byte) []byte {
	for _, p := range m {
		dst = append(append(dst, byte(len(p.Name))), p.Name...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Value)))
		dst = append(dst, p.Value...)
	}
	return dst
}

func (m Metadata) validate() error {
	size := 0
	for i, p := range m {
		if len(p.Name) == 0 || len(p.Name) > 255 {
			return fmt.Errorf("Metadata: name of %d bytes", len(p.Name))
		}
		if m[:i].has(p.Name) {
			return fmt.Errorf("Metadata: %q twice", p.Name)
		}
		size += 1 + len(p.Name) + 4 + len(p.Value)
	}
	if size > maxMetadata {
		return fmt.Errorf("Metadata: %d bytes, more than %d", size, maxMetadata)
	}
	return nil
}

func (m Metadata) has(name string) bool {
	for _, p := range m {
		if strings.EqualFold(p.Name, name) {
			return true
		}
	}
	return false
}

// parseMetadata reads what Append writes. A name may come once.
func parseMetadata(b []byte) (Metadata, error) {
	var m Metadata
	for len(b) > 0 {
		name := int(b[0])
		if name == 0 || len(b) < 1+name+4 {
			return nil, fmt.Errorf("%w: property cut", ErrFormat)
		}
		size := uint64(binary.BigEndian.Uint32(b[1+name:]))
		value := b[1+name+4:]
		if size > uint64(len(value)) {
			return nil, fmt.Errorf("%w: property longer than the command", ErrFormat)
		}
		p := Property{string(b[1 : 1+name]), string(value[:size])}
		if m.has(p.Name) {
			return nil, fmt.Errorf("%w: property %.40q twice", ErrFormat, p.Name)
		}
		m, b = append(m, p), value[size:]
		if len(m) > 64 {
			return nil, fmt.Errorf("%w: more than 64 properties", ErrFormat)
		}
	}
	return m, nil
}
