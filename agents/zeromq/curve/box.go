package curve

import (
	"crypto/subtle"
	"encoding/binary"
	"runtime"

	"golang.org/x/crypto/nacl/secretbox"
	"golang.org/x/crypto/poly1305"      //nolint:staticcheck // CurveZMQ is XSalsa20-Poly1305 by definition
	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // the same
)

// The nonces of CurveZMQ (RFC 26): 16 characters and a counter, or 8 characters (7 with a dash) and 16 random
// bytes.
const (
	nonceHello    = "CurveZMQHELLO---"
	nonceInitiate = "CurveZMQINITIATE"
	nonceReady    = "CurveZMQREADY---"
	nonceClient   = "CurveZMQMESSAGEC"
	nonceServer   = "CurveZMQMESSAGES"

	nonceWelcome = "WELCOME-"
	nonceCookie  = "COOKIE--"
	nonceVouch   = "VOUCH---"
)

const (
	tagSize       = secretbox.Overhead
	longNonceSize = 16
)

// shortNonce is a nonce of which n travels on the wire.
func shortNonce(prefix string, n uint64) (nonce [24]byte) {
	copy(nonce[:], prefix)
	binary.BigEndian.PutUint64(nonce[16:], n)
	return nonce
}

// longNonce is a nonce of which the random part travels on the wire.
func longNonce(prefix string, random []byte) (nonce [24]byte) {
	copy(nonce[:], prefix)
	copy(nonce[8:], random)
	return nonce
}

func (k *sharedKey) seal(message []byte, nonce [24]byte) []byte {
	return secretbox.Seal(nil, message, &nonce, (*[32]byte)(k))
}

func (k *sharedKey) open(box []byte, nonce [24]byte) ([]byte, bool) {
	return secretbox.Open(nil, box, &nonce, (*[32]byte)(k))
}

const (
	block = 64  // of Salsa20
	wide  = 256 // bytes that the vector code of amd64 makes at once, in little more time than one block
)

// stream is XSalsa20-Poly1305 under one key and one prefix of nonces, as secretbox computes it but at about
// half the cost of a small message: XSalsa20 first derives a key from the key and the prefix, and the prefix of
// a connection never changes, so that is done once; and the keystream is made in pieces that the vector code
// takes, even when the end of the last one is not needed.
type stream struct {
	key     [32]byte
	counter [16]byte // nonce, then the number of the block
	ahead   [wide]byte
	tag     [tagSize]byte
	oneTime [32]byte
}

var zeros [wide]byte

func newStream(k *sharedKey, prefix string) *stream {
	s := &stream{}
	salsa.HSalsa20(&s.key, (*[16]byte)([]byte(prefix)), (*[32]byte)(k), &salsa.Sigma)
	return s
}

// generate fills ahead with at least n bytes of keystream that begin with block number at.
func (s *stream) generate(at uint64, n int) {
	switch {
	case n <= block:
		n = block
	case runtime.GOARCH == "amd64":
		n = wide
	default:
		n = min((n+block-1)/block*block, wide)
	}
	binary.LittleEndian.PutUint64(s.counter[8:], at)
	salsa.XORKeyStream(s.ahead[:n], zeros[:n], &s.counter, &s.key)
}

// begin makes the one-time key of Poly1305 and the keystream for the start of a message of n bytes.
func (s *stream) begin(nonce uint64, n int) {
	binary.BigEndian.PutUint64(s.counter[:8], nonce)
	s.generate(0, min(32+n, wide))
	s.oneTime = [32]byte(s.ahead[:32])
}

// crypt encrypts or decrypts flags and body; it follows begin. dst may be body itself.
func (s *stream) crypt(dst, body []byte, flags byte) byte {
	flags ^= s.ahead[32]
	n := subtle.XORBytes(dst, body, s.ahead[33:])
	dst, body = dst[n:], body[n:]
	tail := len(body) % wide
	if tail <= block {
		tail = 0 // one block costs least where it lies
	}
	whole := len(body) - tail
	if whole > 0 {
		binary.LittleEndian.PutUint64(s.counter[8:], wide/block)
		salsa.XORKeyStream(dst[:whole], body[:whole], &s.counter, &s.key)
	}
	if tail > 0 {
		s.generate(uint64(wide+whole)/block, tail)
		subtle.XORBytes(dst[whole:], body[whole:], s.ahead[:])
	}
	return flags
}

// seal writes the box of flags and body to dst, which has room for exactly that and does not overlap body.
func (s *stream) seal(dst []byte, flags byte, body []byte, nonce uint64) {
	s.begin(nonce, 1+len(body))
	sealed := dst[tagSize:]
	sealed[0] = s.crypt(sealed[1:], body, flags)
	poly1305.Sum(&s.tag, sealed, &s.oneTime)
	copy(dst, s.tag[:])
}

// open decrypts box in place. A box that was tampered with stays as it is.
func (s *stream) open(box []byte, nonce uint64) (flags byte, body []byte, ok bool) {
	sealed := box[tagSize:]
	s.begin(nonce, len(sealed))
	copy(s.tag[:], box)
	if !poly1305.Verify(&s.tag, sealed, &s.oneTime) {
		return 0, nil, false
	}
	body = sealed[1:]
	flags = s.crypt(body, body, sealed[0])
	return flags, body, true
}
