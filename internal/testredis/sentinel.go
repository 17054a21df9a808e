package testredis

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sentinel is a master with two replicas, watched by three Sentinels.
type Sentinel struct {
	URL       string    // redis+sentinel://…/main
	Nodes     []*Server // the first began as the master
	Sentinels []*Server

	tb testing.TB
}

// masterName is what the Sentinels call what they watch.
const masterName = "main"

// StartSentinel runs them until the test ends. Arguments are passed on to the master and its replicas.
func StartSentinel(tb testing.TB, args ...string) *Sentinel {
	tb.Helper()
	s := &Sentinel{tb: tb}
	for i := range 3 {
		s.Nodes = append(s.Nodes, startOn(tb, func(n *Server) {
			n.args = append(append(plain(), "--repl-diskless-sync-delay", "0"), args...)
			if i > 0 {
				n.args = append(n.args, "--replicaof", "127.0.0.1 "+port(s.Nodes[0].Addr))
			}
		}))
	}
	var addrs []string
	for range 3 {
		n := startOn(tb, func(n *Server) { n.args = []string{s.configFile(n.dir), "--sentinel"} })
		s.Sentinels = append(s.Sentinels, n)
		addrs = append(addrs, n.Addr)
	}
	s.URL = "redis+sentinel://" + strings.Join(addrs, ",") + "/" + masterName
	s.WaitHealthy()
	return s
}

// configFile writes a Sentinel's file anew; it keeps its state there.
func (s *Sentinel) configFile(dir string) string {
	s.tb.Helper()
	name := filepath.Join(dir, "sentinel.conf")
	lines := fmt.Sprintf("sentinel monitor %s 127.0.0.1 %s 2\n", masterName, port(s.Nodes[0].Addr)) +
		fmt.Sprintf("sentinel down-after-milliseconds %s %d\n", masterName, nodeTimeout.Milliseconds()) +
		fmt.Sprintf("sentinel failover-timeout %s 10000\n", masterName)
	if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
		s.tb.Fatal(err)
	}
	return name
}

// Master is the node that the Sentinels call the master now.
func (s *Sentinel) Master() *Server {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, n := range s.Sentinels {
		if !n.runs() {
			continue
		}
		client := n.client()
		answer, err := client.Do(ctx, "sentinel", "get-master-addr-by-name", masterName).StringSlice()
		client.Close()
		if err != nil || len(answer) != 2 {
			continue
		}
		for _, node := range s.Nodes {
			if node.Addr == net.JoinHostPort(answer[0], answer[1]) {
				return node
			}
		}
	}
	s.tb.Fatal("no Sentinel knows the master")
	return nil
}

// KillMaster kills the master and returns it.
func (s *Sentinel) KillMaster() *Server {
	s.tb.Helper()
	n := s.Master()
	n.Kill()
	return n
}

// WaitHealthy waits until the master is one, the replicas that run follow it, and the Sentinels that run
// know of one another.
func (s *Sentinel) WaitHealthy() {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := until(ctx, func() error { return s.complaint(ctx) }); err != nil {
		s.tb.Fatalf("Sentinel is not healthy within %v: %v", patience, err)
	}
}

func (s *Sentinel) complaint(ctx context.Context) error {
	master := s.Master() //nolint:contextcheck // it asks with a time limit of its own
	if !master.runs() {
		return fmt.Errorf("the master %s is dead", master.Addr)
	}
	for _, n := range s.Nodes {
		if !n.runs() {
			continue
		}
		info, err := n.info(ctx, "replication")
		switch {
		case err != nil:
			return err
		case n == master && !strings.Contains(info, "role:master"):
			return fmt.Errorf("%s is not a master yet", n.Addr)
		case n != master && (!strings.Contains(info, "master_link_status:up") || !strings.Contains(info, "master_port:"+port(master.Addr)+"\r")):
			return fmt.Errorf("%s does not follow %s yet", n.Addr, master.Addr)
		}
	}
	for _, n := range s.Sentinels {
		if !n.runs() {
			continue
		}
		info, err := n.info(ctx, "sentinel")
		if err != nil {
			return err
		}
		if !strings.Contains(info, "status=ok") || !strings.Contains(info, fmt.Sprintf("slaves=%d,sentinels=%d", len(s.Nodes)-1, len(s.Sentinels))) {
			return fmt.Errorf("Sentinel %s says %q", n.Addr, strings.TrimSpace(info))
		}
	}
	return nil
}

func (s *Server) info(ctx context.Context, section string) (string, error) {
	client := s.client()
	defer client.Close()
	return client.Info(ctx, section).Result()
}
