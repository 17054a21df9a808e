package redisx_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

// check opens a URL and checks it.
func check(t *testing.T, url string) (warnings []string, err error) {
	t.Helper()
	c, err := redisx.Open(url)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { c.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Check(ctx)
}

// TestCheck: every state in which Redis may be is told with what to do about it.
func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		warning string // part of it; "": there is none
		err     string
	}{
		"fit":                        {args: []string{"--appendonly", "yes"}},
		"not persistent":             {warning: "appendonly no"},
		"evicts":                     {args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, err: "CONFIG SET maxmemory-policy noeviction"},
		"evicts what expires":        {args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl"}, err: "maxmemory-policy is volatile-ttl"},
		"would evict with a limit":   {args: []string{"--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"}, warning: "CONFIG SET maxmemory-policy noeviction"},
		"no limit, and nothing else": {args: []string{"--appendonly", "yes", "--maxmemory", "100mb"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warnings, err := check(t, testredis.Start(t, c.args...).URL)
			expect(t, warnings, err, c.warning, c.err)
		})
	}
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		warnings, err := check(t, "redis://"+l.Addr().String())
		expect(t, warnings, err, "", "is it running")
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		cluster := testredis.StartCluster(t)
		warnings, err := check(t, cluster.URL)
		expect(t, warnings, err, "appendonly no", "")
		if len(warnings) != 1 {
			t.Errorf("the masters say %q", warnings)
		}
		_, err = check(t, cluster.Nodes[0].URL)
		expect(t, nil, err, "", "redis+cluster://")
	})
}

// TestJudge: what cannot be had from a server of today.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		info         map[string]string
		warning, err string
	}{
		"old":     {info: map[string]string{"redis_version": "6.2.14"}, err: "version 6.2.14 is too old"},
		"older":   {info: map[string]string{"redis_version": "2.8"}, err: "too old"},
		"seven":   {info: map[string]string{"redis_version": "7.0.0"}},
		"valkey":  {info: map[string]string{"redis_version": "7.2.4", "valkey_version": "9.0.1", "server_name": "valkey"}},
		"next":    {info: map[string]string{"redis_version": "10.1.2"}},
		"replica": {info: map[string]string{"redis_version": "7.2.4", "role": "slave"}, err: "replica"},
		"full":    {info: map[string]string{"redis_version": "7.2.4", "aof_last_write_status": "err"}, warning: "disk"},
		"nothing": {info: map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			warnings, err := redisx.Judge(c.info, false)
			expect(t, warnings, err, c.warning, c.err)
		})
	}
}

func expect(t *testing.T, warnings []string, err error, warning, problem string) {
	t.Helper()
	all := strings.Join(warnings, "\n")
	if warning == "" && all != "" || !strings.Contains(all, warning) {
		t.Errorf("warnings %q, want %q", warnings, warning)
	}
	if (err != nil) != (problem != "") || err != nil && !strings.Contains(err.Error(), problem) {
		t.Errorf("error %v, want %q", err, problem)
	}
	if err != nil && strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("the error shows the password: %v", err)
	}
}

// TestUsers: passwords, users without CONFIG, without INFO, with the wrong password.
func TestUsers(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t, "--appendonly", "yes")
	admin, err := redisx.Open(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, rule := range [][]any{
		{"acl", "setuser", "plain", "on", ">s3cr3t", "~*", "&*", "+@all", "-config", "-@admin"},
		{"acl", "setuser", "blind", "on", ">s3cr3t", "~*", "&*", "+@all", "-config", "-info"},
		{"acl", "setuser", "odd", "on", ">s3cr3t/@:?#%", "~*", "&*", "+@all"},
		{"acl", "setuser", "default", "resetpass", ">s3cr3t"},
	} {
		if err := admin.Do(t.Context(), rule...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct{ userinfo, warning, err string }{
		"without CONFIG":  {userinfo: "plain:s3cr3t@"},
		"without INFO":    {userinfo: "blind:s3cr3t@", warning: "+info"},
		"odd password":    {userinfo: "odd:s3cr3t%2F%40%3A%3F%23%25@"},
		"password only":   {userinfo: ":s3cr3t@"},
		"wrong password":  {userinfo: "plain:wrong@", err: "refuses the user or the password"},
		"unknown user":    {userinfo: "nobody:s3cr3t@", err: "refuses the user or the password"},
		"nothing at all":  {err: "wants a password"},
		"someone else's ": {userinfo: "plain@", err: "password"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := check(t, "redis://"+c.userinfo+server.Addr)
			expect(t, warnings, err, c.warning, c.err)
		})
	}
	// What needs no CONFIG must not ask for it: an agent's whole life, with scripts, goes on such a user.
	c, err := redisx.Open("redis://plain:s3cr3t@" + server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.Eval(t.Context(), redisx.NewScript("return 7"), nil).Int(); err != nil || got != 7 {
		t.Errorf("a script: %d, %v", got, err)
	}
}

// TestTLS: a server with a certificate of an authority that only we know, which wants one of us too.
func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority, key := newAuthority(t, dir, "ca")
	newAuthority(t, dir, "other")
	for _, name := range []string{"server", "client"} {
		newCertificate(t, dir, name, authority, key)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	in := func(name string) string { return filepath.Join(dir, name+".pem") }
	plain := testredis.Start(t, "--appendonly", "yes", "--tls-port", port, "--tls-auth-clients", "yes",
		"--tls-cert-file", in("server"), "--tls-key-file", in("server-key"), "--tls-ca-cert-file", in("ca"))
	ours := "cert=" + in("client") + "&key=" + in("client-key")
	for name, c := range map[string]struct{ url, err string }{
		"ours":                   {url: "rediss://" + addr + "?ca=" + in("ca") + "&" + ours},
		"ours, with a database":  {url: "rediss://" + addr + "/3?ca=" + in("ca") + "&" + ours},
		"not verified":           {url: "rediss://" + addr + "?skip_verify=true&" + ours},
		"the system's authority": {url: "rediss://" + addr + "?" + ours, err: "?ca="},
		"another authority":      {url: "rediss://" + addr + "?ca=" + in("other") + "&" + ours, err: "?ca="},
		"no certificate of ours": {url: "rediss://" + addr + "?ca=" + in("ca"), err: "redis: "},
		"TLS to a plain port":    {url: "rediss://" + plain.Addr, err: "redis://"},
		"plain to a TLS port":    {url: "redis://" + addr, err: "rediss://"},
		"no such file":           {url: "rediss://" + addr + "?ca=" + in("missing"), err: "missing.pem"},
		"no certificate in it":   {url: "rediss://" + addr + "?ca=" + in("server-key"), err: "holds no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			warnings, err := check(t, c.url)
			expect(t, warnings, err, "", c.err)
		})
	}
}

func newAuthority(t *testing.T, dir, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	return sign(t, dir, name, &x509.Certificate{
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, nil)
}

func newCertificate(t *testing.T, dir, name string, authority *x509.Certificate, key *ecdsa.PrivateKey) {
	t.Helper()
	sign(t, dir, name, &x509.Certificate{
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, authority, key)
}

// sign makes a key and a certificate and writes both as PEM; without an authority it signs itself.
func sign(t *testing.T, dir, name string, c, authority *x509.Certificate, by *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if authority == nil {
		authority, by = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, authority, key.Public(), by)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name: {Type: "CERTIFICATE", Bytes: der}, name + "-key": {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(filepath.Join(dir, file+".pem"), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made, key
}
