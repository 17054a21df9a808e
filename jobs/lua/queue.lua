-- Shared by the scripts that work on one partition of a queue; tag is its T. A ref names an entry of it:
-- <level>:<entry id>, where the level, 0 to 3, is the job's priority and the number of its stream.

local levels = {['0'] = ':s0', ['1'] = ':s1', ['2'] = ':s2', ['3'] = ':s3'}

-- at gives the stream and the entry id of a ref.
local function at(tag, ref) return tag .. ':s' .. string.sub(ref, 1, 1), string.sub(ref, 3) end

-- owns says whether the entry is this consumer's: XACK alone would not ask.
local function owns(tag, ref, consumer)
  local stream, id = at(tag, ref)
  local p = redis.call('XPENDING', stream, 'g', id, id, 1)
  return #p == 1 and p[1][2] == consumer
end

-- fields gives an entry's envelope, its key, and 1 when it has had its turn where a rate is limited.
local function fields(flat)
  local envelope, key, admitted = '', '', nil
  for i = 1, #flat, 2 do
    if flat[i] == 'e' then envelope = flat[i + 1]
    elseif flat[i] == 'k' then key = flat[i + 1]
    elseif flat[i] == 'l' then admitted = flat[i + 1] end
  end
  return envelope, key, admitted
end

-- put makes a job ready, in the stream of its priority, which is the envelope's second byte. It returns the
-- ref. admitted is 1 for a job that has had its turn where a rate is limited.
local function put(tag, envelope, key, admitted)
  local level = string.sub(envelope, 2, 2)
  if not levels[level] then level = '0' end
  local stream, id = tag .. levels[level], nil
  if key == '' and not admitted then
    id = redis.call('XADD', stream, '*', 'e', envelope)
  elseif not admitted then
    id = redis.call('XADD', stream, '*', 'e', envelope, 'k', key)
  elseif key == '' then
    id = redis.call('XADD', stream, '*', 'e', envelope, 'l', admitted)
  else
    id = redis.call('XADD', stream, '*', 'e', envelope, 'k', key, 'l', admitted)
  end
  return level .. ':' .. id
end

-- enter takes a new job in: ready, or behind the others of its key.
local function enter(tag, envelope, key)
  if key == '' then
    put(tag, envelope, key)
    return
  end
  local mailbox = tag .. ':k:' .. key
  if redis.call('EXISTS', mailbox) == 1 then
    redis.call('RPUSH', mailbox, envelope)
    redis.call('HINCRBY', tag .. ':meta', 'blocked', 1)
  else
    redis.call('RPUSH', mailbox, put(tag, envelope, key))
  end
end

-- part reads one text of an envelope, at i; it gives the text and where the next one begins.
local function part(envelope, i)
  local size, shift = 0, 1
  repeat
    local byte = string.byte(envelope, i) or 0
    size, shift, i = size + byte % 128 * shift, shift * 128, i + 1
  until byte < 128
  return string.sub(envelope, i, i + size - 1), i + size
end

-- over tells those who wait that a job has ended, and how: done, dead, cancelled or expired. When it is the
-- last one of its batch, the job that follows the batch enters.
local function over(tag, envelope, how, result)
  if string.sub(envelope, 3, 3) ~= '1' then return end
  local _, id, ttl, batch, i
  _, i = part(envelope, 4)
  id, i = part(envelope, i)
  ttl, i = part(envelope, i)
  batch = part(envelope, i)
  if ttl ~= '' then redis.call('SET', tag .. ':r:' .. id, how .. ' ' .. result, 'PX', ttl) end
  local b = tag .. ':b:' .. batch
  if batch == '' or redis.call('EXISTS', b) == 0 then return end
  if how ~= 'done' then redis.call('HINCRBY', b, 'failed', 1) end
  if redis.call('HINCRBY', b, 'left', -1) == 0 then
    enter(tag, redis.call('HGET', b, 'e'), redis.call('HGET', b, 'k'))
  end
end

-- release ends the active job of a key and makes the next one of its mailbox ready. Every way in which a
-- keyed job ends goes through here, else its key stays blocked for ever. ref may also be the job's member
-- of T:d.
local function release(tag, ref, key)
  if key == '' then return end
  local mailbox = tag .. ':k:' .. key
  if redis.call('LINDEX', mailbox, 0) ~= ref then return end
  redis.call('LPOP', mailbox)
  local envelope = redis.call('LINDEX', mailbox, 0)
  if envelope then
    redis.call('LSET', mailbox, 0, put(tag, envelope, key))
    redis.call('HINCRBY', tag .. ':meta', 'blocked', -1)
  end
end

-- later puts a job aside until a time. member names it in T:d.
local function later(tag, member, due, key, envelope)
  redis.call('HSET', tag .. ':j', member, #key .. ':' .. key .. envelope)
  redis.call('ZADD', tag .. ':d', due, member)
end

-- aside gives key and envelope of a job in T:d, or nothing.
local function aside(tag, member)
  local value = redis.call('HGET', tag .. ':j', member)
  if not value then return nil end
  local sep = string.find(value, ':', 1, true)
  local size = tonumber(string.sub(value, 1, sep - 1))
  return string.sub(value, sep + 1, sep + size), string.sub(value, sep + size + 1)
end

-- forget takes a job out of T:d.
local function forget(tag, member)
  redis.call('HDEL', tag .. ':j', member)
  redis.call('ZREM', tag .. ':d', member)
end

-- back makes a job ready that was put aside; a retry and what had to wait for its turn keep their place.
local function back(tag, member)
  local key, envelope = aside(tag, member)
  if not key then return false end
  forget(tag, member)
  local mark, mailbox = string.sub(member, 1, 1), tag .. ':k:' .. key
  local admitted = (mark == '~' or mark == '=') and '1' or nil
  if key == '' then
    put(tag, envelope, key, admitted)
  elseif redis.call('LINDEX', mailbox, 0) == member then
    redis.call('LSET', mailbox, 0, put(tag, envelope, key, admitted))
  else
    enter(tag, envelope, key)
  end
  return true
end

-- freed counts a job out where a concurrency is limited, and lets in who waits for that.
local function freed(tag, ref)
  local kind = redis.call('HGET', tag .. ':f', ref)
  if not kind then return end
  redis.call('HDEL', tag .. ':f', ref)
  for _, scope in ipairs({'*', kind}) do
    redis.call('HINCRBY', tag .. ':fc', scope, -1)
    repeat
      local member = redis.call('LPOP', tag .. ':w:' .. scope)
    until not member or back(tag, member)
  end
end

-- remove takes an entry out of its stream.
local function remove(tag, ref)
  local stream, id = at(tag, ref)
  redis.call('XACK', stream, 'g', id)
  redis.call('XDEL', stream, id)
  freed(tag, ref)
end

-- now is Redis's own time, ms.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
