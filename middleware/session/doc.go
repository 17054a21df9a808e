// Package session keeps who is logged in: a session is made for a user, checked on every message, and
// ends by expiry or by revocation.
//
//	store, err := session.NewStore(session.Config{Redis: client})
//	token, s, err := store.Create(ctx, "ann", 12*time.Hour)
//	verdict, err := store.Verify(ctx, token) // an error means Redis did not answer: let nobody in
//
// # Secrets
//
// The token is 32 random bytes in base64url. It is returned once, by Create, and is stored nowhere: Redis
// holds its SHA-256, the digest, which lists and revokes a session but does not log anybody in. Neither is
// logged, and no error holds one.
//
// # Time
//
// Redis decides what has expired, by its own clock. The clocks of the agents do not matter.
//
// # Ends
//
// An expired or revoked session leaves a tombstone for 24 hours, so that Verify can tell Expired from
// Revoked from Invalid (unknown). Watch tells every agent of every revocation, in order; what has expired is
// not told, a cached verdict carries how long it holds (Verdict.Left).
//
// # Keys
//
// Every script works on one key, so all of this runs on a Cluster. P is Config.Prefix.
//
//	{P:s:<digest>}  HASH    user, roles, created, expires, revoked (ms); its key lives until 24 h after the end
//	{P:su:<user>}   ZSET    digest by expiry (ms): the sessions of a user
//	{P:sl}          ZSET    digest by expiry (ms; by its end when revoked): all, for List; pruned 24 h later
//	{P:sr}          STREAM  d (digest), u (user): revocations, about the last Config.Revocations of them
//
// Writes to several keys are ordered so that a crash in between leaves nothing dangerous. Create writes the
// index of the user before the session: a session that exists can be found by RevokeUser, and RevokeUser
// leaves a tombstone where a Create is still under way, which then fails. Revoke writes the tombstone before
// the stream: from the first write on nobody can use the session, and calling Revoke again tells the others.
//
// # Concurrency
//
// A Store is safe for concurrent use and holds no state but its connection pool, which it does not close.
// Several stores on one Redis and Prefix, in one process or many, are one.
package session
