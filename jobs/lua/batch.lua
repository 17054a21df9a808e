-- Stores a batch: jobs of one partition, and one more that follows when all of them have ended.
-- KEYS[1] T:b:<batch>  KEYS[2] T:meta ; it also touches the streams and T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] ms to remember the batch  ARGV[3] envelope of the last job  ARGV[4] its key
-- then per job two: key, envelope
-- Returns 1, or 0 when the batch was stored before; then nothing changes.
-- Atomic; repeating it is harmless.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'left', (#ARGV - 4) / 2, 'failed', 0, 'e', ARGV[3], 'k', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for i = 5, #ARGV, 2 do enter(ARGV[1], ARGV[i + 1], ARGV[i]) end
return 1
