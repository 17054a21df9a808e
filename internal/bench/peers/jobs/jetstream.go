package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// jetStream is a work queue with file storage on one server.
type jetStream struct {
	nats *process
	conn *nats.Conn
	js   jetstream.JetStream

	double bool // wait for the server to confirm each acknowledgement
}

// natsServer is what the child process runs.
func natsServer(port, dir string, always bool) error {
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: n, JetStream: true, StoreDir: dir, SyncAlways: always, NoSigs: true, NoLog: true})
	if err != nil {
		return err
	}
	s.Start()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	s.Shutdown()
	return nil
}

func openJetStream(always bool) (system, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := spawn(func(port, dir string) *exec.Cmd {
		cmd := exec.Command(self, "-nats", net.JoinHostPort(dir, port))
		if always {
			cmd.Args = append(cmd.Args, "-always")
		}
		return cmd
	})
	if err != nil {
		return nil, err
	}
	j := &jetStream{nats: p}
	if j.conn, err = nats.Connect("nats://" + p.addr); err != nil {
		p.kill()
		return nil, err
	}
	if j.js, err = jetstream.New(j.conn); err != nil {
		j.close()
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		_, err = j.js.CreateStream(ctx, jetstream.StreamConfig{
			Name: "JOBS", Subjects: []string{"work", "agent.*"}, Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage,
		})
		if err == nil || ctx.Err() != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		j.close()
		return nil, fmt.Errorf("jetstream: %w", err)
	}
	return j, nil
}

func (j *jetStream) publish(ctx context.Context, subject, payload string) error {
	_, err := j.js.Publish(ctx, subject, []byte(payload))
	return err
}

func (j *jetStream) enqueue(ctx context.Context, _, payload string) error {
	return j.publish(ctx, "work", payload)
}

func (j *jetStream) consume(name, subject string, concurrency int, handle func(string)) (func(), error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := j.js.CreateConsumer(ctx, "JOBS", jetstream.ConsumerConfig{Durable: name, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return nil, err
	}
	ready := make(chan jetstream.Msg, 512)
	var working sync.WaitGroup
	for range concurrency {
		working.Go(func() {
			for m := range ready {
				handle(string(m.Data()))
				// What is not acknowledged is delivered again, and counted.
				if j.double {
					_ = m.DoubleAck(context.Background())
				} else {
					_ = m.Ack()
				}
			}
		})
	}
	reading, err := c.Consume(func(m jetstream.Msg) { ready <- m }, jetstream.PullMaxMessages(500))
	if err != nil {
		close(ready)
		return nil, err
	}
	return func() {
		reading.Stop()
		<-reading.Closed()
		close(ready)
		working.Wait()
	}, nil
}

func (j *jetStream) work(concurrency int, handle func(string)) (stop func(), err error) {
	return j.consume("workers", "work", concurrency, handle)
}

func (j *jetStream) address(handle func(string)) (func(context.Context, string) error, func(), error) {
	stop, err := j.consume("agent", "agent.1", 1, handle)
	return func(ctx context.Context, payload string) error { return j.publish(ctx, "agent.1", payload) }, stop, err
}

func (j *jetStream) server() *process { return j.nats }

func (j *jetStream) close() {
	j.conn.Close()
	j.nats.kill()
}
