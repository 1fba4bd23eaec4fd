/**
 * Rates and slots of several gateways in one Valkey or Redis server. Every call is one script (rate-scripts.ts) and one
 * round trip; the server's clock counts. Slots are leases of 30 s, renewed every 10 s, so that a dead gateway's become
 * free. If the server cannot be reached, every call rejects at once, or after a second; the connection is restored by
 * itself.
 */
import { createHash } from 'node:crypto'
import type { Redis as RedisClient } from 'ioredis'
import { defined } from '../lib/defined.ts'
import { VeritError, invariant } from '../lib/errors.ts'
import { printable } from '../lib/printable.ts'
import type { Found } from './bucket-math.ts'
import { answerOf, checkAmount, checkCall, checkName, sizeOf, unitsOf } from './bucket-math.ts'
import { GIVE_BACK, RELEASE, RENEW, TAKE } from './rate-scripts.ts'
import type { Bucket, Places, RateAnswer, RateState } from './rate-state.ts'
import { parseRateUrl } from './rate-url.ts'

const COMMAND_MS = 1000
const OPEN_MS = 5000
const LEASE_MS = 30_000
const RENEW_MS = 10_000
/** Leases renewed by one script: more would keep the server from others. */
const RENEW_BATCH = 500

export interface RedisRateOptions {
  /** A clock in whole ms, for tests. Default: the server's. */
  now?: () => number
  /** Time between renewals of leases, ms, for tests. Default 10,000. */
  renewMs?: number
}

type Script = 'veritTake' | 'veritGiveBack' | 'veritRelease' | 'veritRenew'
type Scripts = Record<Script, (keys: number, ...args: (string | number)[]) => Promise<unknown>>

export class RedisRateState implements RateState {
  #redis: RedisClient
  #now: () => string
  /** Places held here: lease and key, by both. */
  #held = new Map<string, { lease: string; key: string }>()
  #renewal: NodeJS.Timeout

  private constructor(redis: RedisClient, { now, renewMs = RENEW_MS }: RedisRateOptions) {
    this.#redis = redis
    this.#now = () => (now === undefined ? '' : String(now()))
    this.#renewal = setInterval(() => void this.#renew(), renewMs).unref()
    redis.on('ready', () => void this.#renew()) // a server that lost its memory learns what is held
  }

  /**
   * @throws VeritError VERIT_CONFIG for a wrong URL; VERIT_RATE_STATE where the server does not answer within 5 s or
   * refuses
   */
  static async open(url: string, options: RedisRateOptions = {}): Promise<RedisRateState> {
    const { host, port, database, tls, username, password } = parseRateUrl(url)
    const { Redis } = await import('ioredis')
    const redis = new Redis({
      ...defined({ host, port, db: database, username, password, tls: tls ? {} : undefined }),
      lazyConnect: true,
      protocol: 2,
      disableClientInfo: true,
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0, // nothing is taken later than asked, or twice
      connectTimeout: OPEN_MS,
      commandTimeout: COMMAND_MS,
      socketTimeout: 2 * COMMAND_MS,
      retryStrategy: times => Math.min(50 * 2 ** Math.min(times, 5), 1000)
    })
    let problem: unknown
    redis.on('error', e => (problem = e))
    redis.defineCommand('veritTake' satisfies Script, { lua: TAKE })
    redis.defineCommand('veritGiveBack' satisfies Script, { lua: GIVE_BACK })
    redis.defineCommand('veritRelease' satisfies Script, { lua: RELEASE })
    redis.defineCommand('veritRenew' satisfies Script, { lua: RENEW })
    try {
      await redis.connect()
      await redis.ping()
    } catch (e) {
      redis.disconnect()
      throw failure(problem ?? e)
    }
    return new RedisRateState(redis, options)
  }

  async take(buckets: readonly Bucket[], places: readonly Places[] = [], lease = ''): Promise<RateAnswer> {
    checkCall(buckets, places, places.length > 0 ? lease : undefined)
    const sizes = buckets.map(sizeOf)
    const keys = [...buckets.map(bucketKey), ...places.map(placeKey)]
    const numbers = buckets.flatMap(({ cost }, i) => [sizes[i]!.limit, sizes[i]!.unit, cost])
    const reply = await this.#run(
      'veritTake',
      keys,
      LEASE_MS,
      lease,
      buckets.length,
      ...numbers,
      ...places.map(p => p.limit)
    )
    const [taken, ...rest] = replyNumbers(reply, 1 + keys.length)
    const found: Found[] = sizes.map((size, i) => ({ size, missing: rest[i]! }))
    const answer = answerOf(buckets, found, places, rest.slice(buckets.length))
    if ((taken === 1) !== (answer.refused === undefined))
      throw failure(new Error('the script and the gateway do not agree'))
    if (taken === 1) for (const place of places) this.#held.set(heldKey(lease, place), { lease, key: placeKey(place) })
    return answer
  }

  async giveBack(bucket: Omit<Bucket, 'cost'>, amount: number): Promise<void> {
    checkAmount(amount)
    const size = sizeOf(bucket)
    if (amount > 0) await this.#run('veritGiveBack', [bucketKey(bucket)], size.limit, unitsOf(size, amount))
  }

  /** A release that does not reach the server is not repeated: the lease ends by itself. */
  async release(lease: string, places: readonly Places[]): Promise<void> {
    checkName(lease)
    for (const place of places) this.#held.delete(heldKey(lease, place))
    if (places.length > 0) await this.#run('veritRelease', places.map(placeKey), lease)
  }

  /** Places still held stay so until their leases end. */
  async close(): Promise<void> {
    clearInterval(this.#renewal)
    this.#held.clear()
    await this.#redis.quit().catch(() => undefined)
    this.#redis.disconnect()
  }

  async #run(script: Script, keys: readonly string[], ...args: (string | number)[]): Promise<unknown> {
    try {
      return await (this.#redis as unknown as Scripts)[script](keys.length, ...keys, this.#now(), ...args)
    } catch (e) {
      throw failure(e)
    }
  }

  /** Failures are repeated next time: a lease outlives two failures. */
  async #renew(): Promise<void> {
    const all = [...this.#held.values()]
    for (let i = 0; i < all.length; i += RENEW_BATCH) {
      // released meanwhile: renewing would take the slot again
      const batch = all.slice(i, i + RENEW_BATCH).filter(h => this.#held.has(`${h.lease} ${h.key}`))
      if (batch.length === 0) continue
      const renewed = await this.#run(
        'veritRenew',
        batch.map(h => h.key),
        LEASE_MS,
        ...batch.map(h => h.lease)
      ).then(
        () => true,
        () => false
      )
      if (!renewed) return
    }
  }
}

/** Hashed: a name of any characters and length is one key of this form, and no two names are the same one. */
const hashed = (name: string): string => createHash('sha256').update(name).digest('base64url')
const bucketKey = ({ name, seconds }: Omit<Bucket, 'cost'>): string => `verit:rate:${seconds}:${hashed(name)}`
const placeKey = ({ name }: Places): string => `verit:places:${hashed(name)}`
const heldKey = (lease: string, place: Places): string => `${lease} ${placeKey(place)}`

/** The server is another program: its answers are checked. */
function replyNumbers(reply: unknown, count: number): number[] {
  const numbers = Array.isArray(reply) ? reply.map(Number) : []
  if (numbers.length !== count || !numbers.every(n => Number.isSafeInteger(n) && n >= 0))
    throw failure(new Error('its answer is not one of the script'))
  return numbers
}

/**
 * The reason is for the operator; clients learn only that counting fails. The cause is rebuilt, because the library's
 * own error holds the command with its arguments, perhaps the password.
 */
function failure(e: unknown): VeritError {
  invariant(e instanceof Error, 'ioredis rejects with an error')
  const what = /timed out|timeout/i.test(e.message)
    ? 'Valkey did not answer in time'
    : e.name === 'ReplyError'
      ? 'Valkey refused the command'
      : 'there is no connection to Valkey'
  const { code } = e as NodeJS.ErrnoException
  const detail = printable(code === undefined || e.message.includes(code) ? e.message : `${code}: ${e.message}`, 300)
  return new VeritError('VERIT_RATE_STATE', { reason: `${what} (${detail})` }, new Error(detail))
}
