-- Removes what every group has settled, and what is older than to be kept.
-- KEYS stream   ARGV how long to keep, in ms
local function parse(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local floor_ms, floor_seq
local found = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if found.err then return 0 end
for _, info in ipairs(found) do
  local g = {}
  for i = 1, #info, 2 do g[info[i]] = info[i + 1] end
  local ms, seq
  if g['pending'] > 0 then
    ms, seq = parse(redis.call('XPENDING', KEYS[1], g['name'], '-', '+', 1)[1][1])
  else
    ms, seq = parse(g['last-delivered-id'])
    seq = seq + 1
  end
  if not floor_ms or ms < floor_ms or (ms == floor_ms and seq < floor_seq) then
    floor_ms, floor_seq = ms, seq
  end
end
if not floor_ms then return 0 end
local keep = tonumber(ARGV[1])
if keep > 0 then
  local oldest = redis.call('TIME')[1] * 1000 - keep
  if oldest < floor_ms then floor_ms, floor_seq = math.max(0, oldest), 0 end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f-%.0f', floor_ms, floor_seq))
