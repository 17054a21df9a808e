package redisx

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script and the SHA-1 under which Redis caches it.
type Script struct {
	source, sha string
}

// NewScript makes a Script from its source.
func NewScript(source string) *Script {
	sum := sha1.Sum([]byte(source))
	return &Script{source: source, sha: hex.EncodeToString(sum[:])}
}

// Call is one run of a script. All Keys must be of one hash slot.
type Call struct {
	Script *Script
	Keys   []string
	Args   []any
}

// Eval runs one script. A server that does not have it yet is sent the source; it has executed nothing
// before, so this never runs a script twice.
func (c *Client) Eval(ctx context.Context, s *Script, keys []string, args ...any) *redis.Cmd {
	cmd := c.EvalSha(ctx, s.sha, keys, args...)
	if isNoScript(cmd.Err()) {
		cmd = c.UniversalClient.Eval(ctx, s.source, keys, args...)
	}
	return cmd
}

// EvalAll runs the calls in one pipeline and returns their commands in the same order. Calls on the same
// slot are executed in order. Each command carries its own error.
func (c *Client) EvalAll(ctx context.Context, calls []Call) []*redis.Cmd {
	cmds := make([]*redis.Cmd, len(calls))
	pipe := c.Pipeline()
	for i, call := range calls {
		cmds[i] = pipe.EvalSha(ctx, call.Script.sha, call.Keys, call.Args...)
	}
	_, _ = pipe.Exec(ctx) // each command carries its own error
	var again redis.Pipeliner
	for i, call := range calls {
		if !isNoScript(cmds[i].Err()) {
			continue
		}
		if again == nil {
			again = c.Pipeline()
		}
		cmds[i] = again.Eval(ctx, call.Script.source, call.Keys, call.Args...)
	}
	if again != nil {
		_, _ = again.Exec(ctx)
	}
	return cmds
}

func isNoScript(err error) bool {
	return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT")
}
