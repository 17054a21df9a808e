-- Closes a dead agent's inbox for senders, so that it only gets emptier.
-- KEYS[1] A:o  KEYS[2] A:r
-- ARGV[1] holder of the lock
-- Returns 1, or 0 when the lock is lost.
-- Atomic.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('SET', KEYS[1], '0') end
return 1
