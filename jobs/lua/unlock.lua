-- Gives a lock up.
-- KEYS[1] A:r
-- ARGV[1] its holder
-- Returns 1, or 0 when it is not the holder's.
-- Atomic.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
