-- Opens an inbox for senders. Its owner holds the lock, so nobody is emptying it.
-- KEYS[1] A:o  KEYS[2] A:r
-- ARGV[1] holder of the lock
-- Returns 1, or 0 when the lock is lost.
-- Atomic.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], '1')
return 1
