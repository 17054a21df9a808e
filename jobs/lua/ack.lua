-- Ends jobs that are done.
-- KEYS[1] T:meta ; it also touches T:s0 to T:s3 and T:k:<key>, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then per job two: ref, key
-- Returns the refs of keyed jobs that another consumer has taken meanwhile; they are left alone. An
-- unkeyed job that is done is done, whoever has it.
-- Atomic; repeating it is harmless.
local tag, me, lost, ended = ARGV[2], ARGV[1], {}, {}
local limited = redis.call('EXISTS', tag .. ':f') == 1
for i = 3, #ARGV, 2 do
  local ref, key = ARGV[i], ARGV[i + 1]
  local level = string.sub(ref, 1, 1)
  if key == '' or owns(tag, ref, me) then
    if key ~= '' then release(tag, ref, key) end
    local ids = ended[level]
    if not ids then
      ids = {}
      ended[level] = ids
    end
    ids[#ids + 1] = string.sub(ref, 3)
    if limited then freed(tag, ref) end
  else
    lost[#lost + 1] = ref
  end
end
for level, ids in pairs(ended) do
  local stream = tag .. ':s' .. level
  redis.call('XACK', stream, 'g', unpack(ids))
  redis.call('XDEL', stream, unpack(ids))
end
return lost
