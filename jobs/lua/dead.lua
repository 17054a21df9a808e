-- Makes a job a dead letter and releases its key.
-- KEYS[1] T:s0  KEYS[2] T:dead ; it also touches T:k:<key> and T:meta, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] entry id  ARGV[4] key  ARGV[5] dead letters to keep
-- ARGV[6] envelope  ARGV[7] job id  ARGV[8] reason  ARGV[9] error
-- Returns 1, or 0 when another consumer has taken the job meanwhile; then nothing changes.
-- Atomic; repeating it is harmless.
if not owns(KEYS[1], ARGV[3], ARGV[1]) then return 0 end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*',
  'e', ARGV[6], 'id', ARGV[7], 'key', ARGV[4], 'reason', ARGV[8], 'error', ARGV[9])
release(ARGV[2], KEYS[1], ARGV[3], ARGV[4])
redis.call('XACK', KEYS[1], 'g', ARGV[3])
redis.call('XDEL', KEYS[1], ARGV[3])
return 1
