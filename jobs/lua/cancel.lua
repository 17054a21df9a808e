-- Cancels a job: one that waits for its time is taken out at once; else its id is marked, and the worker
-- that has it, or will get it, ends it.
-- KEYS[1] T:x  KEYS[2] T:meta ; it also touches T:d, T:j, the streams and T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] job id  ARGV[3] ms to remember the mark
-- Returns 1 when the job was taken out, else 0.
-- Atomic.
local tag = ARGV[1]
for _, member in ipairs({'+' .. ARGV[2], '!' .. ARGV[2], '~' .. ARGV[2], '=' .. ARGV[2]}) do
  local key, envelope = aside(tag, member)
  if key then
    forget(tag, member)
    over(tag, envelope, 'cancelled', '')
    release(tag, member, key)
    return 1
  end
end
redis.call('ZADD', KEYS[1], now() + tonumber(ARGV[3]), ARGV[2])
redis.call('HINCRBY', KEYS[2], 'revision', 1)
return 0
