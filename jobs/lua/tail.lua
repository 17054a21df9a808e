-- Says where the broadcasts stand.
-- KEYS[1] B:s  KEYS[2] B:n
-- Returns {id of the last entry or 0-0, the number of the last broadcast or 0}.
-- Atomic.
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
return {last and last[1] or '0-0', redis.call('GET', KEYS[2]) or '0'}
