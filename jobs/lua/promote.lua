-- Makes jobs ready whose time has come.
-- KEYS[1] T:s0  KEYS[2] T:d  KEYS[3] T:j ; it also touches T:k:<key>, of the same tag.
-- ARGV[1] T  ARGV[2] how many at most
-- Returns the ms until the next one is due, -1 when there is none.
-- Atomic.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])) do
  local value = redis.call('HGET', KEYS[3], member)
  if value then
    local sep = string.find(value, ':', 1, true)
    local size = tonumber(string.sub(value, 1, sep - 1))
    local key, envelope = string.sub(value, sep + 1, sep + size), string.sub(value, sep + size + 1)
    if key == '' then
      redis.call('XADD', KEYS[1], '*', 'e', envelope)
    else
      local mailbox = ARGV[1] .. ':k:' .. key
      local id = redis.call('XADD', KEYS[1], '*', 'e', envelope, 'k', key)
      if redis.call('LINDEX', mailbox, 0) == member then
        redis.call('LSET', mailbox, 0, id)
      elseif redis.call('EXISTS', mailbox) == 0 then
        redis.call('RPUSH', mailbox, id)
      end
    end
    redis.call('HDEL', KEYS[3], member)
  end
  redis.call('ZREM', KEYS[2], member)
end
local next = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if #next == 0 then return -1 end
return math.max(0, math.ceil(tonumber(next[2]) - now))
