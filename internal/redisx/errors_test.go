package redisx_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/agentmesh/agentmesh/internal/redisx"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	e, err := redisx.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c, err := redisx.Open(e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := c.HGet(ctx, "k", "f").Err(); err == nil || redisx.Unreachable(err) {
		t.Errorf("a wrong question: %v", err)
	}
	e.Close()
	if err := fmt.Errorf("wrapped: %w", c.Get(ctx, "k").Err()); !redisx.Unreachable(err) {
		t.Errorf("a server that has ended: %v", err)
	}
	if redisx.Unreachable(nil) || redisx.Unreachable(errors.New("LOADING is not from Redis")) {
		t.Error("what is no error of Redis is taken for one")
	}
}
