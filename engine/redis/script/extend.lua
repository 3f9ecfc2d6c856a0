-- Begins the lease of entries anew, if they are still with the consumer and at the same
-- attempt, and that of the shard.
-- KEYS stream, owner   ARGV group, consumer, lease of the shard in ms or 0, then for
-- each: id, attempt
local lease = tonumber(ARGV[3])
if lease > 0 and redis.call('HGET', KEYS[2], 'consumer') == ARGV[2] then
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[2], 'until', time[1] * 1000 + math.floor(time[2] / 1000) + lease)
end
local kept = {}
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, 1)[1]
  if p and p[2] == ARGV[2] and p[4] == tonumber(ARGV[i + 1]) then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, id, 'JUSTID')
    kept[#kept + 1] = id
  end
end
return kept
