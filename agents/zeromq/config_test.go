package zeromq_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	bind := []string{"tcp://127.0.0.1:0"}
	for field, cfg := range map[string]zeromq.RouterConfig{
		"Bind":              {},
		"udp":               {Bind: []string{"udp://127.0.0.1:1"}},
		"missing port":      {Bind: []string{"tcp://127.0.0.1"}},
		"Name":              {Bind: bind, Name: strings.Repeat("n", 256)},
		"MaxMessage":        {Bind: bind, MaxMessage: -1},
		"MaxParts":          {Bind: bind, MaxParts: -1},
		"Window":            {Bind: bind, Window: -1},
		"QueueBytes":        {Bind: bind, QueueBytes: -1},
		"ConnectsPerSecond": {Bind: bind, ConnectsPerSecond: -1},
	} {
		if _, err := zeromq.NewRouter(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
	for field, cfg := range map[string]zeromq.DealerConfig{
		"Endpoint":     {},
		"RoutingID":    {Endpoint: bind[0], RoutingID: strings.Repeat("n", 256)},
		"ReconnectMax": {Endpoint: bind[0], ReconnectMin: 2, ReconnectMax: 1},
		"Inbox":        {Endpoint: bind[0], Inbox: -1},
	} {
		if _, err := zeromq.NewDealer(cfg); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}

func TestStaleSocketFileIsReplaced(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	stale, live, file := filepath.Join(dir, "stale"), filepath.Join(dir, "live"), filepath.Join(dir, "file")
	l, err := net.Listen("unix", stale)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if l, err = net.Listen("unix", live); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	startRouter(t, zeromq.RouterConfig{Bind: []string{"ipc://" + stale}}, echo)
	for _, path := range []string{live, file} {
		r, err := zeromq.NewRouter(zeromq.RouterConfig{Bind: []string{"tcp://127.0.0.1:0", "ipc://" + path}})
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Listen(); err == nil {
			t.Errorf("%s was taken over", path)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// A process out of descriptors waits and says so once.
func TestAcceptErrors(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failing := &failingListener{Listener: l, failures: 5}
	logged := runWithListener(t, failing)
	echoes(t, rawPeer(t, l.Addr().String(), "patient"))
	if got := strings.Count(logged(), "cannot accept"); got != 1 {
		t.Errorf("logged %d times", got)
	}
}

type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures--; l.failures >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	return l.Listener.Accept()
}
