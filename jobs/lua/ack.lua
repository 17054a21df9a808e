-- Ends jobs that are done.
-- KEYS[1] T:meta ; it also touches T:s0 to T:s3 and T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then per job two: ref, key
-- Returns the refs of keyed jobs that another consumer has taken meanwhile; they are left alone. An
-- unkeyed job that is done is done, whoever has it.
-- Atomic; repeating it is harmless.
local tag, lost, plain = ARGV[2], {}, {}
local limited = redis.call('EXISTS', tag .. ':f') == 1
for i = 3, #ARGV, 2 do
  local ref, key = ARGV[i], ARGV[i + 1]
  if key == '' then
    local stream, id = at(tag, ref)
    plain[stream] = plain[stream] or {}
    table.insert(plain[stream], id)
    if limited then freed(tag, ref) end
  elseif owns(tag, ref, ARGV[1]) then
    release(tag, ref, key)
    remove(tag, ref)
  else
    lost[#lost + 1] = ref
  end
end
for stream, ids in pairs(plain) do
  redis.call('XACK', stream, 'g', unpack(ids))
  redis.call('XDEL', stream, unpack(ids))
end
return lost
