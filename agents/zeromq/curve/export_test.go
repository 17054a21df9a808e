package curve

// SetNonce makes n the nonce of the next frame.
func (s *Sealer) SetNonce(n uint64) { s.nonce = n }

// OpenCookie opens a cookie of SealCookie.
func (c *Cookies) OpenCookie(cookie []byte) bool {
	_, _, ok := c.open(cookie)
	return ok
}

func (c *Cookies) SealCookie() []byte {
	client, secret := GenerateKeyPair()
	return c.seal(client, secret)
}

// Reparse parses b as any command and returns what it makes of it.
func Reparse(b []byte) [][]byte {
	var all [][]byte
	if h, err := parseHello(b); err == nil {
		all = append(all, h.append(nil))
	}
	if w, err := parseWelcome(b); err == nil {
		all = append(all, w.append(nil))
	}
	if i, err := parseInitiate(b); err == nil {
		all = append(all, i.append(nil))
	}
	if r, err := parseReady(b); err == nil {
		all = append(all, r.append(nil))
	}
	if e, ok := parseError(b); ok {
		all = append(all, appendError(nil, e.Code))
	}
	return all
}

// Commands are well-formed commands with boxes of zeros.
func Commands() [][]byte {
	return [][]byte{
		hello{nonce: 1, box: make([]byte, 80)}.append(nil),
		welcome{make([]byte, 16), make([]byte, 144)}.append(nil),
		initiate{make([]byte, cookieSize), 2, make([]byte, tagSize+KeySize+vouchSize+30)}.append(nil),
		ready{1, make([]byte, 40)}.append(nil),
		appendError(nil, "400"),
	}
}

// ReparseIntroduction does the same with the inside of INITIATE.
func ReparseIntroduction(b []byte) ([]byte, error) {
	i, err := parseIntroduction(b)
	return i.append(nil), err
}

// ReparseMetadata does the same with metadata.
func ReparseMetadata(b []byte) ([]byte, error) {
	m, err := parseMetadata(b)
	return m.Append(nil), err
}
