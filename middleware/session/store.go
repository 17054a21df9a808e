package session

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

const (
	tombstone = 24 * time.Hour // how long the reason of an end can be told
	maxToken  = 256            // bytes; the protocol's limit on a session
	maxUser   = 128            // bytes; the protocol's limit on an id
	maxRole   = 64             // bytes
	maxRoles  = 32
	page      = 256 // sessions read in one round trip
	portion   = 32  // sessions revoked in one round trip
)

// ErrTooMany means that the user has Config.MaxPerUser live sessions already.
var ErrTooMany = errors.New("session: the user has too many sessions")

// Config configures a Store.
type Config struct {
	Redis       *redisx.Client // required; stays the caller's to close
	Prefix      string         // of all keys; empty means "m"
	MaxPerUser  int            // live sessions of one user, more are refused; 0 means 1024
	Revocations int            // how many Redis remembers for a Watch that was away, at least; 0 means 10000
	Logger      *slog.Logger   // tells of outages while watching; nil means silence
}

func (c *Config) setDefaults() {
	if c.Prefix == "" {
		c.Prefix = "m"
	}
	if c.MaxPerUser == 0 {
		c.MaxPerUser = 1024
	}
	if c.Revocations == 0 {
		c.Revocations = 10000
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

func (c *Config) validate() error {
	switch {
	case c.Redis == nil:
		return errors.New("session: Config.Redis is required")
	case strings.ContainsAny(c.Prefix, "{}"):
		return errors.New("session: Config.Prefix must not hold braces")
	case c.MaxPerUser < 0:
		return errors.New("session: Config.MaxPerUser is negative")
	case c.Revocations < 0:
		return errors.New("session: Config.Revocations is negative")
	}
	return nil
}

// Store is the sessions of a mesh, in Redis.
type Store struct {
	redis  *redisx.Client
	config Config
}

// NewStore makes a Store. It does no I/O.
func NewStore(c Config) (*Store, error) {
	c.setDefaults()
	if err := c.validate(); err != nil {
		return nil, err
	}
	return &Store{redis: c.Redis, config: c}, nil
}

// Session is one login of a user.
type Session struct {
	Digest           string // hex SHA-256 of the token; names the session, does not open it
	User             string
	Roles            []string
	Created, Expires time.Time // by the clock of Redis
}

// Digest is the name under which Redis knows a token: its SHA-256 in hex.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// A digest comes from an operator too, so its form is checked before it becomes part of a key.
func isDigest(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && s == strings.ToLower(s)
}

func (s *Store) sessionKey(digest string) string { return "{" + s.config.Prefix + ":s:" + digest + "}" }
func (s *Store) userKey(user string) string      { return "{" + s.config.Prefix + ":su:" + user + "}" }
func (s *Store) registryKey() string             { return "{" + s.config.Prefix + ":sl}" }
func (s *Store) revocationsKey() string          { return "{" + s.config.Prefix + ":sr}" }

func checkUser(user string) error {
	if user == "" || len(user) > maxUser || !utf8.ValidString(user) || strings.ContainsFunc(user, unicode.IsControl) {
		return fmt.Errorf("session: a user id is 1 to %d bytes of UTF-8 without control characters", maxUser)
	}
	return nil
}

func checkRoles(roles []string) error {
	if len(roles) > maxRoles {
		return fmt.Errorf("session: %d roles, at most %d are possible", len(roles), maxRoles)
	}
	for _, r := range roles {
		if r == "" || len(r) > maxRole || !utf8.ValidString(r) || strings.ContainsFunc(r, unicode.IsControl) {
			return fmt.Errorf("session: a role is 1 to %d bytes of UTF-8 without control characters", maxRole)
		}
	}
	return nil
}
