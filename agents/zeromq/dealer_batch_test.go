package zeromq_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestDealerReceivesBatches(t *testing.T) {
	t.Parallel()
	const messages = 5000
	r := startRouter(t, zeromq.RouterConfig{QueueMessages: messages + 1}, func(m zeromq.Message) {
		for n := range messages {
			if err := m.Peer.Send(binary.BigEndian.AppendUint32(nil, uint32(n)), []byte("x")); err != nil {
				t.Error(err)
				return
			}
		}
		m.Peer.Release(1)
	})
	d, stop := startDealer(t, zeromq.DealerConfig{Endpoint: r.url, Batches: true, Inbox: 100})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := d.Send(ctx, []byte("all")); err != nil {
		t.Fatal(err)
	}
	for n := uint32(0); n < messages; {
		batch, err := d.Receive(ctx)
		if err != nil || len(batch) == 0 || len(batch) > 100 {
			t.Fatalf("%d messages, %v", len(batch), err)
		}
		for _, m := range batch {
			if len(m) != 2 || binary.BigEndian.Uint32(m[0]) != n {
				t.Fatalf("%q where %d was due", m, n)
			}
			n++
		}
	}
	stop()
	if _, err := d.Receive(ctx); !errors.Is(err, zeromq.ErrClosed) {
		t.Fatal(err)
	}
	cancel()
	plain, _ := startDealer(t, zeromq.DealerConfig{Endpoint: r.url})
	if _, err := plain.Receive(ctx); err == nil {
		t.Fatal("Receive without Batches")
	}
}
