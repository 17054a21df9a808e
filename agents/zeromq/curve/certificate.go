package curve

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Certificate is a key and what is said of its owner, as czmq and pyzmq keep it in a file: NAME.key has the
// public half, NAME.key_secret both.
type Certificate struct {
	Public   PublicKey
	Secret   SecretKey // zero in a public certificate
	Metadata Metadata
}

const (
	maxCertificate = 64 << 10

	publicBanner = `#   ****  Generated on %s by agentmesh  ****
#   ZeroMQ CURVE Public Certificate
#   Exchange securely, or use a secure mechanism to verify the contents
#   of this file after exchange. Store public certificates in your home
#   directory, in the .curve subdirectory.

`
	//nolint:gosec // a headline, no secret
	secretBanner = `#   ****  Generated on %s by agentmesh  ****
#   ZeroMQ CURVE **Secret** Certificate
#   DO NOT PROVIDE THIS FILE TO OTHER USERS nor change its permissions.

`
)

// CreateCertificate generates a key pair and writes dir/name.key and dir/name.key_secret. It overwrites
// nothing.
func CreateCertificate(dir, name string, metadata Metadata) (Certificate, error) {
	var c Certificate
	c.Public, c.Secret = GenerateKeyPair()
	c.Metadata = metadata
	base := filepath.Join(dir, name)
	if err := c.WriteSecret(base + ".key_secret"); err != nil {
		return Certificate{}, err
	}
	if err := c.WritePublic(base + ".key"); err != nil {
		return Certificate{}, errors.Join(err, os.Remove(base+".key_secret"))
	}
	return c, nil
}

// WritePublic writes the public half, readable by everybody. It overwrites nothing.
func (c Certificate) WritePublic(path string) error {
	c.Secret = SecretKey{}
	return c.write(path, publicBanner, 0o644)
}

// WriteSecret writes both halves, readable by the owner of the process only. It overwrites nothing.
func (c Certificate) WriteSecret(path string) error {
	if c.Secret.IsZero() {
		return fmt.Errorf("curve: certificate %s: no secret key", path)
	}
	return c.write(path, secretBanner, 0o600)
}

func (c Certificate) write(path, banner string, mode os.FileMode) error {
	text, err := c.text(banner)
	if err != nil {
		return fmt.Errorf("curve: certificate %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("curve: %w", err)
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func (c Certificate) text(banner string) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, banner, time.Now().Format("2006-01-02 15:04:05.000000"))
	b.WriteString("metadata\n")
	for _, p := range c.Metadata {
		value, err := quote(p)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "    %s = %s\n", p.Name, value)
	}
	fmt.Fprintf(&b, "curve\n    public-key = \"%s\"\n", c.Public)
	if !c.Secret.IsZero() {
		fmt.Fprintf(&b, "    secret-key = \"%s\"\n", c.Secret.Z85())
	}
	return b.Bytes(), nil
}

// quote writes a value of ZPL (RFC 4), which has no escapes: bare when that reads back the same, else between
// quotes that it does not contain.
func quote(p Property) (string, error) {
	name := strings.ToLower(p.Name)
	switch {
	case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789$-_@.&+/") != "":
		return "", fmt.Errorf("%w: metadata name %.40q", ErrFormat, p.Name)
	case strings.HasPrefix(name, "public-key") || strings.HasPrefix(name, "secret-key"):
		// pyzmq looks at no section and would take the value for the key.
		return "", fmt.Errorf("%w: metadata may not be named %s", ErrFormat, name)
	case strings.ContainsFunc(p.Value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", fmt.Errorf("%w: control character in metadata %s", ErrFormat, p.Name)
	case !strings.ContainsAny(p.Value, `"'#`) && p.Value != "" && strings.TrimSpace(p.Value) == p.Value:
		return p.Value, nil
	case !strings.Contains(p.Value, `"`):
		return `"` + p.Value + `"`, nil
	case !strings.Contains(p.Value, `'`):
		return `'` + p.Value + `'`, nil
	}
	return "", fmt.Errorf("%w: both kinds of quotes in metadata %s", ErrFormat, p.Name)
}

// LoadCertificate reads either kind of file. Its errors do not quote the file.
func LoadCertificate(path string) (Certificate, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Certificate{}, fmt.Errorf("curve: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxCertificate {
		return Certificate{}, fmt.Errorf("%w: %s is not a certificate", ErrFormat, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Certificate{}, fmt.Errorf("curve: %w", err)
	}
	c, err := ParseCertificate(text)
	if err != nil {
		return Certificate{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// LoadDirectory reads the *.key files of a directory.
func LoadDirectory(dir string) ([]Certificate, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("curve: %w", err)
	}
	var all []Certificate
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".key" {
			continue
		}
		c, err := LoadCertificate(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// ParseCertificate reads the text of a certificate.
func ParseCertificate(text []byte) (Certificate, error) {
	var c Certificate
	var section string
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' && !strings.Contains(trimmed, "=") {
			section = trimmed
			continue
		}
		name, value, ok := strings.Cut(trimmed, "=")
		if !ok {
			return Certificate{}, fmt.Errorf("%w: line %d", ErrFormat, number)
		}
		name = strings.TrimSpace(name)
		value, ok = unquote(strings.TrimSpace(value))
		if !ok || name == "" {
			return Certificate{}, fmt.Errorf("%w: line %d", ErrFormat, number)
		}
		if err := set(&c, section, name, value); err != nil {
			return Certificate{}, fmt.Errorf("line %d: %w", number, err)
		}
	}
	switch {
	case c.Public.IsZero():
		return Certificate{}, fmt.Errorf("%w: no public key", ErrFormat)
	case !c.Secret.IsZero() && c.Secret.Public() != c.Public:
		return Certificate{}, fmt.Errorf("%w: the keys are not a pair", ErrFormat)
	}
	return c, nil
}

func set(c *Certificate, section, name, value string) (err error) {
	switch {
	case section == "metadata":
		c.Metadata = append(c.Metadata, Property{name, value})
	case section == "curve" && name == "public-key" && c.Public.IsZero():
		c.Public, err = ParsePublicKey(value)
	case section == "curve" && name == "secret-key" && c.Secret.IsZero():
		c.Secret, err = ParseSecretKey(value)
	case section == "curve" && (name == "public-key" || name == "secret-key"):
		return fmt.Errorf("%w: %s twice", ErrFormat, name)
	}
	return err // what is unknown is left for later versions
}

// unquote takes the quotes off a value. A bare value is kept whole, because pyzmq writes any value bare.
func unquote(value string) (string, bool) {
	if value == "" || value[0] != '"' && value[0] != '\'' {
		return value, true
	}
	inside, after, ok := strings.Cut(value[1:], value[:1])
	after = strings.TrimSpace(after)
	if ok && (after == "" || after[0] == '#') {
		return inside, true
	}
	return value, ok // pyzmq again: a value that only begins with a quoted word
}
