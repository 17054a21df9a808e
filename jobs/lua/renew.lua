-- Renews the leases of jobs that a consumer is working on. It asks who owns each: XCLAIM alone would
-- steal back a job that another worker has taken. The embedded server counts a renewal as a delivery unless
-- it is told the number.
-- KEYS[1] T:meta ; it touches the streams, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then up to 256 refs
-- Returns the refs that are not the consumer's any more.
-- Atomic.
local lost = {}
for i = 3, #ARGV do
  local stream, id = at(ARGV[2], ARGV[i])
  local p = redis.call('XPENDING', stream, 'g', id, id, 1)
  if #p == 1 and p[1][2] == ARGV[1] then
    redis.call('XCLAIM', stream, 'g', ARGV[1], 0, id, 'RETRYCOUNT', p[1][4], 'JUSTID')
  else
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
