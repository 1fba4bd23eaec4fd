/**
 * Scripts in Valkey or Redis: each call is one script, so that reading and taking are atomic. The arithmetic is that of
 * bucket-math.ts, in integers below 2^53. The server's clock counts: gateways with different clocks agree. Needs Redis
 * 5, or any Valkey.
 */

/** ARGV[1] is the time in ms, or empty: the server's. */
const NOW = `
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local function whole(n) return string.format('%.0f', n) end
-- a full bucket is as good as none; the others go by themselves, 5 s after they are full
local function put(key, limit, missing)
  if missing <= 0 then
    redis.call('DEL', key)
  else
    local value = whole(missing) .. ' ' .. whole(now) .. ' ' .. whole(limit)
    redis.call('SET', key, value, 'PX', whole(math.ceil(missing / limit) + 5000))
  end
end
-- units missing from a bucket, as missingNow() has it
local function find(key, limit)
  local value = redis.call('GET', key)
  if not value then return 0 end
  local missing, at, before = string.match(value, '^(%d+) (%d+) (%d+)$')
  missing = tonumber(missing)
  local rate = math.max(limit, tonumber(before))
  local ms = now - at
  if ms < 0 then -- the clock went back: from now on
    put(key, rate, missing)
    return missing
  end
  if ms >= math.ceil(missing / rate) then return 0 end
  return missing - ms * rate
end
`

/**
 * KEYS: buckets, places. ARGV: time, ms that a lease lasts, lease, number of buckets, then limit, unit and cost of each
 * bucket, then the limit of each of the places. Gives 1 or 0 (taken or not), the units that were missing from each
 * bucket, the number of each place's leases of others.
 */
export const TAKE = `${NOW}
local lasts, lease, buckets = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local answer, missing, ok = {0}, {}, 1
for i = 1, buckets do
  local a = 2 + 3 * i
  local limit, unit, cost = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  missing[i] = find(KEYS[i], limit)
  if cost > limit or missing[i] + cost * unit > limit * unit then ok = 0 end
  answer[1 + i] = whole(missing[i])
end
for i = buckets + 1, #KEYS do
  local held = redis.call('ZCOUNT', KEYS[i], '(' .. whole(now), '+inf')
  local own = redis.call('ZSCORE', KEYS[i], lease)
  if own and tonumber(own) > now then held = held - 1 end
  if held >= tonumber(ARGV[4 + 2 * buckets + i]) then ok = 0 end
  answer[1 + i] = held
end
if ok == 0 then return answer end
answer[1] = 1
for i = 1, buckets do
  local a = 2 + 3 * i
  put(KEYS[i], tonumber(ARGV[a]), missing[i] + tonumber(ARGV[a + 2]) * tonumber(ARGV[a + 1]))
end
for i = buckets + 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', whole(now))
  redis.call('ZADD', KEYS[i], whole(now + lasts), lease)
  redis.call('PEXPIRE', KEYS[i], whole(lasts + 5000))
end
return answer
`

/** KEYS: the bucket. ARGV: time, limit, units to put back. */
export const GIVE_BACK = `${NOW}
local limit = tonumber(ARGV[2])
put(KEYS[1], limit, find(KEYS[1], limit) - tonumber(ARGV[3]))
return 1
`

/** KEYS: places. ARGV: time, lease. */
export const RELEASE = `
for i = 1, #KEYS do redis.call('ZREM', KEYS[i], ARGV[2]) end
return 1
`

/**
 * KEYS: one slot for each lease. ARGV: time, ms of a lease, leases. A lost lease (the server lost its memory, or the
 * gateway slept) is restored: its generation still runs.
 */
export const RENEW = `${NOW}
local lasts = tonumber(ARGV[2])
for i = 1, #KEYS do
  redis.call('ZADD', KEYS[i], whole(now + lasts), ARGV[2 + i])
  redis.call('PEXPIRE', KEYS[i], whole(lasts + 5000))
end
return 1
`
