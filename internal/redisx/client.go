package redisx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Client is a connection pool to Redis. It is safe for concurrent use.
type Client struct {
	redis.UniversalClient // commands, pipelines, scripts

	// Blocking is a pool of its own for XREAD and XREADGROUP with BLOCK, so that a waiting reader
	// never holds a connection that a command needs.
	Blocking redis.UniversalClient

	blocking *redis.UniversalOptions
	mu       sync.Mutex
	readers  map[*Readers]struct{}
}

// Readers is one more pool for blocking reads. Close ends those in progress at once; what Redis has answered
// them by then may be lost.
type Readers struct {
	redis.UniversalClient

	of *Client
}

// Readers makes a pool that the caller closes.
func (c *Client) Readers() *Readers {
	r := &Readers{UniversalClient: connect(c.blocking), of: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readers[r] = struct{}{}
	return r
}

// Close closes the pool, with the connections that are in use.
func (r *Readers) Close() error {
	r.of.mu.Lock()
	delete(r.of.readers, r)
	r.of.mu.Unlock()
	return r.UniversalClient.Close()
}

// Open makes a Client from a URL. It does no I/O; the first command connects.
//
//	redis://[user:password@]host:port[/db]        one server
//	rediss://…                                    the same over TLS
//	redis+cluster://[user:password@]a:1,b:2,c:3   Redis Cluster, any of its nodes
//	redis+sentinel://[user:password@]a:1,b:2/name the master that Sentinels a and b watch as name
//	rediss+cluster://… and rediss+sentinel://…    those over TLS
//
// With TLS, ?ca=/path/ca.pem names the authority to trust instead of the system's, ?cert= and ?key= what we show.
func Open(rawURL string) (*Client, error) {
	o, err := parse(rawURL)
	if err != nil {
		return nil, err
	}
	if o.IsClusterMode {
		// A node that has stopped without closing its connections is asked twice before the others are: with 3 s each
		// its slots stood still for 10 s, though a replica had taken over after 4.
		o.ReadTimeout, o.WriteTimeout = time.Second, time.Second
	}
	blocking := *o
	blocking.PoolSize = 64
	blocking.ReadTimeout = 5 * time.Second // on top of it go-redis adds the time of BLOCK
	return &Client{UniversalClient: connect(o), Blocking: connect(&blocking), blocking: &blocking, readers: make(map[*Readers]struct{})}, nil
}

func connect(o *redis.UniversalOptions) redis.UniversalClient {
	if !o.IsClusterMode {
		return redis.NewUniversalClient(o)
	}
	cluster := o.Cluster()
	cluster.ClusterStateReloadInterval = 5 * time.Second // the default of a minute is a minute's outage after a failover
	return redis.NewClusterClient(cluster)
}

// Silence stops the driver from writing to standard error by itself; every failure is an error of the
// command too. It is for main: the driver has one logger for the whole process.
func Silence() { logging.Disable() }

// Close closes both pools.
func (c *Client) Close() error {
	return errors.Join(c.UniversalClient.Close(), c.Blocking.Close())
}

// ReloadTopology makes a Cluster client ask its nodes anew who owns which slot. Callers use it after a
// network error: left alone the client notices a failover only after a minute.
func (c *Client) ReloadTopology(ctx context.Context) {
	pools := []redis.UniversalClient{c.UniversalClient, c.Blocking}
	c.mu.Lock()
	for r := range c.readers {
		pools = append(pools, r.UniversalClient)
	}
	c.mu.Unlock()
	for _, u := range pools {
		if cluster, ok := u.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx)
		}
	}
}

func parse(rawURL string) (*redis.UniversalOptions, error) {
	u, err := url.Parse(withFirstHost(rawURL))
	if err != nil {
		return nil, fmt.Errorf("redis: the URL cannot be read; want redis://host:port, redis+cluster://… or redis+sentinel://…")
	}
	o := safeOptions()
	o.Addrs = hosts(rawURL)
	o.Username = u.User.Username()
	o.Password, _ = u.User.Password()
	path := strings.Trim(u.Path, "/")
	scheme, encrypted := u.Scheme, false
	if rest, ok := strings.CutPrefix(scheme, "rediss"); ok {
		scheme, encrypted = "redis"+rest, true
	}
	query := u.Query()
	if encrypted {
		if o.TLSConfig, err = secure(query); err != nil {
			return nil, err
		}
	}
	for _, k := range []string{"ca", "cert", "key"} {
		query.Del(k)
	}
	switch scheme {
	case "redis":
		u.RawQuery = query.Encode()
		single, err := redis.ParseURL(u.String())
		if err != nil {
			return nil, fmt.Errorf("redis: the URL cannot be used: %w", hideURL(err))
		}
		o.Addrs, o.DB = []string{single.Addr}, single.DB
		o.Username, o.Password = single.Username, single.Password
		if encrypted {
			o.TLSConfig.ServerName, o.TLSConfig.InsecureSkipVerify = single.TLSConfig.ServerName, single.TLSConfig.InsecureSkipVerify
		}
	case "redis+cluster":
		o.IsClusterMode = true
	case "redis+sentinel":
		if path == "" {
			return nil, errors.New("redis: a sentinel URL ends in the master's name: redis+sentinel://host:26379/mymaster")
		}
		o.MasterName, o.SentinelPassword = path, u.Query().Get("sentinel_password")
		o.DB, _ = strconv.Atoi(u.Query().Get("db"))
	default:
		return nil, fmt.Errorf("redis: unknown scheme %q; want redis, rediss, redis+cluster, rediss+cluster, redis+sentinel or rediss+sentinel", u.Scheme)
	}
	if len(o.Addrs) == 0 || o.Addrs[0] == "" {
		return nil, errors.New("redis: the URL names no host")
	}
	return o, nil
}

// secure reads the parts of a URL that are about TLS.
func secure(query url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if name := query.Get("ca"); name != "" {
		pem, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("redis: ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: ca: %s holds no certificate", name)
		}
	}
	if query.Get("cert") != "" || query.Get("key") != "" {
		pair, err := tls.LoadX509KeyPair(query.Get("cert"), query.Get("key"))
		if err != nil {
			return nil, fmt.Errorf("redis: cert and key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// safeOptions are what a job queue needs. Retries are ours: a client that retries an XADD whose reply
// was lost duplicates the job without telling anybody.
func safeOptions() *redis.UniversalOptions {
	return &redis.UniversalOptions{
		MaxRetries:               -1,
		MaxRedirects:             2,
		DialTimeout:              time.Second,
		DialerRetries:            1,
		ReadTimeout:              3 * time.Second,
		WriteTimeout:             3 * time.Second,
		ContextTimeoutEnabled:    true,
		DisableIdentity:          true,
		PoolSize:                 32,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// Redacted is a URL that may be shown: without user and password.
func Redacted(rawURL string) string {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return ""
	}
	authority, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	path, _, _ = strings.Cut(path, "?")
	return strings.TrimSuffix(scheme+"://"+authority+"/"+path, "/")
}

// hosts lists the host:port pairs of a URL that may name several.
func hosts(rawURL string) []string {
	_, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest, _, _ = strings.Cut(rest, "?")
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	list := strings.Split(rest, ",")
	for i, h := range list {
		if _, _, err := net.SplitHostPort(h); err != nil && h != "" {
			list[i] = net.JoinHostPort(h, "6379")
		}
	}
	return list
}

// withFirstHost drops all hosts but the first, because net/url reads only one.
func withFirstHost(rawURL string) string {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return rawURL
	}
	authority, path, _ := strings.Cut(rest, "/")
	first, _, several := strings.Cut(authority, ",")
	if !several {
		return rawURL
	}
	return scheme + "://" + first + "/" + path
}

// hideURL keeps the reason and drops the URL from a parse error: it may hold a password.
func hideURL(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
