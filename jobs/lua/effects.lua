-- What a handler wants stored, for the scripts that end its job or its turn. Preceded by queue.lua.

-- store writes the states in ARGV[first] to ARGV[last], four each: name, version it was read at, 1 when it changes,
-- data or "" for none. It returns false, and has changed nothing, when one has changed since it was read.
local function store(tag, first, last, version)
  for i = first, last, 4 do
    if (redis.call('HGET', tag .. ':st:' .. ARGV[i], 'v') or '') ~= ARGV[i + 1] then return false end
  end
  for i = first, last, 4 do
    if ARGV[i + 2] == '1' and ARGV[i + 3] == '' then
      redis.call('DEL', tag .. ':st:' .. ARGV[i])
    elseif ARGV[i + 2] == '1' then
      redis.call('HSET', tag .. ':st:' .. ARGV[i], 'v', version, 'd', ARGV[i + 3])
    end
  end
  return true
end

-- follow enters the jobs from ARGV[first] to the end, four each: id, key, ms to wait or "", envelope.
local function follow(tag, first)
  for i = first, #ARGV, 4 do
    if ARGV[i + 2] ~= '' then
      later(tag, '+' .. ARGV[i], now() + tonumber(ARGV[i + 2]), ARGV[i + 1], ARGV[i + 3])
    else
      enter(tag, ARGV[i + 3], ARGV[i + 1])
    end
  end
end

