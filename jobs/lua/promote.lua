-- Makes jobs ready whose time has come: retries at the head of their mailbox, delayed ones behind it.
-- KEYS[1] T:d  KEYS[2] T:j  KEYS[3] T:meta ; it also touches the streams and T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] how many at most
-- Returns {ms until the next one is due, -1 when there is none; revision of the queue's settings}.
-- Atomic.
local tag, time = ARGV[1], now()
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', time, 'LIMIT', 0, ARGV[2])) do
  local key, envelope = aside(tag, member)
  if key then
    local mailbox = tag .. ':k:' .. key
    if key ~= '' and redis.call('LINDEX', mailbox, 0) == member then
      redis.call('LSET', mailbox, 0, put(tag, envelope, key))
    else
      enter(tag, envelope, key)
    end
  end
  forget(tag, member)
end
local next, wait = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES'), -1
if #next > 0 then wait = math.max(0, math.ceil(tonumber(next[2]) - time)) end
return {wait, tonumber(redis.call('HGET', KEYS[3], 'revision') or 0)}
