-- Stores a batch in the inbox of one agent. See lane.lua for KEYS[1-2], ARGV and what it returns.
-- KEYS[3] A:o; it also touches A:u:<once>, of the same tag.
-- limit: jobs the inbox may hold.
-- Returns NOAGENT, and has done nothing, when the inbox does not exist or its owner is dead.
local before = repeated()
if before then return before end
if redis.call('GET', KEYS[3]) ~= '1' then return 'NOAGENT' end
local room = tonumber(ARGV[3]) - redis.call('XLEN', KEYS[1])
local exceptions = {}
for i = 5, #ARGV, 2 do
  if room <= 0 then
    exceptions[#exceptions + 1] = full(i)
  else
    local id, _, once, ms = special(ARGV[i])
    local first = marked(id, once, ms)
    if first then
      exceptions[#exceptions + 1] = duplicate(i, first)
    else
      redis.call('XADD', KEYS[1], '*', 'e', ARGV[i + 1])
      room = room - 1
    end
  end
end
return executed(exceptions)
