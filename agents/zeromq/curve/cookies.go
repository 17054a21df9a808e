package curve

import (
	"crypto/rand"
	"sync"
	"time"

	"golang.org/x/crypto/nacl/secretbox"
)

// cookieLife is how long one key seals cookies; it opens them for as long again.
const cookieLife = time.Minute

// Cookies seals what a server must remember of a client between HELLO and INITIATE into a cookie that the
// client keeps, so a server holds no key of a connection that may never say more. One Cookies serves all
// connections of a server; its key changes every minute and is in no other place. It is safe for concurrent use.
type Cookies struct {
	mu            sync.Mutex
	born          time.Time
	current, last *[32]byte // last is nil when it is too old
}

// NewCookies returns Cookies with a key of its own.
func NewCookies() *Cookies { return &Cookies{} }

// keys returns the key that seals and the one before it, which may be nil.
func (c *Cookies) keys() (current, last *[32]byte) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if age := now.Sub(c.born); c.current == nil || age >= cookieLife {
		c.last = c.current
		if age >= 2*cookieLife {
			c.last = nil
		}
		c.current, c.born = new([32]byte), now
		rand.Read(c.current[:]) // never fails
	}
	return c.current, c.last
}

func (c *Cookies) seal(client PublicKey, server SecretKey) []byte {
	cookie := make([]byte, longNonceSize, cookieSize)
	rand.Read(cookie) // never fails
	nonce := longNonce(nonceCookie, cookie)
	key, _ := c.keys()
	return secretbox.Seal(cookie, append(client[:], server.bytes()...), &nonce, key)
}

func (c *Cookies) open(cookie []byte) (client PublicKey, server SecretKey, ok bool) {
	nonce := longNonce(nonceCookie, cookie[:longNonceSize])
	current, last := c.keys()
	b, ok := secretbox.Open(nil, cookie[longNonceSize:], &nonce, current)
	if !ok && last != nil {
		b, ok = secretbox.Open(nil, cookie[longNonceSize:], &nonce, last)
	}
	if !ok {
		return client, server, false
	}
	return PublicKey(b[:KeySize]), newSecretKey(b[KeySize:]), true
}
