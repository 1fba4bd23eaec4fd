/**
 * Rates in a real Valkey as an operator meets them: two gateways on one server, a server that dies and comes back,
 * hangs, or wants another password.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import { VeritError } from '../src/lib/errors.ts'
import { openRateState } from '../src/store/open-rate-state.ts'
import type { RateState } from '../src/store/rate-state.ts'
import { RedisRateState } from '../src/store/redis-rate-state.ts'
import { Valkey, noValkey } from './valkey.ts'

const valkey = noValkey === false ? await Valkey.start() : undefined
const open: RateState[] = []
after(async () => {
  for (const state of open) await state.close()
  await valkey?.kill()
})
const gateway = async (): Promise<RateState> => {
  const state = await openRateState(valkey!.url)
  open.push(state)
  return state
}
const options = { skip: noValkey }
const down = (e: unknown): boolean =>
  VeritError.is(e, 'VERIT_RATE_STATE') && !inspect(e, { depth: 9, showHidden: true }).includes(valkey!.password)

/** Until it works again; the connection is made anew within about a second. */
async function recovered(state: RateState): Promise<void> {
  for (let i = 0; i < 100; i++) {
    try {
      await state.take([{ name: 'probe', limit: 1000, seconds: 1, cost: 1 }])
      return
    } catch {
      await sleep(50)
    }
  }
  assert.fail('it did not recover within 5 s')
}

test(
  'two gateways hold one limit and one number of places together, however their requests interleave',
  options,
  async () => {
    const gateways = [await gateway(), await gateway()]
    const bucket = { name: 'key:one:requests', limit: 100, seconds: 3600, cost: 1 }
    const places = [{ name: 'key:one:streams', limit: 7 }]
    const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => gateways[i % 2]!.take([bucket])))
    assert.equal(answers.filter(a => a.refused === undefined).length, 100)
    assert.deepEqual(
      answers
        .filter(a => a.refused === undefined)
        .map(a => a.left[0]!)
        .sort((a, b) => b - a),
      Array.from({ length: 100 }, (_, i) => 99 - i)
    )
    const held = await Promise.all(
      Array.from({ length: 40 }, (_, i) => gateways[i % 2]!.take([], places, `lease ${i}`))
    )
    assert.equal(held.filter(a => a.refused === undefined).length, 7)
    const first = held.findIndex(a => a.refused === undefined)
    await gateways[1]!.release(`lease ${first}`, places) // any gateway may
    assert.equal((await gateways[0]!.take([], places, 'another')).refused, undefined)
    assert.equal(
      (await gateways[0]!.take([{ ...bucket, name: 'untouched' }], places, 'one more')).refused,
      'key:one:streams'
    )
    assert.deepEqual(
      (await gateways[0]!.take([{ ...bucket, name: 'untouched', cost: 0 }])).left,
      [100],
      'nothing was taken from the bucket'
    )
  }
)

test(
  'a server that dies refuses every call at once and works again by itself; places still held come back with it',
  options,
  async () => {
    const state = await gateway()
    const places = [{ name: 'held', limit: 1 }]
    await state.take([], places, 'mine')
    await valkey!.kill()
    await assert.rejects(state.take([{ name: 'a', limit: 1, seconds: 1, cost: 1 }]), down)
    await assert.rejects(state.giveBack({ name: 'a', limit: 1, seconds: 1 }, 1), down)
    await assert.rejects(state.release('other', places), down)
    await valkey!.start()
    await recovered(state)
    assert.equal((await state.take([], places, 'theirs')).refused, 'held')
    await state.release('mine', places)
    assert.equal((await state.take([], places, 'theirs')).refused, undefined)
  }
)

test('a place is held for as long as its gateway lives and not much longer', options, async () => {
  let now = 0
  const dying = await RedisRateState.open(valkey!.url, { now: () => now, renewMs: 5 })
  const other = await RedisRateState.open(valkey!.url, { now: () => now })
  open.push(other)
  const places = [{ name: 'leased', limit: 1 }]
  await dying.take([], places, 'long')
  const { Redis } = await import('ioredis')
  const redis = new Redis(valkey!.url)
  const key = (
    await Promise.all(
      (await redis.keys('verit:places:*')).map(async k => ((await redis.zscore(k, 'long')) === null ? [] : [k]))
    )
  ).flat()[0]!
  const renewed = async (): Promise<void> => {
    for (let i = 0; i < 1000 && Number(await redis.zscore(key, 'long')) !== now + 30_000; i++) await sleep(2)
  }
  for (let i = 0; i < 10; i++) {
    now += 10_000
    await renewed()
    assert.equal((await other.take([], places, 'short')).refused, 'leased')
  }
  await dying.close() // as if it had died: it releases nothing
  now += 29_999
  assert.equal((await other.take([], places, 'short')).refused, 'leased')
  now += 1
  assert.equal((await other.take([], places, 'short')).refused, undefined)
  await redis.quit()
})

test('a server that hangs is given up after a second, and used again when it goes on', options, async () => {
  const state = await gateway()
  process.kill(valkey!.pid, 'SIGSTOP')
  try {
    await assert.rejects(
      state.take([{ name: 'h', limit: 1, seconds: 1, cost: 1 }]),
      e => down(e) && /in time/.test((e as Error).message)
    )
  } finally {
    process.kill(valkey!.pid, 'SIGCONT')
  }
  await recovered(state)
})

test('a wrong password, a wrong port and a damaged value are refusals that show no password', options, async () => {
  await assert.rejects(
    openRateState(valkey!.url.replace(':', ':').replace(/:([0-9a-f]{32})@/, ':wrong-secret@')),
    e =>
      VeritError.is(e, 'VERIT_RATE_STATE') &&
      /refused/.test(e.message) &&
      !inspect(e, { depth: 9, showHidden: true }).includes('wrong-secret')
  )
  await assert.rejects(openRateState(`redis://:${valkey!.password}@127.0.0.1:1`), down)
  const state = await gateway()
  await state.take([{ name: 'damaged', limit: 5, seconds: 60, cost: 1 }])
  const { Redis } = await import('ioredis')
  const redis = new Redis(valkey!.url)
  for (const key of await redis.keys('verit:rate:60:*')) await redis.set(key, 'nonsense')
  assert.ok((await redis.keys('*')).every(key => /^verit:(rate:\d+|places):[\w-]{43}$/.test(key)))
  await redis.quit()
  await assert.rejects(state.take([{ name: 'damaged', limit: 5, seconds: 60, cost: 1 }]), down)
})

test(
  'a user with the rights that docs/reference/limits.md lists can do all of it, and memory that is full refuses',
  options,
  async () => {
    const rights = /user verit on >PASSWORD (.*)/
      .exec(readFileSync(new URL('../docs/reference/limits.md', import.meta.url), 'utf8'))![1]!
      .split(' ')
    const { Redis } = await import('ioredis')
    const redis = new Redis(valkey!.url)
    await redis.call('ACL', 'SETUSER', 'verit', 'on', '>pass word', ...rights)
    const state = await openRateState(valkey!.url.replace(/:[0-9a-f]{32}@/, 'verit:pass%20word@'))
    open.push(state)
    const [bucket, places] = [{ name: 'rights', limit: 5, seconds: 60, cost: 2 }, [{ name: 'rights', limit: 1 }]]
    assert.deepEqual((await state.take([bucket], places, 'r')).left, [3, 0])
    await state.giveBack(bucket, 1)
    await state.release('r', places)
    assert.deepEqual((await state.take([{ ...bucket, cost: 0 }], places, 's')).left, [4, 0])
    await redis.config('SET', 'maxmemory', '1')
    await assert.rejects(state.take([{ ...bucket, name: 'no room' }]), down)
    await redis.config('SET', 'maxmemory', '0')
    await recovered(state)
    await redis.quit()
  }
)
