// Package jobs is the broker between agents: queues that any worker takes from, an inbox for every agent,
// and a broadcast that every agent reads, all on Redis Streams.
//
//	broker, _ := jobs.New(jobs.Config{Redis: client})
//	go broker.Run(ctx)
//	worker, _ := broker.Join(ctx, jobs.WorkerConfig{
//		Name:   "lobby-1",
//		Queues: map[string]jobs.QueueConfig{"chat": {Handler: handler, Concurrency: 32}},
//	})
//	go worker.Run(ctx)
//	receipt, err := broker.DoEnqueue(ctx, "chat", jobs.Job{Key: "room-7", Message: m})
//
// # Guarantees
//
// A confirmed job is handled at least once, as far as Redis keeps what it confirmed (appendonly always:
// all of it; everysec: up to about a second may be lost with the power). Enqueueing is exactly once: a
// batch whose reply was lost is sent again under the same number and stored only once. Handling can
// repeat, after a crash for instance: Job.ID stays the same through retries and forwards.
//
// Jobs of one Key run one at a time, in the order in which their enqueueing was confirmed, through
// retries and crashes; any worker may run them. A handler that lost its lease cannot end its job
// any more.
//
// What a handler asks for through TxFrom, changed states, new jobs of its queue, a result, is stored together with
// the end of its job or not at all; a state that another job has changed meanwhile makes it be handled again. As
// the jobs of a key run one at a time, on one agent at a time, and another takes over within a lease when
// that one dies, a key owns its state: a game's, for instance. Own runs a loop with a fixed tick on that: one
// agent at a time has the key's jobs and commits its turns.
//
// A job may begin later (Job.At), be more urgent (Job.Priority), be put off by its handler (Snooze), be
// cancelled, and have somebody wait for its end (Job.ResultFor, Broker.Wait, Broker.EnqueueBatch). Broker.Cron
// enqueues by the calendar, once for each time however many agents try. A queue can be paused and limited
// while agents run. A job that two workers died over runs alone from then on, and takes no neighbour along.
//
// An inbox exists from Join until another agent has emptied it after its owner died or left; sending to
// one that does not exist fails with ErrNoAgent and stores nothing. A volatile job (Job.Volatile) reaches an
// inbox at most once, and is dropped when its agent is away. A broadcast reaches every agent that
// is alive, in order, also across reconnects; an agent that fell behind what Redis keeps is told.
//
// # Slowness
//
// Enqueue, SendTo and Broadcast never wait for Redis. Each destination has a lane: a bounded buffer and at
// most one batch on the wire. While Redis does not answer, the lane tries the same batch again and fills
// up; what finds it full is refused, and certainly not stored. A queue that holds Config.MaxLen jobs
// refuses more.
//
// # Closing
//
// Broker.Run ends by flushing what its lanes hold, for a bounded time. Worker.Drain stops reading,
// finishes what runs, gives back what has not started, and hands the inbox over, all at once and not
// after a lease.
//
// # Keys
//
// Everything in braces is a Cluster hash tag: a script touches keys of one tag only.
//
//	T = {m:q:<queue>:<part>}   A = {m:a:<incarnation>}   B = {m:bc}   R = {m:agents}
//	T:s0 to T:s3    STREAM  jobs by priority, group "g", fields e=<envelope> [k=<key>] [l=1: a rate has admitted it];
//	                        what is in it is not done. A ref is <priority>:<entry id>
//	T:k:<key>       LIST    mailbox: ref of the key's active job (its member of T:d while it is put aside), then waiting envelopes
//	T:d, T:j        ZSET due ms -> member, HASH member -> <key length>:<key><envelope>: jobs put aside. Members are a job
//	                        id behind + delayed, ! to be retried, ~ waiting for a rate, = waiting for a concurrency
//	T:meta          HASH    blocked: how many jobs wait in mailboxes; revision of the settings: paused, limits (JSON)
//	T:x             ZSET    job id -> ms until which it is marked as cancelled
//	T:g:<scope>     STRING  when a rate admits the next job, microseconds; scope *, kind <type> or key <key>
//	T:f, T:fc       HASH    ref -> type of what limits count as running, and how many by type and * for all
//	T:w:<scope>     LIST    members of T:d that wait for a concurrency
//	T:st:<name>     HASH    state: v version, d data
//	T:r:<id>        STRING  how a job ended and its result; Job.ResultFor
//	T:b:<batch>     HASH    left, failed, and e, k: the job that follows; 7 days
//	T:dead          STREAM  dead letters: e, id, key, reason, error; capped
//	*:pr:<producer> STRING  number of the last batch of a producer's lane and what became of it; 1 h
//	*:u:<once>      STRING  idempotency mark, of the key and Job.Once: the id of the job that was stored first; Job.OnceFor
//	A:s0            STREAM  inbox, field e; only its owner or its reaper reads it; handled means deleted
//	A:v             STREAM  volatile jobs, field e, capped; deleted when they were read
//	A:o             STRING  1: open, 0: its owner is dead, nothing is accepted
//	A:r             STRING  lock of the one who empties or reopens the inbox
//	{m:a}:dead      STREAM  dead letters of inboxes
//	B:s, B:n        STREAM  broadcasts e, each with its number n; counter of n. Control messages c have none:
//	                        agents, the list of them has changed; queue <name>, its settings have
//	R, R:dead       ZSET    incarnation -> expiry, incarnation -> when it was declared dead (Redis time, ms)
//	R:i             HASH    incarnation -> name, queues, since
//	{m:queues}      SET     names of queues
//	{m:cron}        HASH    name -> what is enqueued by the calendar, as it was last shown
//	{m:janitor}     STRING  lock of the agent that tidies up
//
// # Testing
//
// Everything works on the embedded server of internal/redisx as well, except for surviving its process.
package jobs
