package curve

import (
	"encoding/binary"
	"fmt"
)

// The commands of the handshake (RFC 26), each the body of a command frame: its name, then the fields.
const (
	helloName    = "\x05HELLO"
	welcomeName  = "\x07WELCOME"
	initiateName = "\x08INITIATE"
	readyName    = "\x05READY"
	errorName    = "\x05ERROR"

	cookieSize = longNonceSize + tagSize + 2*KeySize
	vouchSize  = longNonceSize + tagSize + 2*KeySize

	helloPadding = 72 // an answer is never longer than the question, so nobody is flooded through a server
	helloSize    = len(helloName) + 2 + helloPadding + KeySize + 8 + tagSize + 64
	welcomeSize  = len(welcomeName) + longNonceSize + tagSize + KeySize + cookieSize
	initiateSize = len(initiateName) + cookieSize + 8 + tagSize + KeySize + vouchSize // and metadata
	readySize    = len(readyName) + 8 + tagSize                                       // and metadata
	maxError     = len(errorName) + 1 + 255
)

type hello struct {
	client PublicKey // of this connection only
	nonce  uint64
	box    []byte
}

func (h hello) append(dst []byte) []byte {
	dst = append(dst, helloName...)
	dst = append(dst, 1, 0) // version
	dst = append(dst, make([]byte, helloPadding)...)
	dst = append(dst, h.client[:]...)
	dst = binary.BigEndian.AppendUint64(dst, h.nonce)
	return append(dst, h.box...)
}

func parseHello(b []byte) (h hello, err error) {
	b, err = fields(b, helloName, helloSize, helloSize)
	if err != nil {
		return h, err
	}
	if b[0] != 1 || b[1] != 0 {
		return h, fmt.Errorf("%w: HELLO of version %d.%d", ErrFormat, b[0], b[1])
	}
	b = b[2+helloPadding:]
	h.client, b = PublicKey(b[:KeySize]), b[KeySize:]
	h.nonce, h.box = binary.BigEndian.Uint64(b), b[8:]
	return h, nil
}

type welcome struct {
	nonce []byte
	box   []byte
}

func (w welcome) append(dst []byte) []byte {
	return append(append(append(dst, welcomeName...), w.nonce...), w.box...)
}

func parseWelcome(b []byte) (w welcome, err error) {
	b, err = fields(b, welcomeName, welcomeSize, welcomeSize)
	if err != nil {
		return w, err
	}
	return welcome{b[:longNonceSize], b[longNonceSize:]}, nil
}

type initiate struct {
	cookie []byte
	nonce  uint64
	box    []byte
}

func (i initiate) append(dst []byte) []byte {
	dst = append(append(dst, initiateName...), i.cookie...)
	return append(binary.BigEndian.AppendUint64(dst, i.nonce), i.box...)
}

func parseInitiate(b []byte) (i initiate, err error) {
	b, err = fields(b, initiateName, initiateSize, initiateSize+maxMetadata)
	if err != nil {
		return i, err
	}
	i.cookie, b = b[:cookieSize], b[cookieSize:]
	i.nonce, i.box = binary.BigEndian.Uint64(b), b[8:]
	return i, nil
}

// introduction is what INITIATE has in its box: who the client is, and its word for the key of this connection.
type introduction struct {
	client     PublicKey
	vouchNonce []byte
	vouch      []byte
	metadata   Metadata
}

func (i introduction) append(dst []byte) []byte {
	dst = append(append(append(dst, i.client[:]...), i.vouchNonce...), i.vouch...)
	return i.metadata.Append(dst)
}

func parseIntroduction(b []byte) (i introduction, err error) {
	if len(b) < KeySize+vouchSize {
		return i, fmt.Errorf("%w: INITIATE with %d bytes in the box", ErrFormat, len(b))
	}
	i.client, b = PublicKey(b[:KeySize]), b[KeySize:]
	i.vouchNonce, i.vouch = b[:longNonceSize], b[longNonceSize:vouchSize]
	i.metadata, err = parseMetadata(b[vouchSize:])
	return i, err
}

type ready struct {
	nonce uint64
	box   []byte
}

func (r ready) append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(append(dst, readyName...), r.nonce), r.box...)
}

func parseReady(b []byte) (r ready, err error) {
	b, err = fields(b, readyName, readySize, readySize+maxMetadata)
	if err != nil {
		return r, err
	}
	return ready{binary.BigEndian.Uint64(b), b[8:]}, nil
}

func appendError(dst []byte, code string) []byte {
	return append(append(append(dst, errorName...), byte(len(code))), code...)
}

// parseError reports false for what is no ERROR at all.
func parseError(b []byte) (*RefusedError, bool) {
	if len(b) < len(errorName)+1 || string(b[:len(errorName)]) != errorName {
		return nil, false
	}
	code := b[len(errorName)+1:]
	if len(code) != int(b[len(errorName)]) {
		return nil, false
	}
	return &RefusedError{Code: string(code)}, true
}

// fields checks the name and the size of a command and returns what follows the name.
func fields(b []byte, name string, least, most int) ([]byte, error) {
	if len(b) < len(name) || string(b[:len(name)]) != name {
		return nil, fmt.Errorf("%w: no %s", ErrFormat, name[1:])
	}
	if len(b) < least || len(b) > most {
		return nil, fmt.Errorf("%w: %s of %d bytes", ErrFormat, name[1:], len(b))
	}
	return b[len(name):], nil
}
