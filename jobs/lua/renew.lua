-- Renews the leases of jobs that a consumer is working on. It asks who owns each: XCLAIM alone would
-- steal back a job that another worker has taken.
-- KEYS[1] T:s0
-- ARGV[1] consumer  then up to 256 entry ids
-- Returns the ids that are not the consumer's any more.
-- Atomic.
local mine, lost = {}, {}
for i = 2, #ARGV do
  local p = redis.call('XPENDING', KEYS[1], 'g', ARGV[i], ARGV[i], 1)
  if #p == 1 and p[1][2] == ARGV[1] then mine[#mine + 1] = ARGV[i] else lost[#lost + 1] = ARGV[i] end
end
if #mine > 0 then
  mine[#mine + 1] = 'JUSTID'
  redis.call('XCLAIM', KEYS[1], 'g', ARGV[1], 0, unpack(mine))
end
return lost
