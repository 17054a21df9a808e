package agents_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/agentmesh/agentmesh/internal/testredis"
)

// TestCrowd: the sessions of a thousand clients that appear at once are verified together, and each gets
// its own verdict.
func TestCrowd(t *testing.T) {
	t.Parallel()
	server := testredis.Start(t)
	opts, err := redis.ParseURL(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	db := redis.NewClient(opts)
	defer db.Close()
	cfg := config()
	cfg.Redis, cfg.BindTimeout = server.URL, time.Minute // connecting them all takes a while on a busy machine
	r := run(t, cfg, nil)
	const crowd = 1000
	clients := make([]*client, crowd)
	for i := range clients {
		user := "user" + strconv.Itoa(i)
		clients[i] = r.connect(t, user, "made up by "+user)
	}
	before := reads(t, db)
	for _, c := range clients {
		c.direct("1", "ann", "hello")
	}
	for _, c := range clients {
		if e := c.next("Logout", func(e envelope) bool { return e.str("type") == "Logout" }); e.str("reason") != "SessionInvalid" {
			t.Errorf("%s: got %v", c.user, e)
		}
	}
	trips := reads(t, db) - before
	t.Logf("%d sessions were verified within %d reads of Redis, those of everything else included", crowd, trips)
	if trips > crowd/4 {
		t.Errorf("%d sessions cost %d round trips", crowd, trips)
	}
}

// reads is how often Redis has read from a connection: once for each pipeline.
func reads(t *testing.T, db *redis.Client) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	info, err := db.Info(ctx, "stats").Result()
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(info, "total_reads_processed:")
	if !ok {
		t.Fatalf("Redis counts no reads: %s", info)
	}
	number, _, _ := strings.Cut(rest, "\r")
	n, err := strconv.Atoi(number)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
