package message

import (
	"encoding/binary"
	"errors"
	"time"
)

// binaryVersion is the first byte of the binary form. A reader refuses versions it does not know.
const binaryVersion = 1

var errBinary = errors.New("message: malformed binary message")

// AppendBinary appends the compact form in which messages travel inside jobs: a version byte, then each
// field as a length (uvarint) and its bytes, numbers as uvarint. Since and SinceGlobal do not travel.
func (m *Message) AppendBinary(dst []byte) []byte {
	dst = append(dst, binaryVersion)
	for _, s := range [...]string{m.Type, m.ID, m.From.Type, m.From.ID, m.To.Type, m.To.ID, m.Text, m.Game, m.Epoch} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	for _, b := range [...][]byte{m.Payload, m.Extra} {
		dst = binary.AppendUvarint(dst, uint64(len(b)))
		dst = append(dst, b...)
	}
	var ms uint64
	if !m.Time.IsZero() {
		ms = uint64(m.Time.UnixMilli())
	}
	dst = binary.AppendUvarint(dst, ms)
	return binary.AppendUvarint(dst, uint64(m.Seq))
}

// ParseBinary reads what AppendBinary wrote. The message shares data's memory for its byte fields.
func ParseBinary(data []byte) (*Message, error) {
	if len(data) == 0 || data[0] != binaryVersion {
		return nil, errBinary
	}
	r := binaryReader{rest: data[1:]}
	m := &Message{}
	for _, s := range [...]*string{&m.Type, &m.ID, &m.From.Type, &m.From.ID, &m.To.Type, &m.To.ID, &m.Text, &m.Game, &m.Epoch} {
		*s = string(r.bytes())
	}
	m.Payload, m.Extra = r.bytes(), r.bytes()
	if ms := r.uvarint(); ms > 0 {
		m.Time = time.UnixMilli(int64(ms)).UTC()
	}
	m.Seq = int64(r.uvarint())
	if r.bad || len(r.rest) > 0 {
		return nil, errBinary
	}
	return m, nil
}

type binaryReader struct {
	rest []byte
	bad  bool
}

func (r *binaryReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *binaryReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	if n == 0 {
		return nil
	}
	return b
}
