-- Stores a batch in a queue. See lane.lua for KEYS[1-2], ARGV and what it returns.
-- KEYS[3] T:d  KEYS[4] T:meta; it also touches T:k:<key> and T:u:<once>, of the same tag.
-- limit: jobs the queue may hold, counting those that wait in mailboxes and for a retry.
local before = repeated()
if before then return before end
local limit = tonumber(ARGV[3])
local blocked = 0
local held = redis.call('XLEN', KEYS[1]) + redis.call('ZCARD', KEYS[3]) + (tonumber(redis.call('HGET', KEYS[4], 'blocked') or 0))
local exceptions = {}
for i = 5, #ARGV, 5 do
  local key, envelope = ARGV[i + 1], ARGV[i + 4]
  if held >= limit then
    exceptions[#exceptions + 1] = full(i)
  else
    local first = marked(i)
    if first then
      exceptions[#exceptions + 1] = duplicate(i, first)
    else
      held = held + 1
      if key == '' then
        redis.call('XADD', KEYS[1], '*', 'e', envelope)
      else
        local mailbox = ARGV[4] .. ':k:' .. key
        if redis.call('EXISTS', mailbox) == 1 then
          redis.call('RPUSH', mailbox, envelope)
          blocked = blocked + 1
        else
          redis.call('RPUSH', mailbox, redis.call('XADD', KEYS[1], '*', 'e', envelope, 'k', key))
        end
      end
    end
  end
end
if blocked > 0 then redis.call('HINCRBY', KEYS[4], 'blocked', blocked) end
return executed(exceptions)
