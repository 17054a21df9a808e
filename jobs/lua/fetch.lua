-- Takes new jobs by priority, with one budget over all streams. XREADGROUP alone counts per stream.
-- KEYS[1] T:meta ; it touches the streams, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] how many at most  ARGV[4] 1: the least urgent first
-- Returns {1 when urgent jobs may be left, else 0; {ref, envelope, key, 1 when a rate has admitted it}, ...}.
-- Atomic.
local tag, budget, answer = ARGV[2], tonumber(ARGV[3]), {0}
local from, to, step = 3, 0, -1
if ARGV[4] == '1' then from, to, step = 0, 3, 1 end
for level = from, to, step do
  if budget > 0 then
    local got = redis.call('XREADGROUP', 'GROUP', 'g', ARGV[1], 'COUNT', budget, 'STREAMS', tag .. ':s' .. level, '>')
    if got then
      for _, entry in ipairs(got[1][2]) do
        local envelope, key, admitted = fields(entry[2])
        answer[#answer + 1] = {level .. ':' .. entry[1], envelope, key, admitted or ''}
        budget = budget - 1
      end
    end
  end
  if level > 0 and redis.call('XLEN', tag .. ':s' .. level) > 0 then answer[1] = 1 end
end
return answer
