-- Makes a job a dead letter and releases its key.
-- KEYS[1] T:dead ; it also touches the streams, T:k:<key> and T:meta, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] ref  ARGV[4] key  ARGV[5] dead letters to keep
-- ARGV[6] envelope  ARGV[7] job id  ARGV[8] reason  ARGV[9] error
-- Returns 1, or 0 when another consumer has taken the job meanwhile; then nothing changes.
-- Atomic; repeating it is harmless.
local tag, ref = ARGV[2], ARGV[3]
if not owns(tag, ref, ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[5], '*',
  'e', ARGV[6], 'id', ARGV[7], 'key', ARGV[4], 'reason', ARGV[8], 'error', ARGV[9])
over(tag, ARGV[6], 'dead', ARGV[9])
release(tag, ref, ARGV[4])
remove(tag, ref)
return 1
