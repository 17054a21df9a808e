-- Passes a batch of volatile jobs on to an agent that is there.
-- KEYS[1] A:v  KEYS[2] A:o
-- ARGV[1] how many may wait  then envelopes
-- Returns NOAGENT, and has done nothing, when the inbox does not exist or its owner is dead; else "".
-- Atomic. It is not repeated: at most once.
if redis.call('GET', KEYS[2]) ~= '1' then return 'NOAGENT' end
for i = 2, #ARGV do redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[i]) end
return ''
