-- common is prepended to the scripts that trim a history or list its holders.

-- trim drops the entries of stream l that were written before cutoff (milliseconds).
local function trim(l, cutoff)
  local from = '-'
  local first = redis.call('XRANGE', l, '-', '+', 'COUNT', 1)
  if not first[1] or tonumber(first[1][2][2]) >= cutoff then return end
  while true do
    local page = redis.call('XRANGE', l, from, '+', 'COUNT', 100)
    if not page[1] then
      redis.call('DEL', l)
      return
    end
    for _, entry in ipairs(page) do
      if tonumber(entry[2][2]) >= cutoff then
        redis.call('XTRIM', l, 'MINID', entry[1])
        return
      end
    end
    from = '(' .. page[#page][1]
  end
end

-- holders lists the incarnations whose lease in hash at runs, and drops the others. A field is an
-- incarnation, its value "<expiry in ms> <generation>".
local function holders(at, now)
  local all, live = redis.call('HGETALL', at), {}
  for i = 1, #all, 2 do
    if tonumber(string.match(all[i + 1], '^%d+')) > now then
      live[#live + 1] = all[i]
    else
      redis.call('HDEL', at, all[i])
    end
  end
  return live
end

