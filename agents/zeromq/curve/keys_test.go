package curve_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

// The vectors of RFC 32, and the pair that the tests of libzmq use.
func TestZ85(t *testing.T) {
	t.Parallel()
	raw, _ := hex.DecodeString("864FD26FB559F75B")
	if got, err := curve.EncodeZ85(raw); got != "HelloWorld" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := curve.DecodeZ85("HelloWorld"); !bytes.Equal(got, raw) || err != nil {
		t.Errorf("%x, %v", got, err)
	}
	secret, err := curve.ParseSecretKey("JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6")
	if err != nil || secret.Public().String() != "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7" {
		t.Errorf("public %v, %v", secret.Public(), err)
	}
	if got, err := curve.DecodeZ85("%nSc0"); err != nil || !bytes.Equal(got, []byte{255, 255, 255, 255}) {
		t.Errorf("2^32-1: %x, %v", got, err)
	}
	for _, bad := range []string{"Hello World", "Hell", "Hello,orld", "Hello\x00orld", "%nSc1", "#####", "Hellö"} {
		if got, err := curve.DecodeZ85(bad); !errors.Is(err, curve.ErrFormat) {
			t.Errorf("%q: %x, %v", bad, got, err)
		}
	}
	if _, err := curve.EncodeZ85(make([]byte, 5)); !errors.Is(err, curve.ErrFormat) {
		t.Error(err)
	}
	if _, err := curve.ParsePublicKey("HelloWorld"); !errors.Is(err, curve.ErrFormat) {
		t.Error(err)
	}
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	public, secret := curve.GenerateKeyPair()
	raw, _ := curve.DecodeZ85(secret.Z85())
	type inner struct{ Shown, unseen curve.SecretKey }
	things := []any{
		secret, &secret, []curve.SecretKey{secret}, map[string]any{"k": secret}, inner{secret, secret}, &inner{secret, secret},
		curve.Certificate{Public: public, Secret: secret}, curve.ServerConfig{Secret: secret}, curve.ClientConfig{Secret: secret},
	}
	var out strings.Builder
	for _, thing := range things {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c"} {
			fmt.Fprintf(&out, verb+"\n", thing)
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("", "thing", thing)
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "thing", thing)
		b, _ := json.Marshal(thing)
		out.Write(b)
	}
	_, err := curve.ParseSecretKey(secret.Z85()[:39] + "~")
	fmt.Fprintln(&out, err)
	_, err = curve.ParseCertificate([]byte("curve\n  public-key = \"" + public.String() + "\"\n  secret-key = \"" + secret.Z85() + "0\"\n"))
	fmt.Fprintln(&out, err)
	if err == nil {
		t.Error("a key of 41 characters was taken")
	}
	text := strings.ToLower(out.String())
	for _, leak := range []string{
		strings.ToLower(secret.Z85()), strings.ToLower(secret.Z85()[:20]), hex.EncodeToString(raw), strings.Trim(fmt.Sprintf("%d", raw), "[]"),
		hex.EncodeToString(raw[:8]), strings.ToLower(fmt.Sprintf("%#v", raw[:4])[7:20]),
	} {
		if strings.Contains(text, leak) {
			t.Errorf("the output has %q", leak)
		}
	}
}
