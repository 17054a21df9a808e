package testredis

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of three masters with one replica each.
type Cluster struct {
	URL   string    // redis+cluster://…, of all nodes
	Nodes []*Server // the first three began as masters

	tb testing.TB
}

const (
	masters = 3
	slots   = 16384

	// nodeTimeout is how long a node may be silent before the others fail it over; a failover takes about a
	// second more. Shorter ones fail over by mistake on a busy machine.
	nodeTimeout = 2 * time.Second

	// patience bounds how long a Cluster or Sentinels may take to agree.
	patience = 30 * time.Second
)

// StartCluster runs a Cluster until the test ends. Arguments are passed on to every node.
func StartCluster(tb testing.TB, args ...string) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, Nodes: make([]*Server, 2*masters)}
	var urls []string
	for i := range c.Nodes {
		c.Nodes[i] = startOn(tb, func(s *Server) {
			s.args = append(plain(), "--cluster-enabled", "yes", "--cluster-port", s.bus,
				"--cluster-node-timeout", fmt.Sprint(nodeTimeout.Milliseconds()), "--repl-diskless-sync-delay", "0")
			s.args = append(s.args, args...)
		})
		c.Nodes[i].slot = i % masters * slots / masters
		urls = append(urls, c.Nodes[i].Addr)
	}
	c.URL = "redis+cluster://" + strings.Join(urls, ",")
	if err := c.form(); err != nil {
		tb.Fatalf("the Cluster is not formed: %v", err)
	}
	c.WaitHealthy()
	return c
}

// form makes the nodes know one another and divides the slots.
func (c *Cluster) form() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ids := make([]string, len(c.Nodes))
	for i, n := range c.Nodes {
		client := n.client()
		defer client.Close()
		var err error
		if ids[i], err = client.Do(ctx, "cluster", "myid").Text(); err != nil {
			return err
		}
		if i < masters {
			if err := client.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
				return err
			}
			if err := client.ClusterAddSlotsRange(ctx, n.slot, (i+1)*slots/masters-1).Err(); err != nil {
				return err
			}
		}
		if i == 0 {
			continue
		}
		if err := client.Do(ctx, "cluster", "meet", "127.0.0.1", port(c.Nodes[0].Addr), c.Nodes[0].bus).Err(); err != nil {
			return err
		}
	}
	for i := masters; i < len(c.Nodes); i++ {
		client := c.Nodes[i].client()
		defer client.Close()
		if err := until(ctx, func() error { return client.ClusterReplicate(ctx, ids[i-masters]).Err() }); err != nil {
			return err
		}
	}
	return nil
}

// Master is the node that owns a key now, as most nodes that run see it.
func (c *Cluster) Master(key string) *Server {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var found *Server
	err := until(ctx, func() error {
		votes := make(map[string]int)
		for _, n := range c.Nodes {
			if addr := n.ownerOf(ctx, key); addr != "" {
				votes[addr]++
			}
		}
		for _, n := range c.Nodes {
			if votes[n.Addr] > len(c.Nodes)/2 {
				found = n
				return nil
			}
		}
		return fmt.Errorf("the nodes do not agree: %v", votes)
	})
	if err != nil {
		c.tb.Fatalf("no master of %q: %v", key, err)
	}
	return found
}

// ownerOf asks a node who owns a key.
func (s *Server) ownerOf(ctx context.Context, key string) string {
	if !s.runs() {
		return ""
	}
	client := s.client()
	defer client.Close()
	slot, err := client.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return ""
	}
	shards, _ := client.ClusterShards(ctx).Result()
	for _, shard := range shards {
		for _, r := range shard.Slots {
			if r.Start > slot || slot > r.End {
				continue
			}
			for _, n := range shard.Nodes {
				if n.Role == "master" {
					return net.JoinHostPort(n.IP, strconv.FormatInt(n.Port, 10))
				}
			}
		}
	}
	return ""
}

// KillMaster kills the node that owns a key and returns it.
func (c *Cluster) KillMaster(key string) *Server {
	c.tb.Helper()
	n := c.Master(key)
	n.Kill()
	return n
}

// WaitHealthy waits until every node that runs sees all slots served, and every replica is in step.
func (c *Cluster) WaitHealthy() {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var asked sync.WaitGroup
	errs := make([]error, len(c.Nodes))
	for i, n := range c.Nodes {
		if !n.runs() {
			continue
		}
		asked.Go(func() {
			client := n.client()
			defer client.Close()
			errs[i] = until(ctx, func() error { return c.complaint(ctx, client) })
		})
	}
	asked.Wait()
	for i, err := range errs {
		if err != nil {
			c.tb.Fatalf("the Cluster is not healthy within %v: node %s: %v", patience, c.Nodes[i].Addr, err)
		}
	}
}

func (c *Cluster) complaint(ctx context.Context, client *redis.Client) error {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", fmt.Sprintf("cluster_known_nodes:%d", len(c.Nodes)), fmt.Sprintf("cluster_slots_assigned:%d", slots)} {
		if !strings.Contains(info, want+"\r\n") {
			return fmt.Errorf("not %s", want)
		}
	}
	info, err = client.Info(ctx, "replication").Result()
	if err == nil && strings.Contains(info, "role:slave") && !strings.Contains(info, "master_link_status:up") {
		return fmt.Errorf("a replica is not in step")
	}
	return err
}
