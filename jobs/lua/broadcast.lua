-- Stores a batch of broadcasts. See lane.lua for KEYS[1-2], ARGV and what it returns.
-- KEYS[3] B:n; it also touches B:u:<once>, of the same tag.
-- limit: about how many entries are kept. Each entry gets the next number, so that a reader sees a gap.
local before = repeated()
if before then return before end
local exceptions = {}
for i = 5, #ARGV, 2 do
  local id, _, once, ms = special(ARGV[i])
  local first = marked(id, once, ms)
  if first then
    exceptions[#exceptions + 1] = duplicate(i, first)
  else
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'n', redis.call('INCR', KEYS[3]), 'e', ARGV[i + 1])
  end
end
return executed(exceptions)
