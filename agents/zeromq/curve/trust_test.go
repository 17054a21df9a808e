package curve_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq/curve"
)

func TestTrustedKeysFollowTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ann, _ := curve.GenerateKeyPair()
	bob, _ := curve.GenerateKeyPair()
	write := func(name string, key curve.PublicKey) {
		t.Helper()
		if err := (curve.Certificate{Public: key}).WritePublic(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	write("ann.key", ann)
	write("bob.txt", bob)
	synctest.Test(t, func(t *testing.T) {
		authorise, err := curve.TrustedKeys(dir)
		if err != nil {
			t.Fatal(err)
		}
		expect := func(when string, key curve.PublicKey, code string) {
			t.Helper()
			id, err := authorise(t.Context(), curve.Request{ClientKey: key})
			refusal, _ := errors.AsType[*curve.RefusedError](err)
			if code == "" && (err != nil || id != key.String()) || code != "" && (refusal == nil || refusal.Code != code) {
				t.Errorf("%s: %q, %v", when, id, err)
			}
		}
		expect("known", ann, "")
		expect("unknown", bob, "400")

		write("bob.key", bob)
		expect("too early", bob, "400")
		time.Sleep(time.Second)
		expect("new", bob, "")

		os.WriteFile(filepath.Join(dir, "bob.key"), []byte("curve\n public-key = \"half a"), 0o644)
		os.Remove(filepath.Join(dir, "ann.key"))
		time.Sleep(time.Second)
		expect("broken", bob, "400")
		expect("removed", ann, "400")

		os.Remove(filepath.Join(dir, "bob.key"))
		write("bob.key", ann)
		time.Sleep(time.Second)
		expect("replaced", ann, "")

		os.Rename(dir, dir+"-gone")
		time.Sleep(time.Second)
		expect("no directory", ann, "300")
		os.Rename(dir+"-gone", dir)
		expect("back", ann, "")

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = authorise(ctx, curve.Request{})
	})
	if _, err := curve.TrustedKeys(filepath.Join(dir, "missing")); err == nil {
		t.Error("a missing directory is taken")
	}
}

func TestCookiesLastAMinuteOrTwo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := curve.NewCookies()
		cookie := c.SealCookie()
		for _, step := range []struct {
			wait time.Duration
			want bool
		}{{0, true}, {59 * time.Second, true}, {time.Second, true}, {59 * time.Second, true}, {time.Second, false}} {
			time.Sleep(step.wait)
			if got := c.OpenCookie(cookie); got != step.want {
				t.Errorf("after %v more: %v", step.wait, got)
			}
		}
		cookie = c.SealCookie()
		time.Sleep(2 * time.Minute)
		if c.OpenCookie(cookie) {
			t.Error("an idle server takes an old cookie")
		}
		if curve.NewCookies().OpenCookie(c.SealCookie()) {
			t.Error("another server's cookie opens")
		}
	})
}

func TestCertificateMetadata(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := curve.Metadata{
		{Name: "plain", Value: "a = b c"}, {Name: "empty", Value: ""}, {Name: "spaces", Value: "  x "}, {Name: "hash", Value: "a # b"},
		{Name: "double", Value: `say "hi"`}, {Name: "single", Value: `it's`}, {Name: "utf-8", Value: "grüße"},
	}
	c, err := curve.CreateCertificate(dir, "c", want)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"c.key", "c.key_secret"} {
		got, err := curve.LoadCertificate(filepath.Join(dir, file))
		if err != nil || got.Public != c.Public || len(got.Metadata) != len(want) {
			t.Fatalf("%s: %v, %v", file, got, err)
		}
		for i := range want {
			if got.Metadata[i] != want[i] {
				t.Errorf("%s: %q, want %q", file, got.Metadata[i], want[i])
			}
		}
	}
	if _, err := curve.CreateCertificate(dir, "c", nil); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwrites: %v", err)
	}
	for _, bad := range []curve.Property{
		{Name: "public-key", Value: "x"}, {Name: "secret-key2", Value: "x"}, {Name: "", Value: "x"}, {Name: "a b", Value: "x"}, {Name: "a=", Value: "x"},
		{Name: "a", Value: "x\ny"}, {Name: "a", Value: "both ' and \""}, {Name: "#a", Value: "x"},
	} {
		if _, err := curve.CreateCertificate(dir, "bad", curve.Metadata{bad}); !errors.Is(err, curve.ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := (curve.Certificate{Public: c.Public}).WriteSecret(filepath.Join(dir, "x")); err == nil {
		t.Error("a secret certificate without a secret")
	}
	other, _ := curve.GenerateKeyPair()
	for name, text := range map[string]string{
		"no key":        "metadata\n",
		"wrong section": "metadata\n    public-key = \"" + c.Public.String() + "\"\n",
		"twice":         strings.Repeat("curve\n    public-key = \""+c.Public.String()+"\"\n", 2),
		"not a pair":    "curve\n    public-key = \"" + other.String() + "\"\n    secret-key = \"" + c.Secret.Z85() + "\"\n",
		"short":         "curve\n    public-key = \"abc\"\n",
	} {
		if got, err := curve.ParseCertificate([]byte(text)); !errors.Is(err, curve.ErrFormat) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
