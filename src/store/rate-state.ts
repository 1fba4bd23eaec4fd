/** Rates and concurrent streams, counted in memory for one gateway, and in Valkey or Redis for several. */

/** A bucket that holds `limit` and refills evenly within `seconds`; `cost` is taken from it, or nothing. */
export interface Bucket {
  /** Unique name, for example `key:key_0123456789ab:requests`. */
  readonly name: string
  readonly limit: number
  readonly seconds: number
  readonly cost: number
}

/** A number of places; one is held until the lease is released, or its gateway has been gone for a while. */
export interface Places {
  readonly name: string
  readonly limit: number
}

export interface RateAnswer {
  /** Undefined: taken. Else the name of the bucket or places that had too little; nothing was taken from any. */
  readonly refused: string | undefined
  /**
   * Seconds until the refused cost could be taken, rounded up, at least 1; for slots 1. Infinity if the cost exceeds
   * the limit.
   */
  readonly retryAfter: number
  /** For each bucket, then each slot, in order: the remainder after this call, an integer. */
  readonly left: readonly number[]
  /** For each bucket: seconds until it is full again, rounded up. */
  readonly reset: readonly number[]
}

/** Rejects with VERIT_RATE_STATE when the state cannot be reached: never take that for an answer. */
export interface RateState {
  /** Takes all or nothing. @param lease a unique id under which places are held; needed where there are places */
  take(buckets: readonly Bucket[], places?: readonly Places[], lease?: string): Promise<RateAnswer>
  /** Refunds reserved tokens that were not used; never above the limit. */
  giveBack(bucket: Omit<Bucket, 'cost'>, amount: number): Promise<void>
  release(lease: string, places: readonly Places[]): Promise<void>
  close(): Promise<void>
}
