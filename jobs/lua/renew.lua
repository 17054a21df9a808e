-- Renews the leases of jobs that a consumer is working on. It asks who owns each: XCLAIM alone would
-- steal back a job that another worker has taken.
-- KEYS[1] T:meta ; it touches the streams, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then up to 256 refs
-- Returns the refs that are not the consumer's any more.
-- Atomic.
local mine, lost = {}, {}
for i = 3, #ARGV do
  if owns(ARGV[2], ARGV[i], ARGV[1]) then
    local stream, id = at(ARGV[2], ARGV[i])
    mine[stream] = mine[stream] or {}
    table.insert(mine[stream], id)
  else
    lost[#lost + 1] = ARGV[i]
  end
end
for stream, ids in pairs(mine) do
  ids[#ids + 1] = 'JUSTID'
  redis.call('XCLAIM', stream, 'g', ARGV[1], 0, unpack(ids))
end
return lost
