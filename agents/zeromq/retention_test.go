package zeromq_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"weak"

	"github.com/go-zeromq/zmq4"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

// TestShortMessagesDoNotKeepLongOnes: whoever keeps a short message does not keep the long ones around it.
func TestShortMessagesDoNotKeepLongOnes(t *testing.T) {
	t.Parallel()
	long := make([]byte, 200<<10)
	var data []byte
	for range 3 {
		data = zeromq.AppendMessage(data, []byte("short"))
		data = zeromq.AppendMessage(data, []byte("short too"))
		data = zeromq.AppendMessage(data, []byte("head"), long)
	}
	for _, chunk := range []int{100, 1500, 1 << 20} {
		all, _, _ := zeromq.Decode(data, chunk, 1<<20, 1<<20, 8)
		if len(all) != 9 {
			t.Fatalf("%d messages", len(all))
		}
		var short [][][]byte
		var gone []weak.Pointer[byte]
		for _, m := range all {
			if len(m.Frames) == 1 {
				short = append(short, m.Frames)
			} else {
				gone = append(gone, weak.Make(&m.Frames[1][0]))
			}
		}
		clear(all)
		runtime.GC()
		for i, p := range gone {
			if p.Value() != nil {
				t.Errorf("chunks of %d: long message %d is kept by a short one", chunk, i)
			}
		}
		runtime.KeepAlive(short)
	}
}

// TestFramesBelongToTheReceiver: what one message's receiver appends to the routing id, or writes into it,
// does not show in another message.
func TestFramesBelongToTheReceiver(t *testing.T) {
	t.Parallel()
	const messages = 40
	router, endpoint := bound(t, zmq4.Router, zeromq.Options{})
	id := strings.Repeat("i", 33)
	d := dialled(t, zmq4.Dealer, zeromq.Options{RoutingID: id}, endpoint)
	for range messages {
		put(t, d, "x")
	}
	var all, appended [][]byte
	for i := range messages {
		m, err := router.Recv()
		if err != nil {
			t.Fatal(err)
		}
		all, appended = append(all, m.Frames[0]), append(appended, append(m.Frames[0], byte(i)))
	}
	for i := range messages {
		if want := append([]byte(id), byte(i)); !bytes.Equal(appended[i], want) {
			t.Fatalf("message %d: %q, want %q", i, appended[i], want)
		}
	}
	clear(all[1])
	if string(all[0]) != id || string(all[2]) != id {
		t.Error("two messages have the same routing id in memory")
	}
}

// TestQueueMemory: a queue holds about what it counts, whatever is in it.
func TestQueueMemory(t *testing.T) {
	t.Parallel()
	of := func(sizes ...int) (messages [][][]byte) {
		for i := range 1000 {
			messages = append(messages, [][]byte{make([]byte, sizes[i%len(sizes)])})
		}
		return messages
	}
	for name, messages := range map[string][][][]byte{
		"short": of(5), "middle": of(3000), "just copied": of(8000), "long": of(9000), "short between long": of(5, 9000),
		"two short between long": of(5, 5, 9000),
	} {
		held, counted, err := zeromq.QueueMemory(messages)
		if err != nil {
			t.Fatal(err)
		}
		if held > 2*counted+64<<10 {
			t.Errorf("%s: %d bytes that count as %d", name, held, counted)
		}
	}
}
