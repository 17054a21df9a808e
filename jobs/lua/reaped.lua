-- Removes jobs from a dead agent's inbox that were dealt with, and keeps the lock.
-- KEYS[1] A:s0  KEYS[2] A:r
-- ARGV[1] holder of the lock  ARGV[2] ms to keep it  then up to 256 entry ids, or none
-- Returns 1, or 0 when the lock is lost; then nothing changes.
-- Atomic; repeating it is harmless.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[2], ARGV[2])
for i = 3, #ARGV do redis.call('XDEL', KEYS[1], ARGV[i]) end
return 1
