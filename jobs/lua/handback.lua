-- Gives jobs back that a consumer holds and will not run: they become new entries, which a blocked
-- reader gets at once. The place of a keyed job at the head of its mailbox is kept.
-- KEYS[1] T:s0 ; it also touches T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then the entry ids; none means up to 256 of all that the consumer holds,
-- and, when it holds none, the end of the consumer.
-- Returns how many were given back.
-- Atomic; repeating it is harmless.
local ids = {}
for i = 3, #ARGV do
  if owns(KEYS[1], ARGV[i], ARGV[1]) then ids[#ids + 1] = ARGV[i] end
end
if #ARGV == 2 then
  for _, p in ipairs(redis.call('XPENDING', KEYS[1], 'g', '-', '+', 256, ARGV[1])) do ids[#ids + 1] = p[1] end
  if #ids == 0 then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'g', ARGV[1]) end
end
for _, id in ipairs(ids) do
  local entry = redis.call('XRANGE', KEYS[1], id, id)[1]
  if entry then
    local envelope, key = fields(entry[2])
    if key == '' then
      redis.call('XADD', KEYS[1], '*', 'e', envelope)
    else
      local mailbox = ARGV[2] .. ':k:' .. key
      local new = redis.call('XADD', KEYS[1], '*', 'e', envelope, 'k', key)
      if redis.call('LINDEX', mailbox, 0) == id then redis.call('LSET', mailbox, 0, new) end
    end
    redis.call('XDEL', KEYS[1], id)
  end
  redis.call('XACK', KEYS[1], 'g', id)
end
return #ids
