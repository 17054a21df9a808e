-- Shared by the scripts that end jobs or move them.

-- owns says whether the entry is this consumer's: XACK alone would not ask.
local function owns(stream, id, consumer)
  local p = redis.call('XPENDING', stream, 'g', id, id, 1)
  return #p == 1 and p[1][2] == consumer
end

-- release ends the active job of a key and makes the next one of its mailbox ready. Every way in which a
-- keyed job ends goes through here, else its key stays blocked for ever.
local function release(tag, stream, id, key)
  if key == '' then return end
  local mailbox = tag .. ':k:' .. key
  if redis.call('LINDEX', mailbox, 0) ~= id then return end
  redis.call('LPOP', mailbox)
  local envelope = redis.call('LINDEX', mailbox, 0)
  if envelope then
    redis.call('LSET', mailbox, 0, redis.call('XADD', stream, '*', 'e', envelope, 'k', key))
    redis.call('HINCRBY', tag .. ':meta', 'blocked', -1)
  end
end

-- fields gives an entry's envelope and key.
local function fields(flat)
  local envelope, key = '', ''
  for i = 1, #flat, 2 do
    if flat[i] == 'e' then envelope = flat[i + 1] elseif flat[i] == 'k' then key = flat[i + 1] end
  end
  return envelope, key
end
