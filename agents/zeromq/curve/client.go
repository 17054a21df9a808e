package curve

import (
	"context"
	"crypto/rand"
)

// client is the handshake of a client (RFC 26).
type client struct{ cfg ClientConfig }

func (cl *client) shake(_ context.Context, c *Conn) error {
	if err := cl.cfg.Validate(); err != nil {
		return err
	}
	cl.cfg.setDefaults()
	c.in.max = cl.cfg.MaxFrame
	if err := c.greet(); err != nil {
		return err
	}
	public, secret := GenerateKeyPair() // of this connection
	toServer, err := secret.share(cl.cfg.Server)
	if err != nil {
		return refused("Server: %w", err)
	}
	box := toServer.seal(make([]byte, 64), shortNonce(nonceHello, 1))
	if err := c.send(hello{public, 1, box}.append(nil)); err != nil {
		return err
	}
	body, err := c.answer(welcomeSize)
	if err != nil {
		return err
	}
	session, cookie, err := parseOffer(toServer, body)
	if err != nil {
		return err
	}
	shared, err := secret.share(session)
	if err != nil {
		return refused("WELCOME: %w", err)
	}
	if body, err = cl.introduce(public, session, shared, cookie); err != nil {
		return err
	}
	if err := c.send(body); err != nil {
		return err
	}
	if body, err = c.answer(readySize + maxMetadata); err != nil {
		return err
	}
	nonce, err := c.finish(shared, body)
	if err != nil {
		return err
	}
	c.peer = cl.cfg.Server
	c.sealer = &Sealer{newStream(shared, nonceClient), 3} // HELLO and INITIATE took 1 and 2
	c.opener = &Opener{newStream(shared, nonceServer), nonce}
	return nil
}

// parseOffer opens WELCOME: the server's key for this connection, and its cookie.
func parseOffer(shared *sharedKey, body []byte) (session PublicKey, cookie []byte, err error) {
	w, err := parseWelcome(body)
	if err != nil {
		return session, nil, refused("%w", err)
	}
	b, ok := shared.open(w.box, longNonce(nonceWelcome, w.nonce))
	if !ok {
		return session, nil, refused("WELCOME does not open")
	}
	return PublicKey(b[:KeySize]), b[KeySize:], nil
}

// introduce makes INITIATE: who we are, and that the key of this connection is ours.
func (cl *client) introduce(public, session PublicKey, shared *sharedKey, cookie []byte) ([]byte, error) {
	long, err := cl.cfg.Secret.share(session)
	if err != nil {
		return nil, refused("WELCOME: %w", err)
	}
	intro := introduction{client: cl.cfg.Secret.Public(), vouchNonce: make([]byte, longNonceSize), metadata: cl.cfg.Metadata}
	rand.Read(intro.vouchNonce) // never fails
	intro.vouch = long.seal(append(public[:], cl.cfg.Server[:]...), longNonce(nonceVouch, intro.vouchNonce))
	box := shared.seal(intro.append(nil), shortNonce(nonceInitiate, 2))
	return initiate{cookie, 2, box}.append(nil), nil
}

// finish reads READY and returns its nonce.
func (c *Conn) finish(shared *sharedKey, body []byte) (uint64, error) {
	r, err := parseReady(body)
	if err != nil {
		return 0, refused("%w", err)
	}
	b, ok := shared.open(r.box, shortNonce(nonceReady, r.nonce))
	if !ok {
		return 0, refused("READY does not open")
	}
	if c.metadata, err = parseMetadata(b); err != nil {
		return 0, refused("READY: %w", err)
	}
	return r.nonce, nil
}

// answer reads a command of the server, which may be its refusal.
func (c *Conn) answer(most int) ([]byte, error) {
	body, err := c.command(max(most, maxError))
	if err != nil {
		return nil, err
	}
	if refusal, ok := parseError(body); ok {
		return nil, refused("%w", refusal)
	}
	return body, nil
}
