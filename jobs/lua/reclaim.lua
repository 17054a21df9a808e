-- Takes over jobs whose lease has run out, the urgent ones first. A job that too many workers have died
-- over becomes a dead letter and releases its key. One that two have died over is a suspect: a consumer
-- takes at most one at a time, to run it alone; that counts as a delivery when it begins, see risk.lua, so that
-- a job is not blamed for what it only waited beside.
-- KEYS[1] T:dead ; it also touches the streams, T:k:<key> and T:meta, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] lease ms  ARGV[4] how many at most
-- ARGV[5] deliveries allowed  ARGV[6] dead letters to keep  ARGV[7] suspects wanted, 0 or 1
-- Returns {number of dead letters made, ref of the suspect taken or "", ms until the next look is worth it: a lease runs out that was
-- not renewed in time or -1, {ref, envelope, key}, ...}.
-- Atomic.
local tag, answer, lease, most = ARGV[2], {0, '', -1}, tonumber(ARGV[3]), tonumber(ARGV[5])
local suspects, room = tonumber(ARGV[7]), tonumber(ARGV[4])
for level = 3, 0, -1 do
  local stream = tag .. ':s' .. level
  for _, p in ipairs(redis.call('XPENDING', stream, 'g', 'IDLE', ARGV[3], '-', '+', ARGV[4])) do
    local id = p[1]
    local ref, entry = level .. ':' .. id, redis.call('XRANGE', stream, id, id)[1]
    if not entry then
      redis.call('XACK', stream, 'g', id)
    else
      local envelope, key = fields(entry[2])
      local suspect = p[4] >= math.max(1, math.min(2, most - 1))
      if p[4] >= most then
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[6], '*', 'e', envelope, 'id', '', 'key', key, 'reason', 'deliveries',
          'error', p[4] .. ' workers died or stalled over it')
        over(tag, envelope, 'dead', p[4] .. ' workers died or stalled over it')
        release(tag, ref, key)
        remove(tag, ref)
        answer[1] = answer[1] + 1
      elseif room > 0 and (not suspect or suspects > 0) then
        redis.call('XCLAIM', stream, 'g', ARGV[1], 0, id, 'RETRYCOUNT', suspect and p[4] or p[4] + 1, 'JUSTID')
        answer[#answer + 1] = {ref, envelope, key}
        room = room - 1
        if suspect then suspects, answer[2] = suspects - 1, ref end
      end
    end
  end
  for _, p in ipairs(redis.call('XPENDING', stream, 'g', 'IDLE', math.floor(lease / 2), '-', '+', 64)) do
    if p[3] < lease and (answer[3] < 0 or lease - p[3] < answer[3]) then answer[3] = lease - p[3] end
  end
end
if room <= 0 then answer[3] = 0 end -- there may be more
return answer
