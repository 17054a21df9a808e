package router_test

import (
	"strings"
	"testing"
	"time"

	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/router"
)

func TestConfigNamesTheField(t *testing.T) {
	t.Parallel()
	client, err := redisx.Open("redis://127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for field, spoil := range map[string]func(*router.Config){
		"Redis":       func(c *router.Config) { c.Redis = nil },
		"Incarnation": func(c *router.Config) { c.Incarnation = "" },
		"Carrier":     func(c *router.Config) { c.Carrier = nil },
		"Prefix":      func(c *router.Config) { c.Prefix = "a}" },
		"Keep":        func(c *router.Config) { c.Keep = -2 },
		"Lanes":       func(c *router.Config) { c.Lanes = -1 },
		"Lease":       func(c *router.Config) { c.Lease = time.Microsecond },
	} {
		c := router.Config{Redis: client, Incarnation: "a", Carrier: &agent{}}
		spoil(&c)
		if _, err := router.New(c); err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("%s: got %v", field, err)
		}
	}
}
