-- Ends the membership of consumers that are gone and hold nothing.
-- KEYS[1] a stream
-- ARGV consumers that are gone
-- Returns how many there were.
-- Atomic.
local n = 0
for _, consumer in ipairs(ARGV) do
  if #redis.call('XPENDING', KEYS[1], 'g', '-', '+', 1, consumer) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'g', consumer)
    n = n + 1
  end
end
return n
