package message

import "log/slog"

// Credential is a session token as a client sent it. However it is printed or logged, it shows nothing;
// only Reveal gives the token, and only the session check calls it.
type Credential struct{ token string }

const hidden = "[hidden]"

// NewCredential wraps a token that came another way than inside an envelope, as at a WebSocket handshake.
func NewCredential(token string) Credential { return Credential{token} }

// Reveal returns the token.
func (c Credential) Reveal() string { return c.token }

// Given reports whether there is a token at all.
func (c Credential) Given() bool { return c.token != "" }

// String hides the token from fmt.
func (c Credential) String() string { return hidden }

// GoString hides the token from %#v.
func (c Credential) GoString() string { return hidden }

// LogValue hides the token from slog.
func (c Credential) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText hides the token from encoders.
func (c Credential) MarshalText() ([]byte, error) { return []byte(hidden), nil }
