-- Gives jobs back that a consumer holds and will not run: they become new entries, which a blocked
-- reader gets at once. The place of a keyed job at the head of its mailbox is kept.
-- KEYS[1] T:meta ; it also touches the streams and T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then the refs; none means up to 256 a stream of all that the consumer
-- holds, and, when it holds none, the end of the consumer.
-- Returns how many were given back.
-- Atomic; repeating it is harmless.
local tag, refs = ARGV[2], {}
for i = 3, #ARGV do
  if owns(tag, ARGV[i], ARGV[1]) then refs[#refs + 1] = ARGV[i] end
end
if #ARGV == 2 then
  for level = 0, 3 do
    for _, p in ipairs(redis.call('XPENDING', tag .. ':s' .. level, 'g', '-', '+', 256, ARGV[1])) do
      refs[#refs + 1] = level .. ':' .. p[1]
    end
  end
  if #refs == 0 then
    for level = 0, 3 do redis.call('XGROUP', 'DELCONSUMER', tag .. ':s' .. level, 'g', ARGV[1]) end
  end
end
for _, ref in ipairs(refs) do
  local stream, id = at(tag, ref)
  local entry = redis.call('XRANGE', stream, id, id)[1]
  if entry then
    local envelope, key, admitted = fields(entry[2])
    local new = put(tag, envelope, key, admitted)
    if key ~= '' then
      local mailbox = tag .. ':k:' .. key
      if redis.call('LINDEX', mailbox, 0) == ref then redis.call('LSET', mailbox, 0, new) end
    end
  end
  remove(tag, ref)
end
return #refs
