/** The limits of one caller: its buckets, and the headers with the remaining limits. */
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { KeyLimits, KeyRecord } from '../store/key-store.ts'
import type { Bucket, Places, RateAnswer } from '../store/rate-state.ts'
import { addressGroups } from './address-group.ts'
import type { ServerConfig } from './config.ts'
import type { GatewayContext } from './context.ts'

const MINUTE = 60

/** The key's own limits, or the server's defaults; undefined: none. */
export function limitsOf(
  record: KeyRecord,
  config: ServerConfig
): { [K in keyof Required<KeyLimits>]: number | undefined } {
  const own = record.limits
  const { keys, inference } = config
  return {
    requestsPerMinute: own.requestsPerMinute ?? some(keys.requestsPerMinute),
    tokensPerMinute: own.tokensPerMinute ?? some(keys.tokensPerMinute),
    streams: own.streams ?? keys.streams,
    tokensPerDay: own.tokensPerDay ?? some(keys.tokensPerDay),
    tokensPerMonth: own.tokensPerMonth ?? some(keys.tokensPerMonth),
    promptTokens: least(own.promptTokens, some(inference.promptTokens)),
    outputTokens: least(own.outputTokens, some(inference.outputTokens))
  }
}

/** In the configuration, 0 stands for no limit. */
const some = (limit: number): number | undefined => (limit === 0 ? undefined : limit)
const least = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)

const bucket = (name: string, limit: number | undefined, cost: number): Bucket[] =>
  limit === undefined ? [] : [{ name, limit, seconds: MINUTE, cost }]

/** A key that draws alerts may be slowed down: its limits, not its budgets, shrink. */
const slowed = (limit: number | undefined, factor: number): number | undefined =>
  limit === undefined ? undefined : Math.max(1, Math.floor(limit * factor))

/**
 * All strangers together may ask as often as this many addresses. So the buckets that they can fill are few, however
 * many addresses they have.
 */
const STRANGERS = { name: 'all', factor: 64 }

/**
 * The buckets of an address: one for each of its groups.
 * @param of requests with a valid key, or those without, which are counted apart; or tokens
 */
function addressBuckets(remote: string, of: 'requests' | 'keyless' | 'tokens', limit: number, cost: number): Bucket[] {
  const groups = of === 'keyless' ? [...addressGroups(remote), STRANGERS] : addressGroups(remote)
  return groups.flatMap(({ name, factor }) => bucket(`address:${name}:${of}`, some(limit * factor), cost))
}

/**
 * The bytes of a request's body, as its headers declare them: `most` for a body in chunks, none for one that is too
 * long to be read.
 */
export function declaredBytes(headers: IncomingHttpHeaders, most: number): number {
  if (headers['transfer-encoding'] !== undefined) return most
  const bytes = Number(headers['content-length'] ?? 0)
  return bytes <= most ? bytes : 0
}

/** A key that is slowed down may still send one body of any size. */
const bytesBucket = ({ config, watch }: GatewayContext, { id }: KeyRecord, cost: number): Bucket[] => {
  const limit = slowed(some(config.keys.bytesPerMinute), watch?.factor(id, Date.now()) ?? 1)
  if (cost === 0 || limit === undefined) return []
  return bucket(`key:${id}:bytes`, Math.max(limit, config.http.bodyBytes), cost)
}

/**
 * Takes one request from the key's bucket and its address's, and the bytes of its body, before they are read, from the
 * key's.
 * @throws VeritError VERIT_RATE_LIMIT, VERIT_UNAVAILABLE
 */
export async function takeRequest(
  context: GatewayContext,
  record: KeyRecord,
  remote: string,
  bodyBytes: number,
  reply: FastifyReply
): Promise<void> {
  const limits = limitsOf(record, context.config)
  const factor = context.watch?.factor(record.id, Date.now()) ?? 1
  const requests = bucket(`key:${record.id}:requests`, slowed(limits.requestsPerMinute, factor), 1)
  const bytes = bytesBucket(context, record, bodyBytes)
  const address = addressBuckets(remote, 'requests', context.config.addresses.requestsPerMinute, 1)
  const buckets = [...requests, ...bytes, ...address]
  const answer = await take(context, buckets, [], undefined)
  for (const [unit, [own]] of [
    ['requests', requests],
    ['bytes', bytes]
  ] as const) {
    if (own === undefined) continue
    const i = buckets.indexOf(own)
    tellLimit(reply, unit, own.limit, answer.left[i]!, answer.reset[i]!)
  }
  if (answer.refused !== undefined) throw refusal(answer, buckets)
}

/** Refunds the bytes that a body was shorter than its maximum. @throws VeritError VERIT_UNAVAILABLE */
export async function giveBackBytes(context: GatewayContext, record: KeyRecord, bytes: number): Promise<void> {
  const [taken] = bytesBucket(context, record, bytes)
  if (taken === undefined) return
  try {
    await context.rates.giveBack(taken, bytes)
  } catch (e) {
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'rate state' }, e)
  }
}

/**
 * Keyless requests have their own bucket per address. Otherwise anyone behind the same address, even a web page in a
 * browser on this machine, could lock out its valid keys.
 * @throws VeritError VERIT_RATE_LIMIT, VERIT_UNAVAILABLE
 */
export async function takeAddress(context: GatewayContext, remote: string): Promise<void> {
  const address = addressBuckets(remote, 'keyless', context.config.addresses.requestsPerMinute, 1)
  if (address.length === 0) return
  const answer = await take(context, address, [], undefined)
  if (answer.refused !== undefined) throw refusal(answer, address)
}

/** The reservation of a running generation in the rate state. */
export interface Held {
  readonly tokens: number
  /** Returns the unused tokens and the places. */
  release(used: number): Promise<void>
}

/**
 * Takes the maximum tokens of a generation, and its slots. @throws VeritError VERIT_RATE_LIMIT, VERIT_TOO_MANY,
 * VERIT_UNAVAILABLE
 */
export async function takeTokens(
  context: GatewayContext,
  record: KeyRecord,
  remote: string,
  tokens: number,
  lease: string,
  reply: FastifyReply
): Promise<Held> {
  const limits = limitsOf(record, context.config)
  const { addresses } = context.config
  const factor = context.watch?.factor(record.id, Date.now()) ?? 1
  const own = bucket(`key:${record.id}:tokens`, slowed(limits.tokensPerMinute, factor), tokens)
  const buckets = [...own, ...addressBuckets(remote, 'tokens', addresses.tokensPerMinute, tokens)]
  const places: Places[] = [
    { name: `key:${record.id}:streams`, limit: limits.streams! },
    ...addressGroups(remote).map(({ name, factor }) => ({
      name: `address:${name}:streams`,
      limit: addresses.streams * factor
    }))
  ]
  const answer = await take(context, buckets, places, lease)
  if (own.length > 0) tellLimit(reply, 'tokens', own[0]!.limit, answer.left[0]!, answer.reset[0]!)
  if (answer.refused !== undefined) {
    const place = places.find(p => p.name === answer.refused)
    throw place === undefined ? refusal(answer, buckets) : new VeritError('VERIT_TOO_MANY', { limit: place.limit })
  }
  return {
    tokens,
    release: async used => {
      const back = buckets.map(b => context.rates.giveBack(b, tokens - Math.min(used, tokens)))
      await Promise.all([...back, context.rates.release(lease, places)])
    }
  }
}

async function take(
  context: GatewayContext,
  buckets: Bucket[],
  places: Places[],
  lease: string | undefined
): Promise<RateAnswer> {
  try {
    return await context.rates.take(buckets, places, lease)
  } catch (e) {
    throw new VeritError('VERIT_UNAVAILABLE', { what: 'rate state' }, e)
  }
}

/** By the end of a bucket's name. */
const UNITS: Readonly<Record<string, string>> = { tokens: 'tokens', bytes: 'bytes of request bodies' }

function refusal(answer: RateAnswer, buckets: readonly Bucket[]): VeritError {
  const { name, limit, seconds } = buckets.find(b => b.name === answer.refused)!
  const unit = UNITS[name.slice(name.lastIndexOf(':') + 1)] ?? 'requests'
  const of = name.startsWith('key:')
    ? 'of this key'
    : name.endsWith(':keyless')
      ? 'without a valid key'
      : 'of this address or its network'
  const what = `${unit} ${of}`
  return new VeritError('VERIT_RATE_LIMIT', { what, limit, seconds, retryAfter: answer.retryAfter })
}

/** The unit of a policy: draft-ietf-httpapi-ratelimit-headers-10 has requests and bytes; tokens are ours. */
const POLICY_UNIT = { requests: '', tokens: ';verit-unit="tokens"', bytes: ';qu="content-bytes"' } as const

/** OpenAI's headers, which know no bytes, and those of draft-ietf-httpapi-ratelimit-headers-10. */
export function tellLimit(
  reply: FastifyReply,
  unit: keyof typeof POLICY_UNIT,
  limit: number,
  left: number,
  reset: number
): void {
  if (unit !== 'bytes') {
    void reply.header(`x-ratelimit-limit-${unit}`, limit).header(`x-ratelimit-remaining-${unit}`, left)
    void reply.header(`x-ratelimit-reset-${unit}`, `${reset}s`)
  }
  addItem(reply, 'ratelimit-policy', `"${unit}";q=${limit};w=${MINUTE}${POLICY_UNIT[unit]}`)
  addItem(reply, 'ratelimit', `"${unit}";r=${left};t=${reset}`)
}

/** A budget in the same form. @param seconds length of its window @param reset seconds until it ends */
export function tellBudget(
  reply: FastifyReply,
  window: 'day' | 'month',
  limit: number,
  left: number,
  seconds: number,
  reset: number
): void {
  addItem(reply, 'ratelimit-policy', `"tokens-${window}";q=${limit};w=${seconds};verit-unit="tokens"`)
  addItem(reply, 'ratelimit', `"tokens-${window}";r=${left};t=${reset}`)
}

function addItem(reply: FastifyReply, name: string, item: string): void {
  const before = reply.getHeader(name)
  void reply.header(name, before === undefined ? item : `${String(before)}, ${item}`)
}
