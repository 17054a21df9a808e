-- Tells who has names of one shard.
-- KEYS[1] {n}  KEYS[2] {n}:l
-- ARGV names
-- Returns for each the incarnation that has it, or "".
-- Atomic; it changes nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local answer = {}
for i, name in ipairs(ARGV) do
  local holder = redis.call('HGET', KEYS[1], name)
  local lives = holder and tonumber(redis.call('ZSCORE', KEYS[2], holder) or 0) > now
  answer[i] = lives and holder or ''
end
return answer
