package curve

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/crypto/salsa20/salsa" //nolint:staticcheck // CurveZMQ is XSalsa20 by definition
)

// KeySize is the size of either key in bytes; in Z85 it takes 40 characters.
const KeySize = 32

// PublicKey names a client or a server. It is comparable; the zero value is no key.
type PublicKey [KeySize]byte

// ParsePublicKey reads a key in Z85.
func ParsePublicKey(text string) (PublicKey, error) {
	var k PublicKey
	b, err := parseKey(text)
	if err != nil {
		return k, err
	}
	copy(k[:], b)
	return k, nil
}

// String is the key in Z85.
func (k PublicKey) String() string { return encodeZ85(k[:]) }

// IsZero reports whether k is no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// SecretKey hides itself: however it is printed, logged or marshalled, alone or inside something else, its
// bytes do not appear. Z85 reveals them. The zero value is no key.
type SecretKey struct {
	// Where fmt cannot call Format, in a field that is not exported, it may follow one pointer; not two.
	key **ecdh.PrivateKey
}

const hidden = "curve.SecretKey(hidden)"

// GenerateKeyPair makes a new pair from the system's randomness.
func GenerateKeyPair() (PublicKey, SecretKey) {
	var seed [KeySize]byte
	rand.Read(seed[:]) // never fails
	secret := newSecretKey(seed[:])
	return secret.Public(), secret
}

// ParseSecretKey reads a key in Z85.
func ParseSecretKey(text string) (SecretKey, error) {
	b, err := parseKey(text)
	if err != nil {
		return SecretKey{}, err
	}
	return newSecretKey(b), nil
}

func newSecretKey(b []byte) SecretKey {
	key, err := ecdh.X25519().NewPrivateKey(b)
	if err != nil {
		panic("curve: a secret key is 32 bytes") // callers have made sure
	}
	return SecretKey{&key}
}

func (k SecretKey) bytes() []byte { return (*k.key).Bytes() }

// Public is the other half of the pair. It costs nothing: it was computed with the key.
func (k SecretKey) Public() PublicKey { return PublicKey((*k.key).PublicKey().Bytes()) }

// Z85 reveals the key.
func (k SecretKey) Z85() string { return encodeZ85(k.bytes()) }

// IsZero reports whether k is no key.
func (k SecretKey) IsZero() bool { return k.key == nil }

// String tells nothing.
func (SecretKey) String() string { return hidden }

// Format tells nothing, whatever the verb.
func (SecretKey) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue tells nothing.
func (SecretKey) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText tells nothing, so that no encoder writes the key by accident.
func (SecretKey) MarshalText() ([]byte, error) { return []byte(hidden), nil }

func parseKey(text string) ([]byte, error) {
	if len(text) != KeySize/4*5 {
		return nil, fmt.Errorf("%w: a key has 40 characters, not %d", ErrFormat, len(text))
	}
	return DecodeZ85(text)
}

// sharedKey is what two key pairs have in common: crypto_box_beforenm of NaCl.
type sharedKey [32]byte

// share fails on a public key of low order, which would make the result known to everybody.
func (k SecretKey) share(public PublicKey) (*sharedKey, error) {
	peer, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil, err
	}
	point, err := (*k.key).ECDH(peer)
	if err != nil {
		return nil, err
	}
	var shared sharedKey
	salsa.HSalsa20((*[32]byte)(&shared), &[16]byte{}, (*[32]byte)(point), &salsa.Sigma)
	return &shared, nil
}
