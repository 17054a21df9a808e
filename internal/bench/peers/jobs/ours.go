package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/agentmesh/agentmesh/agents/message"
	"github.com/agentmesh/agentmesh/internal/redisx"
	"github.com/agentmesh/agentmesh/jobs"
)

// ours is package jobs.
type ours struct {
	redis   *process
	clients []*redisx.Client
	broker  *jobs.Broker // of the callers
	stop    context.CancelFunc
	ctx     context.Context
	running sync.WaitGroup
}

func openOurs(always bool) (system, error) {
	p, err := startRedis(always)
	if err != nil {
		return nil, err
	}
	o := &ours{redis: p}
	o.ctx, o.stop = context.WithCancel(context.Background())
	if o.broker, err = o.newBroker(); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

func (o *ours) newBroker() (*jobs.Broker, error) {
	c, err := redisx.Open("redis://" + o.redis.addr)
	if err != nil {
		return nil, err
	}
	o.clients = append(o.clients, c)
	b, err := jobs.New(jobs.Config{Redis: c, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return nil, err
	}
	o.running.Go(func() { _ = b.Run(o.ctx) })
	return b, nil
}

func (o *ours) enqueue(ctx context.Context, key, payload string) error {
	_, err := o.broker.DoEnqueue(ctx, "work", jobs.Job{Key: key, Message: &message.Message{Type: "ChatMessage", Text: payload}})
	return err
}

func (o *ours) join(cfg jobs.WorkerConfig) (w *jobs.Worker, stop func(), err error) {
	b, err := o.newBroker()
	if err != nil {
		return nil, nil, err
	}
	if w, err = b.Join(o.ctx, cfg); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(o.ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(ctx) })
	return w, func() { cancel(); running.Wait() }, nil
}

func handler(handle func(string)) message.Handler {
	return message.HandlerFunc(func(_ context.Context, m *message.Message) error {
		handle(m.Text)
		return nil
	})
}

func (o *ours) work(concurrency int, handle func(string)) (stop func(), err error) {
	_, stop, err = o.join(jobs.WorkerConfig{Queues: map[string]jobs.QueueConfig{"work": {Handler: handler(handle), Concurrency: concurrency}}})
	return stop, err
}

func (o *ours) address(handle func(string)) (func(context.Context, string) error, func(), error) {
	w, stop, err := o.join(jobs.WorkerConfig{Inbox: handler(handle)})
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, payload string) error {
		_, err := o.broker.DoSendTo(ctx, w.Incarnation(), jobs.Job{Message: &message.Message{Type: "ChatMessage", Text: payload}})
		return err
	}, stop, nil
}

func (o *ours) server() *process { return o.redis }

func (o *ours) close() {
	o.stop()
	o.running.Wait()
	var errs []error
	for _, c := range o.clients {
		errs = append(errs, c.Close())
	}
	_ = errors.Join(errs...) // nothing is left to be said to the server
	o.redis.kill()
}
