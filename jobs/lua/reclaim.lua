-- Takes over jobs whose lease has run out. A job that too many workers have died over becomes a dead
-- letter and releases its key.
-- KEYS[1] T:s0  KEYS[2] T:dead ; it also touches T:k:<key> and T:meta, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  ARGV[3] lease ms  ARGV[4] how many at most
-- ARGV[5] deliveries allowed  ARGV[6] dead letters to keep
-- Returns {number of dead letters made, {entry id, envelope, key}, ...}.
-- Atomic.
local answer = {0}
for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', 'IDLE', ARGV[3], '-', '+', ARGV[4])) do
  local id = p[1]
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if not entry then
    redis.call('XACK', KEYS[1], 'g', id)
  else
    local envelope, key = fields(entry[2])
    if p[4] >= tonumber(ARGV[5]) then
      redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'e', envelope, 'id', '', 'key', key, 'reason', 'deliveries',
        'error', p[4] .. ' workers died or stalled over it')
      release(ARGV[2], KEYS[1], id, key)
      redis.call('XACK', KEYS[1], 'g', id)
      redis.call('XDEL', KEYS[1], id)
      answer[1] = answer[1] + 1
    else
      redis.call('XCLAIM', KEYS[1], 'g', ARGV[1], 0, id, 'RETRYCOUNT', p[4] + 1, 'JUSTID')
      answer[#answer + 1] = {id, envelope, key}
    end
  end
end
return answer
