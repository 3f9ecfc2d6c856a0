-- Hands a consumer what comes again: what was given back and is due, and what others
-- have had for longer than its lease. Removes consumers that are gone and have nothing.
-- With order by key it does so for the shard's owner only, whom it makes one if there
-- is none, and hands out what is new as well.
-- KEYS stream, returned, owner
-- ARGV group, consumer, how many that come again, lease in ms, scan ('1' or '0'),
--      gone after ms, mode ('shared'; 'own' to get or keep the shard, 'drain' to keep
--      it and be handed nothing), how many new
-- Returns {owner 1 or 0, ms until the next is due or -1, {{id, fields, attempt}...},
--      {ids that are gone from the stream}, where the group is if nothing was new}
local stream, back, owner = KEYS[1], KEYS[2], KEYS[3]
local group, me, room, lease = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local mode = ARGV[7]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local out, lost = {}, {}

local function claim(p, idle)
  local got = redis.call('XCLAIM', stream, group, me, idle, p[1])
  if got[1] then
    out[#out + 1] = {got[1][1], got[1][2], p[4] + 1}
    room = room - 1
  else
    lost[#lost + 1] = p[1]
  end
end

local function pad(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
end

if mode ~= 'shared' then
  local o = redis.call('HMGET', owner, 'consumer', 'until')
  if o[1] ~= me then
    if mode == 'drain' or (o[1] and tonumber(o[2]) > now) then return {0, -1, out, lost, ''} end
    redis.call('HSET', owner, 'consumer', me, 'taking', '-')
  end
  redis.call('HSET', owner, 'until', now + lease)
  if mode == 'drain' then return {1, -1, out, lost, ''} end
  -- A new owner has first what anybody had, in its order, due or not, and its own from
  -- before: it knows nothing of that any more. taking is where it goes on.
  local from = redis.call('HGET', owner, 'taking')
  while from do
    local page = redis.call('XPENDING', stream, group, from, '+', 100)
    for _, p in ipairs(page) do
      if room == 0 then
        redis.call('HSET', owner, 'taking', from)
        return {1, 0, out, lost, ''}
      end
      if p[2] == '(returned)' then redis.call('ZREM', back, pad(p[1])) end
      claim(p, 0)
      from = '(' .. p[1]
    end
    if #page < 100 then
      redis.call('HDEL', owner, 'taking')
      from = nil
    end
  end
end

if room > 0 then
  for _, padded in ipairs(redis.call('ZRANGEBYSCORE', back, '-inf', now, 'LIMIT', 0, room)) do
    redis.call('ZREM', back, padded)
    local id = string.gsub(string.gsub(padded, '^0+(%d)', '%1'), '-0+(%d)', '-%1')
    local p = redis.call('XPENDING', stream, group, id, id, 1)[1]
    if p then claim(p, 0) end
  end
end

if ARGV[5] == '1' then
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
    local c = {}
    for i = 1, #info, 2 do c[info[i]] = info[i + 1] end
    if c['name'] == '(returned)' then
      -- The set can be lost: by hand, or by a server that forgets.
      if c['pending'] > redis.call('ZCARD', back) then
        local from = '-'
        while true do
          local page = redis.call('XPENDING', stream, group, from, '+', 100, '(returned)')
          for _, p in ipairs(page) do
            redis.call('ZADD', back, 'NX', now, pad(p[1]))
            from = '(' .. p[1]
          end
          if #page < 100 then break end
        end
      end
    elseif c['pending'] > 0 then
      if room > 0 then
        for _, p in ipairs(redis.call('XPENDING', stream, group, 'IDLE', lease, '-', '+', room, c['name'])) do
          claim(p, lease)
        end
      end
    elseif c['name'] ~= me and c['idle'] > tonumber(ARGV[6]) then
      redis.call('XGROUP', 'DELCONSUMER', stream, group, c['name'])
    end
  end
end

local new = math.min(tonumber(ARGV[8]), room)
if new > 0 and mode ~= 'shared' then
  local got = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', new, 'STREAMS', stream, '>')
  if got then
    for _, e in ipairs(got[1][2]) do out[#out + 1] = {e[1], e[2], 1} end
  end
end
local at = ''
if mode ~= 'shared' and #out == 0 then
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local g = {}
    for i = 1, #info, 2 do g[info[i]] = info[i + 1] end
    if g['name'] == group then at = g['last-delivered-id'] end
  end
end

local due = redis.call('ZRANGE', back, 0, 0, 'WITHSCORES')[2]
return {1, due and math.max(0, due - now) or -1, out, lost, at}
