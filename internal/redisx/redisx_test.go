package redisx_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/leaktest"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, rawURL := range map[string]string{
		"empty":            "",
		"scheme":           "http://127.0.0.1:1",
		"sentinel no name": "redis+sentinel://127.0.0.1:1",
		"no host":          "redis+cluster://",
		"bad port":         "redis://user:secret@127.0.0.1:port",
	} {
		if c, err := redisx.Open(rawURL); err == nil {
			c.Close()
			t.Errorf("%s: Open(%q) accepted", name, rawURL)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the password: %v", name, err)
		}
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"redis://h:1":                             "redis://h:1",
		"redis://ann:p@ss@h:1/2?protocol=3":       "redis://h:1/2",
		"redis+cluster://:s3cr3t@a:1,b:2":         "redis+cluster://a:1,b:2",
		"redis+sentinel://a:1,b:2/main?db=secret": "redis+sentinel://a:1,b:2/main",
		"nonsense": "",
	} {
		if got := redisx.Redacted(in); got != want {
			t.Errorf("Redacted(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestScriptsHealAfterFlush(t *testing.T) {
	t.Parallel()
	embedded, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(embedded.Close)
	for name, url := range map[string]string{"redis": testredis.Start(t).URL, "embedded": embedded.URL()} {
		t.Run(name, func(t *testing.T) {
			c, err := redisx.Open(url)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx := context.Background()
			incr := redisx.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
			for round := range 2 {
				cmds := c.EvalAll(ctx, []redisx.Call{
					{Script: incr, Keys: []string{"n"}, Args: []any{1}},
					{Script: incr, Keys: []string{"n"}, Args: []any{1}},
				})
				for i, cmd := range cmds {
					got, err := cmd.Int()
					if want := round*3 + i + 1; err != nil || got != want {
						t.Errorf("round %d call %d: got %d, %v, want %d", round, i, got, err, want)
					}
				}
				if err := c.ScriptFlush(ctx).Err(); err != nil {
					t.Fatal(err)
				}
				if got, err := c.Eval(ctx, incr, []string{"n"}, 1).Int(); err != nil || got != round*3+3 {
					t.Errorf("round %d: Eval got %d, %v, want %d", round, got, err, round*3+3)
				}
			}
		})
	}
}

func TestEmbeddedKeysExpire(t *testing.T) {
	t.Parallel()
	e, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	c, err := redisx.Open(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Set(ctx, "k", 1, 100*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	for c.Exists(ctx, "k").Val() != 0 {
		if ctx.Err() != nil {
			t.Fatal("the key never expired")
		}
	}
}
