-- Stores a batch in a queue. See lane.lua for KEYS[1-2], ARGV and what it returns.
-- KEYS[1] T:s0  KEYS[3] T:d  KEYS[4] T:meta; it also touches the other streams, T:j, T:k:<key> and
-- T:u:<once>, of the same tag.
-- A queue that is closed takes nothing, as if it were full.
-- limit: jobs the queue may hold, counting those that wait in mailboxes and for their time.
-- A delayed job whose id is delayed already is a duplicate of it.
local before = repeated()
if before then return before end
local tag, limit = ARGV[4], tonumber(ARGV[3])
local meta = redis.call('HMGET', KEYS[4], 'blocked', 'closed')
local held = redis.call('ZCARD', KEYS[3]) + tonumber(meta[1] or 0)
if meta[2] then limit = 0 end
for level = 0, 3 do held = held + redis.call('XLEN', tag .. ':s' .. level) end
local exceptions = {}
for i = 5, #ARGV, 2 do
  local envelope = ARGV[i + 1]
  if held >= limit then
    exceptions[#exceptions + 1] = full(i)
  elseif ARGV[i] == '' then
    held = held + 1
    put(tag, envelope, '')
  else
    local id, key, once, ms, delay = special(ARGV[i])
    local first = marked(id, once, ms)
    if not first and delay ~= '' and redis.call('HEXISTS', tag .. ':j', '+' .. id) == 1 then first = id end
    if first then
      exceptions[#exceptions + 1] = duplicate(i, first)
    else
      held = held + 1
      if delay ~= '' then
        later(tag, '+' .. id, now() + tonumber(delay), key, envelope)
      else
        enter(tag, envelope, key)
      end
    end
  end
end
return executed(exceptions)
