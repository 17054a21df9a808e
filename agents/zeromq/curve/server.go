package curve

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
)

// server is the handshake of a server (RFC 26).
type server struct {
	cfg ServerConfig

	hello       uint64 // nonce
	cookieNonce [longNonceSize]byte
}

func (s *server) shake(ctx context.Context, c *Conn) error {
	if err := s.cfg.Validate(); err != nil {
		return err
	}
	if err := c.greet(); err != nil {
		return err
	}
	body, err := c.command(helloSize)
	if err != nil {
		return err
	}
	if s.cfg.Screen != nil {
		if err := s.cfg.Screen(ctx, c.RemoteAddr()); err != nil {
			return c.refuse(err)
		}
	}
	if body, err = s.welcome(body); err != nil {
		return err
	}
	if err := c.send(body); err != nil {
		return err
	}
	if body, err = c.command(initiateSize + maxMetadata); err != nil {
		return err
	}
	shared, nonce, err := s.meet(c, body)
	if err != nil {
		return err
	}
	if err := s.admit(ctx, c); err != nil {
		return err
	}
	box := shared.seal(s.cfg.Metadata.Append(nil), shortNonce(nonceReady, 1))
	if err := c.send(ready{1, box}.append(nil)); err != nil {
		return err
	}
	c.opener = &Opener{newStream(shared, nonceClient), nonce}
	c.sealer = &Sealer{newStream(shared, nonceServer), 2}
	return nil
}

// welcome answers HELLO. What it must know when INITIATE comes is in the cookie; the connection itself keeps
// two nonces, by which it knows that the cookie is its own: one that was recorded elsewhere is no good here.
func (s *server) welcome(body []byte) ([]byte, error) {
	h, err := parseHello(body)
	if err != nil {
		return nil, refused("%w", err)
	}
	shared, err := s.cfg.Secret.share(h.client)
	if err != nil {
		return nil, refused("HELLO: %w", err)
	}
	if _, ok := shared.open(h.box, shortNonce(nonceHello, h.nonce)); !ok {
		return nil, refused("HELLO does not open: meant for another server's key")
	}
	public, secret := GenerateKeyPair()
	cookie := s.cfg.Cookies.seal(h.client, secret)
	s.hello = h.nonce
	copy(s.cookieNonce[:], cookie)
	var random [longNonceSize]byte
	rand.Read(random[:]) // never fails
	box := shared.seal(append(public[:], cookie...), longNonce(nonceWelcome, random[:]))
	return welcome{random[:], box}.append(nil), nil
}

// meet reads INITIATE and learns who the client is.
func (s *server) meet(c *Conn, body []byte) (*sharedKey, uint64, error) {
	i, err := parseInitiate(body)
	if err != nil {
		return nil, 0, refused("%w", err)
	}
	if i.nonce <= s.hello {
		return nil, 0, refused("INITIATE: nonce %d after %d", i.nonce, s.hello)
	}
	if subtle.ConstantTimeCompare(i.cookie[:longNonceSize], s.cookieNonce[:]) == 0 {
		return nil, 0, refused("INITIATE: the cookie of another connection")
	}
	session, own, ok := s.cfg.Cookies.open(i.cookie)
	if !ok {
		return nil, 0, refused("INITIATE: cookie does not open")
	}
	shared, err := own.share(session)
	if err != nil {
		return nil, 0, refused("INITIATE: %w", err)
	}
	b, ok := shared.open(i.box, shortNonce(nonceInitiate, i.nonce))
	if !ok {
		return nil, 0, refused("INITIATE does not open")
	}
	intro, err := parseIntroduction(b)
	if err != nil {
		return nil, 0, refused("%w", err)
	}
	long, err := own.share(intro.client)
	if err != nil {
		return nil, 0, refused("INITIATE: %w", err)
	}
	vouch, ok := long.open(intro.vouch, longNonce(nonceVouch, intro.vouchNonce))
	us := s.cfg.Secret.Public()
	if !ok || subtle.ConstantTimeCompare(vouch, append(session[:], us[:]...)) == 0 {
		return nil, 0, refused("INITIATE: the vouch is not for this connection")
	}
	c.peer, c.metadata = intro.client, intro.metadata
	return shared, i.nonce, nil
}

// admit asks Authorise and tells a client that is refused.
func (s *server) admit(ctx context.Context, c *Conn) error {
	id, err := s.cfg.Authorise(ctx, Request{ClientKey: c.peer, RemoteAddr: c.RemoteAddr(), Metadata: c.metadata})
	if err != nil {
		return c.refuse(err)
	}
	c.userID = id
	return nil
}

// refuse tells the client, if it is to be told.
func (c *Conn) refuse(err error) error {
	refusal, ok := errors.AsType[*RefusedError](err)
	if !ok {
		refusal = &RefusedError{Code: "400"}
		err = fmt.Errorf("%w: %w", err, refusal)
	}
	if len(refusal.Code) == 3 && refusal.Code != "300" {
		_ = c.send(appendError(nil, refusal.Code)) // the connection ends either way
	}
	return refused("%w", err)
}
