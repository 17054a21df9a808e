-- Ends jobs that are done.
-- KEYS[1] T:s0 ; it also touches T:k:<key> and T:meta, of the same tag.
-- ARGV[1] consumer  ARGV[2] T  then per job two: entry id, key
-- Returns the ids of keyed jobs that another consumer has taken meanwhile; they are left alone. An
-- unkeyed job that is done is done, whoever has it.
-- Atomic; repeating it is harmless.
local plain, lost = {}, {}
for i = 3, #ARGV, 2 do
  local id, key = ARGV[i], ARGV[i + 1]
  if key == '' then
    plain[#plain + 1] = id
  elseif owns(KEYS[1], id, ARGV[1]) then
    release(ARGV[2], KEYS[1], id, key)
    redis.call('XACK', KEYS[1], 'g', id)
    redis.call('XDEL', KEYS[1], id)
  else
    lost[#lost + 1] = id
  end
end
if #plain > 0 then
  redis.call('XACK', KEYS[1], 'g', unpack(plain))
  redis.call('XDEL', KEYS[1], unpack(plain))
end
return lost
