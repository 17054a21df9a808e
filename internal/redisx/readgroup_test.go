package redisx_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/internal/testredis"
	"github.com/redis/go-redis/v9"
)

// TestReadGroup: what arrives, nothing, and no group.
func TestReadGroup(t *testing.T) {
	t.Parallel()
	c, err := redisx.Open(testredis.Start(t).URL)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := t.Context()
	r := c.Readers()
	defer r.Close()
	streams := []string{"a", "b"}
	g := r.Group("g", "me", streams)
	var got []string
	read := func() error {
		return g.Read(ctx, 10, 10*time.Millisecond, func(e *redisx.Entry, _ int) {
			got = append(got, e.Stream+" "+string(e.Value("e"))+" "+string(e.Value("k")))
		})
	}
	if err := read(); err == nil || !strings.HasPrefix(err.Error(), "NOGROUP") {
		t.Fatalf("no group: %v", err)
	}
	for _, s := range streams {
		if err := c.XGroupCreateMkStream(ctx, s, "g", "0").Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(); !errors.Is(err, redis.Nil) {
		t.Fatalf("nothing: %v", err)
	}
	long := strings.Repeat("x\r\n", 10_000)
	for _, v := range [][]any{{"e", "one"}, {"e", long, "k", ""}, {"k", "key", "e", ""}} {
		for _, s := range streams {
			if err := c.XAdd(ctx, &redis.XAddArgs{Stream: s, Values: v}).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := read(); err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, s := range streams {
		want = append(want, s+" one ", s+" "+long+" ", s+"  key")
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %d entries: %.200q", len(got), got)
	}
}

// TestReplies: both versions of the protocol, and what is cut off.
func TestReplies(t *testing.T) {
	t.Parallel()
	const stream = "$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$2\r\nab\r\n*2\r\n$3\r\n2-0\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n"
	for reply, want := range map[string]string{
		"*1\r\n*2\r\n" + stream:                  "s 1-0 ab,s 2-0 ",
		"%1\r\n" + stream:                        "s 1-0 ab,s 2-0 ",
		"%2\r\n" + stream + stream:               "s 1-0 ab,s 2-0 ,s 1-0 ab,s 2-0 ",
		"*-1\r\n":                                "none",
		"_\r\n":                                  "none",
		":1\r\n":                                 "bad",
		"%1\r\n$1\r\ns\r\n*1\r\n*2\r\n$9\r\n1-0": "bad",
		"%x\r\n":                                 "bad",
		"%1\r\n" + stream + "x":                  "s 1-0 ab,s 2-0 bad",
	} {
		var got []string
		none, bad := redisx.ParseReplies([]byte(reply), func(e *redisx.Entry) {
			got = append(got, e.Stream+" "+string(e.ID)+" "+string(e.Value("e")))
		})
		text := strings.Join(got, ",")
		if none {
			text += "none"
		}
		if bad {
			text += "bad"
		}
		if text != want {
			t.Errorf("%q: %q, want %q", reply, text, want)
		}
	}
	const whole = "%1\r\n" + stream
	for i := range len(whole) {
		if _, bad := redisx.ParseReplies([]byte(whole[:i]), func(*redisx.Entry) {}); !bad {
			t.Errorf("%q: no error", whole[:i])
		}
	}
}
