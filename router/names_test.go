package router_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/agentmesh/agentmesh/router"
)

// TestNames: the first has a name, until it gives it up or dies; Redis may forget everything in between.
func TestNames(t *testing.T) {
	t.Parallel()
	embedded, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Close)
	for name, url := range map[string]string{"redis": testredis.Start(t).URL, "embedded": embedded.URL()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := redisx.Open(url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { client.Close() })
			ctx := t.Context()
			lost := make(chan string, 100)
			open := func(incarnation string) (n *router.Names, stop func()) {
				n, err := router.NewNames(router.NamesConfig{
					Redis: client, Incarnation: incarnation, Lease: 3 * time.Second, Lost: func(s string) {
						select {
						case lost <- incarnation + " " + s:
						default: // a test that has failed does not look
						}
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				running, cancel := context.WithCancel(context.Background())
				var ended sync.WaitGroup
				ended.Go(func() { _ = n.Run(running) })
				stop = func() { cancel(); ended.Wait() }
				t.Cleanup(stop)
				return n, stop
			}
			a, stopA := open("a")
			b, _ := open("b")
			var names, want []string
			for i := range 300 {
				s := fmt.Sprintf("name %d }%%\xff", i)
				names, want = append(names, s), append(want, "a")
				if err := a.Claim(ctx, s); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Claim(ctx, names[0]); !errors.Is(err, router.ErrTaken) || b.Has(names[0]) {
				t.Errorf("the second claim: %v", err)
			}
			if got, err := b.Resolve(ctx, names); err != nil || !slices.Equal(got, want) {
				t.Errorf("resolved %q, %v", got, err)
			}
			a.Release(names[0])
			wait(t, "the name that was given up", func() bool { return b.Claim(ctx, names[0]) == nil })
			if err := client.FlushAll(ctx).Err(); err != nil {
				t.Fatal(err)
			}
			want[0] = "b"
			wait(t, "the names after the loss of everything", func() bool {
				got, err := a.Resolve(ctx, names)
				return err == nil && slices.Equal(got, want)
			})
			// It goes on wanting what another one has, and is told when that lives.
			if a.Want(ctx, names[0]) {
				t.Error("b's name was free")
			}
			select {
			case got := <-lost:
				if got != "a "+names[0] {
					t.Errorf("lost %q", got)
				}
			case <-time.After(20 * time.Second):
				t.Error("nobody was told")
			}
			for _, s := range names[1:] {
				if b.Want(ctx, s) {
					t.Fatalf("%q was free", s)
				}
			}
			stopA() // in order: at once
			wait(t, "the heir", func() bool { return b.Has(names[1]) && b.Has(names[299]) })
		})
	}
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited 20 s in vain for %s", what)
		}
	}
}

// TestNameReleasedWhileClaimed: a name that is given up while Redis is being asked for it is nobody's, also if
// Redis hears of the end first.
func TestNameReleasedWhileClaimed(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	const lost = "lost on the way"
	held, release := make(chan struct{}), make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	var seen atomic.Bool
	client, err := redisx.Open(behind(t, server.URL, func(command []byte) {
		if bytes.Contains(command, []byte(lost)) && !seen.Swap(true) {
			close(held)
			<-release
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	t.Cleanup(letGo)
	n, err := router.NewNames(router.NamesConfig{Redis: client, Incarnation: "a", Lease: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	running, cancel := context.WithCancel(context.Background())
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = n.Run(running) })
	t.Cleanup(func() { cancel(); tasks.Wait() })
	if err := n.Claim(t.Context(), "another"); err != nil { // the scripts are known, the incarnation lives
		t.Fatal(err)
	}
	wanted := make(chan struct{})
	tasks.Go(func() { n.Want(running, lost); close(wanted) })
	<-held
	n.Release(lost)
	n.Release("another")
	wait(t, "both to be given up", func() bool {
		got, err := n.Resolve(t.Context(), []string{"another"})
		return err == nil && got[0] == ""
	})
	letGo() // the claim arrives
	<-wanted
	direct, err := redisx.Open(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { direct.Close() })
	claimed := func() bool {
		for shard := range 16 {
			if direct.HExists(t.Context(), fmt.Sprintf("{m:n:%d}", shard), lost).Val() {
				return true
			}
		}
		return false
	}
	wait(t, "the name to be nobody's", func() bool { return !claimed() })
}

// behind is a server as seen through a proxy, which shows each piece of a command before it passes it on.
func behind(t *testing.T, url string, show func(command []byte)) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var tasks sync.WaitGroup
	t.Cleanup(tasks.Wait)
	t.Cleanup(func() { l.Close() })
	tasks.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", strings.TrimPrefix(url, "redis://"))
			if err != nil {
				near.Close()
				continue
			}
			tasks.Go(func() { _, _ = io.Copy(near, far); near.Close() })
			tasks.Go(func() {
				defer far.Close()
				buf := make([]byte, 64<<10)
				for {
					n, err := near.Read(buf)
					if err != nil {
						return
					}
					show(buf[:n])
					if _, err := far.Write(buf[:n]); err != nil {
						return
					}
				}
			})
		}
	})
	return "redis://" + l.Addr().String()
}
