/**
 * The arithmetic of token buckets in whole numbers, so that the version in memory and the script in Valkey agree to the
 * last unit. A bucket of `limit` that refills within S ms is stored as the missing amount, in units of which one piece
 * of `limit` has S: each millisecond then returns exactly `limit` units. All products stay below 2^53, where doubles
 * (JavaScript's and Lua's) are exact.
 */
import { invariant } from '../lib/errors.ts'
import type { Bucket, Places, RateAnswer } from './rate-state.ts'

/** Longest time in which a bucket refills. */
const MAX_SECONDS = 86_400
const MAX_UNITS = 2 ** 52
/** Characters of a bucket's, place's or lease's name. */
const MAX_NAME = 512

export interface BucketSize {
  /** At most what keeps the arithmetic exact: 75 * 10^9 a minute. A larger limit counts as this. */
  readonly limit: number
  /** Units of one piece, and ms in which an empty bucket is full again. */
  readonly unit: number
}

export function sizeOf(bucket: Omit<Bucket, 'cost'>): BucketSize {
  checkName(bucket.name)
  const { limit, seconds } = bucket
  invariant(Number.isSafeInteger(limit) && limit >= 1, `the limit of a bucket is ${limit}`)
  invariant(Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_SECONDS, `a bucket refills within ${seconds} s`)
  const unit = seconds * 1000
  return { limit: Math.min(limit, Math.floor(MAX_UNITS / unit)), unit }
}

/** As many units as `amount` stands for, or as any bucket can miss. */
export const unitsOf = ({ unit }: BucketSize, amount: number): number =>
  Math.min(amount, Math.floor(MAX_UNITS / unit)) * unit

/** A bucket as last written. */
export interface Level {
  /** Units missing at `at`, ms; under `limit`. */
  readonly missing: number
  readonly at: number
  readonly limit: number
}

/**
 * Units missing now. If the limit changed since the bucket was written, it refills by the larger one, by which it may
 * have been forgotten as full. A clock that went back refills nothing.
 */
export function missingNow(level: Level | undefined, limit: number, now: number): number {
  if (level === undefined) return 0
  const rate = Math.max(limit, level.limit)
  const ms = Math.max(0, now - level.at)
  return ms >= Math.ceil(level.missing / rate) ? 0 : level.missing - ms * rate
}

/** Whole pieces that are left. */
export const leftOf = ({ limit, unit }: BucketSize, missing: number): number =>
  Math.max(0, Math.floor((limit * unit - missing) / unit))

/** Seconds until the bucket is full, rounded up. */
export const resetOf = ({ limit }: BucketSize, missing: number): number => Math.ceil(Math.ceil(missing / limit) / 1000)

/** Seconds until `cost` can be taken, rounded up; 0: now. */
export function waitOf({ limit, unit }: BucketSize, missing: number, cost: number): number {
  if (cost > limit) return Infinity
  const excess = missing + cost * unit - limit * unit
  return excess <= 0 ? 0 : Math.ceil(Math.ceil(excess / limit) / 1000)
}

/** State of a bucket before anything is taken. */
export interface Found {
  readonly size: BucketSize
  /** Units, refilled to now. */
  readonly missing: number
}

/**
 * The answer to a call, given the buckets. Of several short ones, the one with the longest wait is named, so that one
 * wait suffices.
 * @param held for each of the slots: how many are held by other leases
 */
export function answerOf(
  buckets: readonly Bucket[],
  found: readonly Found[],
  places: readonly Places[],
  held: readonly number[]
): RateAnswer {
  let refused: string | undefined
  let retryAfter = 0
  const refuse = (name: string, wait: number): void => {
    if (wait > retryAfter) [refused, retryAfter] = [name, wait]
  }
  buckets.forEach(({ name, cost }, i) => refuse(name, waitOf(found[i]!.size, found[i]!.missing, cost)))
  places.forEach(({ name, limit }, i) => refuse(name, held[i]! >= limit ? 1 : 0))
  const take = refused === undefined
  const missing = buckets.map(({ cost }, i) => found[i]!.missing + (take ? cost * found[i]!.size.unit : 0))
  return {
    refused,
    retryAfter,
    left: [
      ...missing.map((units, i) => leftOf(found[i]!.size, units)),
      ...places.map(({ limit }, i) => Math.max(0, limit - held[i]! - (take ? 1 : 0)))
    ],
    reset: missing.map((units, i) => resetOf(found[i]!.size, units))
  }
}

/** Preconditions of callers; a breach is our defect, because limits and costs are checked where they are configured. */
export function checkCall(buckets: readonly Bucket[], places: readonly Places[], lease: string | undefined): void {
  invariant(buckets.length <= 64 && places.length <= 64, 'more than 64 buckets or places in one call')
  for (const { cost } of buckets) checkAmount(cost)
  for (const { name, limit } of places) {
    checkName(name)
    invariant(Number.isSafeInteger(limit) && limit >= 1, `the limit of places is ${limit}`)
  }
  invariant(new Set(buckets.map(b => b.name)).size === buckets.length, 'a bucket is named twice')
  invariant(new Set(places.map(p => p.name)).size === places.length, 'a place is named twice')
  if (places.length > 0) {
    invariant(lease !== undefined, 'places are taken without a lease')
    checkName(lease)
  }
}

export function checkAmount(amount: number): void {
  invariant(Number.isSafeInteger(amount) && amount >= 0, `${amount} is taken or given back`)
}

export function checkName(name: string): void {
  invariant(name.length >= 1 && name.length <= MAX_NAME, `a name of ${name.length} characters`)
}
