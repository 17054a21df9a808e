package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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
					Redis: client, Incarnation: incarnation, Lease: 600 * time.Millisecond, Lost: func(s string) { lost <- incarnation + " " + s },
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
