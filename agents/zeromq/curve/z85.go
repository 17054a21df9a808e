package curve

import (
	"encoding/binary"
	"fmt"
)

// The alphabet of Z85 (RFC 32).
const z85Digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// z85Values is the digit's value plus one, so that 0 marks what is no digit.
var z85Values = func() (values [256]byte) {
	for i := range len(z85Digits) {
		values[z85Digits[i]] = byte(i + 1)
	}
	return values
}()

// EncodeZ85 writes four bytes as five printable characters. The length of b must be a multiple of four.
func EncodeZ85(b []byte) (string, error) {
	if len(b)%4 != 0 {
		return "", fmt.Errorf("%w: %d bytes are no multiple of 4", ErrFormat, len(b))
	}
	return encodeZ85(b), nil
}

func encodeZ85(b []byte) string {
	text := make([]byte, len(b)/4*5)
	for at := 0; len(b) > 0; at, b = at+5, b[4:] {
		v := binary.BigEndian.Uint32(b)
		for i := at + 4; i >= at; i-- {
			text[i] = z85Digits[v%85]
			v /= 85
		}
	}
	return string(text)
}

// DecodeZ85 is strict: the length must be a multiple of five, each character a digit and each group at most
// 2^32-1. Its errors do not quote the text, which may be a secret.
func DecodeZ85(text string) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, fmt.Errorf("%w: %d characters of Z85 are no multiple of 5", ErrFormat, len(text))
	}
	b := make([]byte, 0, len(text)/5*4)
	for at := 0; at < len(text); at += 5 {
		var v uint64
		for i := at; i < at+5; i++ {
			digit := z85Values[text[i]]
			if digit == 0 {
				return nil, fmt.Errorf("%w: character %d is not of Z85", ErrFormat, i+1)
			}
			v = v*85 + uint64(digit-1)
		}
		if v > 1<<32-1 {
			return nil, fmt.Errorf("%w: Z85 group at character %d is too large", ErrFormat, at+1)
		}
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b, nil
}
