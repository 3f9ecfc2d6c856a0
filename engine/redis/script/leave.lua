-- Gives back all that the consumer has, due now, and removes it from the group. Those
-- that nobody has been handed count as not attempted. Member is empty where it only gives
-- the shard up.
-- KEYS stream, returned, owner, members   ARGV group, consumer, member, ids not handed out...
local group, me = ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ahead = {}
for i = 4, #ARGV do ahead[ARGV[i]] = true end
local n = 0
while true do
  local page = redis.call('XPENDING', KEYS[1], group, '-', '+', 100, me)
  for _, p in ipairs(page) do
    local id, count = p[1], p[4]
    if ahead[id] then
      redis.call('XCLAIM', KEYS[1], group, '(returned)', 0, id, 'RETRYCOUNT', count - 1, 'JUSTID')
    else
      redis.call('XCLAIM', KEYS[1], group, '(returned)', 0, id, 'JUSTID')
    end
    local ms, seq = string.match(id, '^(%d+)-(%d+)$')
    redis.call('ZADD', KEYS[2], now, string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq)
    n = n + 1
  end
  if #page < 100 then break end
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], group, me)
if redis.call('HGET', KEYS[3], 'consumer') == me then redis.call('DEL', KEYS[3]) end
redis.call('ZREM', KEYS[4], ARGV[3])
return n
