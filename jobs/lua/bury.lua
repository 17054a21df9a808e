-- Ends a dead agent's inbox, if it is empty. It is closed, so no sender can slip in between.
-- KEYS[1] A:s0  KEYS[2] A:o  KEYS[3] A:r  KEYS[4] A:v
-- ARGV[1] holder of the lock
-- Returns 1, or 0 when the lock is lost or a job is left; then nothing changes.
-- Atomic.
if redis.call('GET', KEYS[3]) ~= ARGV[1] or redis.call('XLEN', KEYS[1]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2], KEYS[4])
return 1
