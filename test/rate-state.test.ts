/**
 * The rate state in memory and the one in a real Valkey, held against one plain model in exact fractions (BigInt), with
 * a clock of the test's.
 */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../src/lib/errors.ts'
import { MemoryRateState } from '../src/store/memory-rate-state.ts'
import type { Bucket, Places, RateState } from '../src/store/rate-state.ts'
import { RedisRateState } from '../src/store/redis-rate-state.ts'
import { Valkey, noValkey } from './valkey.ts'

const valkey = noValkey === false ? await Valkey.start() : undefined

/** Time of the tests, in ms. */
let now = 0
const clock = (): number => now
let run = 0

const both: [string, RateState][] = [
  ['memory', new MemoryRateState({ now: clock })],
  ...(valkey === undefined
    ? []
    : [['Valkey', await RedisRateState.open(valkey.url, { now: clock })] as [string, RateState]])
]
after(async () => {
  for (const [, state] of both) await state.close()
  await valkey?.kill()
})

/** The exact model: what is missing, in pieces times seconds times 1000. */
class Model {
  #missing = new Map<string, { units: bigint; at: number; limit: number }>()
  #held = new Map<string, Map<string, number>>()
  #leaseMs: number

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  units({ name, limit, seconds }: Omit<Bucket, 'cost'>): bigint {
    const level = this.#missing.get(`${seconds} ${name}`)
    if (level === undefined) return 0n
    const left = level.units - BigInt(Math.max(0, now - level.at)) * BigInt(Math.max(limit, level.limit))
    return left > 0n ? left : 0n
  }

  set(bucket: Omit<Bucket, 'cost'>, units: bigint): void {
    this.#missing.set(`${bucket.seconds} ${bucket.name}`, { units, at: now, limit: bucket.limit })
  }

  held(place: Places, lease: string): number {
    return [...(this.#held.get(place.name) ?? [])].filter(([holder, until]) => until > now && holder !== lease).length
  }

  take(buckets: Bucket[], places: Places[], lease: string): boolean {
    const ok =
      buckets.every(b => this.units(b) + BigInt(b.cost * b.seconds * 1000) <= BigInt(b.limit * b.seconds * 1000)) &&
      places.every(p => this.held(p, lease) < p.limit)
    if (!ok) return false
    for (const b of buckets) this.set(b, this.units(b) + BigInt(b.cost * b.seconds * 1000))
    for (const p of places)
      this.#held.set(p.name, (this.#held.get(p.name) ?? new Map()).set(lease, now + this.#leaseMs))
    return true
  }

  giveBack(bucket: Omit<Bucket, 'cost'>, amount: number): void {
    if (amount === 0) return
    const units = this.units(bucket) - BigInt(amount * bucket.seconds * 1000)
    this.set(bucket, units > 0n ? units : 0n)
  }

  release(lease: string, places: Places[]): void {
    for (const p of places) this.#held.get(p.name)?.delete(lease)
  }
}

const whole = (n: bigint, d: bigint): number => Number((n + d - 1n) / d)

const name = fc.constantFrom('a', 'b', 'a b', 'ключ\r\nSET x 1')
const bucket = fc.record({
  name,
  limit: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(600, 1_000_003)),
  seconds: fc.constantFrom(1, 7, 60),
  cost: fc.integer({ min: 0, max: 25 })
})
const place = fc.record({ name, limit: fc.integer({ min: 1, max: 3 }) })
const lease = fc.constantFrom('l1', 'l2', 'l3', 'l4')
const step = fc.oneof(
  fc.record({
    kind: fc.constant('take' as const),
    lease,
    buckets: fc.uniqueArray(bucket, { maxLength: 3, selector: b => b.name }),
    places: fc.uniqueArray(place, { maxLength: 2, selector: p => p.name })
  }),
  fc.record({ kind: fc.constant('back' as const), bucket, amount: fc.integer({ min: 0, max: 30 }) }),
  fc.record({
    kind: fc.constant('release' as const),
    lease,
    places: fc.uniqueArray(place, { maxLength: 2, selector: p => p.name })
  }),
  fc.record({
    kind: fc.constant('wait' as const),
    ms: fc.oneof(fc.integer({ min: 0, max: 50 }), fc.integer({ min: 0, max: 70_000 }))
  })
)

async function holds(state: RateState, leaseMs: number, runs: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async steps => {
      const model = new Model(leaseMs)
      const prefix = `${run++} ` // so that runs know nothing of one another
      const own = <T extends { name: string }>(list: T[]): T[] => list.map(x => ({ ...x, name: prefix + x.name }))
      for (const s of steps) {
        if (s.kind === 'wait') now += s.ms
        else if (s.kind === 'release') {
          const places = own(s.places)
          await state.release(s.lease, places)
          model.release(s.lease, places)
        } else if (s.kind === 'back') {
          const [b] = own([s.bucket])
          await state.giveBack(b!, s.amount)
          model.giveBack(b!, s.amount)
        } else {
          const [buckets, places] = [own(s.buckets), own(s.places)]
          const before = buckets.map(b => model.units(b))
          const taken = model.take(buckets, places, s.lease)
          const answer = await state.take(buckets, places, places.length > 0 ? s.lease : undefined)
          assert.equal(answer.refused === undefined, taken)
          const left = buckets.map(b =>
            Number((BigInt(b.limit * b.seconds * 1000) - model.units(b)) / BigInt(b.seconds * 1000))
          )
          assert.deepEqual(
            answer.left.slice(0, buckets.length),
            left.map(n => Math.max(0, n))
          )
          assert.deepEqual(
            answer.left.slice(buckets.length),
            places.map(p => Math.max(0, p.limit - model.held(p, s.lease) - (taken ? 1 : 0)))
          )
          assert.deepEqual(
            answer.reset,
            buckets.map(b => whole(BigInt(whole(model.units(b), BigInt(b.limit))), 1000n))
          )
          if (!taken) {
            const waits = buckets.map((b, i) =>
              b.cost > b.limit
                ? Infinity
                : whole(
                    BigInt(whole(max0(before[i]! + BigInt((b.cost - b.limit) * b.seconds * 1000)), BigInt(b.limit))),
                    1000n
                  )
            )
            assert.equal(
              answer.retryAfter,
              Math.max(...waits, ...places.map(p => (model.held(p, s.lease) >= p.limit ? 1 : 0)))
            )
            assert.ok([...buckets, ...places].some(x => x.name === answer.refused))
          } else assert.equal(answer.retryAfter, 0)
        }
      }
    }),
    { numRuns: runs }
  )
}
const max0 = (n: bigint): bigint => (n > 0n ? n : 0n)

test('in memory: takes, refusals, what is left, waits and returns are those of the model', () =>
  holds(new MemoryRateState({ now: clock }), Infinity, 400))

test(
  'in Valkey: takes, refusals, what is left, waits, returns and the end of leases are those of the model',
  { skip: noValkey },
  async () => {
    await holds(both[1]![1], 30_000, 150)
  }
)

test(
  'a refused client that waits for as long as it was told is served, and a millisecond of the last second ' +
    'before is too early',
  async () => {
    for (const [kind, state] of both) {
      const one = [{ name: `wait ${kind}`, limit: 7, seconds: 60, cost: 1 }]
      for (let i = 0; i < 7; i++) assert.equal((await state.take(one)).refused, undefined)
      const refused = await state.take(one)
      assert.equal(refused.retryAfter, 9, kind) // 60/7 = 8.57 s
      now += 8571
      assert.notEqual((await state.take(one)).refused, undefined, kind)
      now += 1
      assert.equal((await state.take(one)).refused, undefined, kind)
    }
  }
)

test('limits up to the largest safe number work, and those beyond exact arithmetic count as 2^52 units', async () => {
  for (const [kind, state] of both) {
    const big = (cost: number): Bucket[] => [{ name: `big ${kind}`, limit: Number.MAX_SAFE_INTEGER, seconds: 60, cost }]
    const counts = Math.floor(2 ** 52 / 60_000)
    assert.deepEqual((await state.take(big(1))).left, [counts - 1], kind)
    assert.equal((await state.take(big(counts))).retryAfter, 1, kind)
    assert.equal((await state.take(big(counts + 1))).retryAfter, Infinity, kind)
    now += 1
    assert.deepEqual((await state.take(big(counts))).left, [0], kind)
  }
})

test(
  'a limit that changes while a bucket is not full takes effect at once; it refills by the larger limit until ' +
    'something is taken',
  async () => {
    for (const [kind, state] of both) {
      const of = (limit: number, cost: number): Bucket[] => [{ name: `change ${kind}`, limit, seconds: 60, cost }]
      await state.take(of(600, 600))
      assert.deepEqual(
        await state.take(of(60, 1)),
        { refused: `change ${kind}`, retryAfter: 541, left: [0], reset: [600] },
        kind
      )
      now += 54_100
      assert.deepEqual((await state.take(of(60, 1))).left, [0], kind)
      now += 1000
      assert.deepEqual((await state.take(of(60, 1))).left, [0], kind)
      assert.deepEqual((await state.take(of(600, 0))).left, [540], kind)
    }
  }
)

test(
  'a clock of the server that goes back refills nothing, and locks nothing for longer than a refill takes',
  { skip: noValkey },
  async () => {
    const [, state] = both[1]!
    const one = [{ name: 'clock', limit: 1, seconds: 10, cost: 1 }]
    await state.take(one)
    now -= 3_600_000
    assert.equal((await state.take(one)).retryAfter, 10)
    now += 10_000
    assert.equal((await state.take(one)).refused, undefined)
    now += 3_600_000
  }
)

test('what a caller gets wrong is a defect, not a count', async () => {
  const b = { name: 'x', limit: 1, seconds: 1, cost: 1 }
  for (const [kind, state] of both) {
    for (const bad of [
      { ...b, limit: 0 },
      { ...b, limit: 1.5 },
      { ...b, cost: -1 },
      { ...b, cost: NaN },
      { ...b, seconds: 0 },
      { ...b, seconds: 86_401 },
      { ...b, name: '' }
    ]) {
      await assert.rejects(state.take([bad]), e => VeritError.is(e, 'VERIT_INTERNAL'), `${kind} ${JSON.stringify(bad)}`)
    }
    await assert.rejects(state.take([b, b]), e => VeritError.is(e, 'VERIT_INTERNAL'))
    await assert.rejects(state.take([], [{ name: 'p', limit: 1 }]), e => VeritError.is(e, 'VERIT_INTERNAL'))
  }
})

test('in memory: full buckets are forgotten; without room, new names are refused and known ones served', async () => {
  const state = new MemoryRateState({ now: clock, names: 2000 })
  const one = (name: string): Bucket[] => [{ name, limit: 10, seconds: 60, cost: 1 }]
  for (let i = 0; i < 2000; i++) assert.equal((await state.take(one(`n${i}`))).refused, undefined)
  await assert.rejects(state.take(one('another')), e => VeritError.is(e, 'VERIT_RATE_STATE'))
  assert.deepEqual((await state.take(one('n7'))).left, [8])
  now += 6000 // all but n7 are full
  for (let i = 0; i < 1200; i++) await state.take(one(`m${i % 10}`))
  assert.ok(state.names <= 11, `${state.names} names`)
  assert.deepEqual((await state.take(one('n7'))).left, [8])
})
