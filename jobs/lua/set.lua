-- Changes a setting of a queue.
-- KEYS[1] T:meta
-- ARGV[1] field  ARGV[2] its value, "" takes it away
-- Returns 1.
-- Atomic.
if ARGV[2] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
redis.call('HINCRBY', KEYS[1], 'revision', 1)
return 1
