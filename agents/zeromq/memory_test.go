package zeromq_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/agentmesh/agentmesh/agents/zeromq"
)

func TestMemoryPipe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := zeromq.MemoryPipe()
		sent := bytes.Repeat([]byte("0123456789"), 50_000)
		go func() {
			a.Write(sent)
			a.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if _, err := b.Write([]byte("back")); err != nil {
			t.Fatalf("half closed: %v", err)
		}
		buf := make([]byte, 10)
		if n, err := a.Read(buf); err != nil || string(buf[:n]) != "back" {
			t.Fatalf("%q, %v", buf[:n], err)
		}
		a.SetReadDeadline(time.Now().Add(time.Minute))
		began := time.Now()
		if _, err := a.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Minute {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		b.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := b.Write(sent); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
			t.Errorf("write: %d, %v", n, err)
		}
		b.SetDeadline(time.Time{})
		stuck := make(chan error, 1)
		go func() {
			_, err := b.Write(sent)
			stuck <- err
		}()
		synctest.Wait()
		a.Close()
		if err := <-stuck; err == nil {
			t.Error("wrote to a closed end")
		}
		b.Close()
	})
}

// What waits is passed on with growing pauses, for ever, and at once when there is somebody.
func TestReconnectBacksOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		space := &zeromq.Inproc{}
		s, err := zeromq.NewSocket(t.Context(), "PUSH", zeromq.Options{
			Inproc: space, ReconnectInterval: time.Second, ReconnectMax: 8 * time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var tries []time.Duration
		sub := s.Monitor().Subscribe(t.Context(), func(e zeromq.MonitorEvent) {
			if e.Kind == zeromq.Unreachable {
				tries = append(tries, time.Since(began))
			}
		}, nil, nil)
		s.Dial("inproc://there")
		time.Sleep(time.Hour)
		synctest.Wait()
		sub.Dispose()
		<-sub.Done()
		if n := len(tries); n < 3600/8 || n > 3600/4+5 {
			t.Errorf("%d tries in an hour", n)
		}
		for i := 1; i < len(tries); i++ {
			limit := min(time.Second<<min(i-1, 10), 8*time.Second)
			if pause := tries[i] - tries[i-1]; pause < limit/2 || pause > limit {
				t.Errorf("pause %d was %v, limit %v", i, pause, limit)
			}
		}
		if err := s.SendFrames(t.Context(), []byte("waited")); err != nil {
			t.Fatal(err)
		}
		pull, err := zeromq.NewSocket(t.Context(), "PULL", zeromq.Options{Inproc: space})
		if err != nil {
			t.Fatal(err)
		}
		pull.Listen("inproc://there")
		if m, err := pull.Recv(); err != nil || string(m.Frames[0]) != "waited" {
			t.Errorf("%q, %v", m.Frames, err)
		}
		s.Close()
		pull.Close()
	})
}
