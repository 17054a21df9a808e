-- head is prepended to the scripts that decide in which life a history stands.

-- run names the process that executes this, "" when the server does not say (the embedded one does not: it
-- never comes back with old data). Asking costs some 4 µs and cannot be out of date, as anything that an
-- agent remembers could be.
local function run()
  local text = redis.pcall('INFO', 'server')
  return type(text) == 'string' and string.match(text, 'run_id:(%x+)') or ''
end

-- head reads where the history in hash h stands. When it begins now, or the last one to write it was
-- another process, fresh becomes its epoch: that process may have given out numbers that are lost, and
-- nothing here can prove that it has not. Hash h remembers in "was" up to which seq the lives before agree
-- with this one, "<epoch> <seq>" oldest first. l is the history's stream, nil when it need not be emptied.
local function head(h, l, fresh)
  local at = redis.call('HMGET', h, 'seq', 'epoch', 'run', 'was')
  local seq, epoch, was, here = tonumber(at[1] or '0'), at[2], at[4] or '', run()
  if not epoch then
    seq, epoch, was = 0, fresh, ''
    if l then redis.call('DEL', l) end
    redis.call('HSET', h, 'seq', '0', 'epoch', epoch, 'run', here, 'was', was)
  elseif at[3] ~= here then
    was = was .. epoch .. ' ' .. string.format('%.0f', seq) .. ' '
    local _, lives = string.gsub(was, '%S+ %d+ ', '')
    if lives > 16 then was = string.gsub(was, '^%S+ %d+ ', '') end
    epoch = fresh
    redis.call('HSET', h, 'epoch', epoch, 'run', here, 'was', was)
  end
  return seq, epoch, was
end

