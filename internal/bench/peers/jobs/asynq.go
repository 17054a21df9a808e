package main

import (
	"context"

	"github.com/hibiken/asynq"
)

// theAsynq is asynq with its defaults. It knows no order per key and no address, so an address is a queue.
type theAsynq struct {
	redis  *process
	client *asynq.Client
}

func openAsynq(always bool) (system, error) {
	p, err := startRedis(always)
	if err != nil {
		return nil, err
	}
	return &theAsynq{redis: p, client: asynq.NewClient(asynq.RedisClientOpt{Addr: p.addr})}, nil
}

func (a *theAsynq) enqueue(ctx context.Context, _, payload string) error {
	_, err := a.client.EnqueueContext(ctx, asynq.NewTask("ChatMessage", []byte(payload)))
	return err
}

func (a *theAsynq) serve(queue string, concurrency int, handle func(string)) (func(), error) {
	s := asynq.NewServer(asynq.RedisClientOpt{Addr: a.redis.addr}, asynq.Config{
		Concurrency: concurrency, LogLevel: asynq.FatalLevel, Queues: map[string]int{queue: 1},
	})
	err := s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		handle(string(t.Payload()))
		return nil
	}))
	return s.Shutdown, err
}

func (a *theAsynq) work(concurrency int, handle func(string)) (stop func(), err error) {
	return a.serve("default", concurrency, handle)
}

func (a *theAsynq) address(handle func(string)) (func(context.Context, string) error, func(), error) {
	stop, err := a.serve("agent", workers, handle)
	return func(ctx context.Context, payload string) error {
		_, err := a.client.EnqueueContext(ctx, asynq.NewTask("ChatMessage", []byte(payload)), asynq.Queue("agent"))
		return err
	}, stop, err
}

func (a *theAsynq) server() *process { return a.redis }

func (a *theAsynq) close() {
	_ = a.client.Close()
	a.redis.kill()
}
