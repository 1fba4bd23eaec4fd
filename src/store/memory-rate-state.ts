/**
 * Rates and slots of one gateway in its memory; a restart begins with full buckets. Bounded: a full bucket needs no
 * record, so each call also checks a few old names and drops full ones. A bucket that is not full is never dropped,
 * because that would lift its limit: with `names` of them, calls that need one more reject. (One request of 1,200 a
 * minute keeps a bucket for 50 ms, so that takes millions of requests per second from different addresses.)
 */
import { VeritError } from '../lib/errors.ts'
import type { BucketSize, Found, Level } from './bucket-math.ts'
import { answerOf, checkAmount, checkCall, missingNow, sizeOf, unitsOf } from './bucket-math.ts'
import type { Bucket, Places, RateAnswer, RateState } from './rate-state.ts'

export interface MemoryRateOptions {
  /** A clock that never goes back, in ms. Default: performance.now. */
  now?: () => number
  /** Most buckets that are not full. Default 1,000,000, about 300 MB. */
  names?: number
}

export class MemoryRateState implements RateState {
  #now: () => number
  #names: number
  #levels = new Map<string, Level>()
  #places = new Map<string, Set<string>>()
  #sweep: Iterator<[string, Level]> = this.#levels.entries()

  constructor(options: MemoryRateOptions = {}) {
    const clock = options.now ?? (() => performance.now())
    this.#now = () => Math.floor(clock())
    this.#names = options.names ?? 1_000_000
  }

  /** Buckets that are kept: those that are not full, and some that are. */
  get names(): number {
    return this.#levels.size
  }

  // async: a wrong amount rejects, as in the other rate state
  async take(buckets: readonly Bucket[], places: readonly Places[] = [], lease?: string): Promise<RateAnswer> {
    return this.#take(buckets, places, lease)
  }

  /** The same without slots, at once. @throws VeritError VERIT_RATE_STATE if there is no room for another name */
  takeNow(buckets: readonly Bucket[]): RateAnswer {
    return this.#take(buckets, [], undefined)
  }

  async giveBack(bucket: Omit<Bucket, 'cost'>, amount: number): Promise<void> {
    checkAmount(amount)
    const size = sizeOf(bucket)
    const now = this.#now()
    const { missing } = this.#find(keyOf(bucket), size, now)
    if (amount > 0) this.#put(keyOf(bucket), size, Math.max(0, missing - unitsOf(size, amount)), now)
  }

  release(lease: string, places: readonly Places[]): Promise<void> {
    for (const { name } of places) {
      const held = this.#places.get(name)
      if (held?.delete(lease) === true && held.size === 0) this.#places.delete(name)
    }
    return Promise.resolve()
  }

  close(): Promise<void> {
    this.#levels.clear()
    this.#places.clear()
    return Promise.resolve()
  }

  #take(buckets: readonly Bucket[], places: readonly Places[], lease: string | undefined): RateAnswer {
    checkCall(buckets, places, lease)
    const now = this.#now()
    this.#drop(2 * buckets.length + 2, now)
    const found = buckets.map(bucket => this.#find(keyOf(bucket), sizeOf(bucket), now))
    const held = places.map(({ name }) => {
      const leases = this.#places.get(name)
      return leases === undefined ? 0 : leases.size - (leases.has(lease!) ? 1 : 0)
    })
    const answer = answerOf(buckets, found, places, held)
    if (answer.refused !== undefined) return answer
    this.#makeRoom(buckets, now)
    buckets.forEach((bucket, i) => {
      const { size, missing } = found[i]!
      this.#put(keyOf(bucket), size, missing + bucket.cost * size.unit, now)
    })
    for (const { name } of places) {
      const leases = this.#places.get(name)
      if (leases === undefined) this.#places.set(name, new Set([lease!]))
      else leases.add(lease!)
    }
    return answer
  }

  #find(key: string, size: BucketSize, now: number): Found {
    return { size, missing: missingNow(this.#levels.get(key), size.limit, now) }
  }

  #put(key: string, { limit }: BucketSize, missing: number, now: number): void {
    if (missing === 0) this.#levels.delete(key)
    else this.#levels.set(key, { missing, at: now, limit })
  }

  /** Looks at `count` names, round and round, and drops those that are full by now. */
  #drop(count: number, now: number): void {
    for (let i = 0; i < count; i++) {
      let next = this.#sweep.next()
      if (next.done === true) {
        this.#sweep = this.#levels.entries()
        next = this.#sweep.next()
        if (next.done === true) return
      }
      const [key, level] = next.value
      if (missingNow(level, level.limit, now) === 0) this.#levels.delete(key)
    }
  }

  /**
   * @throws VeritError VERIT_RATE_STATE where new names find no room; the work is bounded, so that a flood cannot make
   * each request slow
   */
  #makeRoom(buckets: readonly Bucket[], now: number): void {
    const needed = (): number =>
      buckets.reduce((n, bucket) => n + (bucket.cost > 0 && !this.#levels.has(keyOf(bucket)) ? 1 : 0), 0)
    if (this.#levels.size + needed() <= this.#names) return
    this.#drop(1000, now)
    if (this.#levels.size + needed() <= this.#names) return
    throw new VeritError('VERIT_RATE_STATE', { reason: `${this.#names} names are counted, and no more can be` })
  }
}

/** Buckets of other lengths of time are other buckets: their units differ. */
const keyOf = ({ name, seconds }: Omit<Bucket, 'cost'>): string => `${seconds}:${name}`
