/**
 * Which connections are kept when more come than there are places. A connection is free to open, so a limit that refuses the newest lets whoever comes
 * first lock out everybody else. Here the newest gets a place and the oldest one that has not proved a key loses its own.
 *
 * A connection is proven when a request on it was authenticated. Neither side can take everything: proven and unproven connections may each always have
 * a quarter of the places. The same holds within each group of addresses (address-group.ts).
 */
import type { AddressGroup } from './address-group.ts'

/** A connection without a proven key ends after so many requests, or so long after it was opened, at the end of the answer under way. */
const UNPROVEN_REQUESTS = 100
const UNPROVEN_MS = 60_000
/** A new connection needs a moment to send its first request; where few are unproven, they are left this long before idle proven ones. */
const TIME_TO_PROVE_MS = 1000

export interface PlaceLimits {
  /** Connections of all clients together. */
  readonly connections: number
  /** Connections of one address; wider groups may have their factor times as many. */
  readonly perAddress: number
}

/** One connection. */
export class Place {
  readonly pools: readonly Pool[]
  readonly since: number
  /** Ends the connection. */
  readonly end: () => void
  proven = false
  left = false
  /** Requests that have come, those being worked on, and answers on their way: the last includes what the client has not yet taken. */
  requests = 0
  working = 0
  answering = 0

  constructor(pools: readonly Pool[], since: number, end: () => void) {
    this.pools = pools
    this.since = since
    this.end = end
  }

  /** Whether it may be ended to make room: never while an answer to a proven key, or the first answer of a new connection, is under way. */
  get idle(): boolean {
    return this.proven ? this.answering === 0 : this.working === 0 || this.requests > this.working
  }
}

/** The places of all connections, or of a group of addresses. */
class Pool {
  readonly name: string
  readonly #limit: number
  /** In order of arrival. */
  readonly #unproven = new Set<Place>()
  /** The least recently used first. */
  readonly #proven = new Set<Place>()

  constructor(name: string, limit: number) {
    this.name = name
    this.#limit = limit
  }

  get size(): number {
    return this.#unproven.size + this.#proven.size
  }

  /** Connections that have proved a key. */
  get proven(): number {
    return this.#proven.size
  }

  get full(): boolean {
    return this.size >= this.#limit || this.#unproven.size >= this.#limit - this.#quarter
  }

  get #quarter(): number {
    return Math.floor(this.#limit / 4)
  }

  /** The connection to end so that one more has room. Undefined: all are being answered. */
  oldest(now: number): Place | undefined {
    const unproven = firstIdle(this.#unproven)
    if (this.#unproven.size >= this.#limit - this.#quarter) return unproven
    const crowd = this.#unproven.size > this.#quarter
    if (unproven !== undefined && (crowd || now - unproven.since >= TIME_TO_PROVE_MS)) return unproven
    return (this.#proven.size > this.#quarter ? firstIdle(this.#proven) : undefined) ?? unproven
  }

  /** Adds a connection, or makes a proven one the most recently used. */
  put(place: Place): void {
    this.remove(place)
    ;(place.proven ? this.#proven : this.#unproven).add(place)
  }

  remove(place: Place): void {
    if (!this.#unproven.delete(place)) this.#proven.delete(place)
  }
}

function firstIdle(places: ReadonlySet<Place>): Place | undefined {
  for (const place of places) if (place.idle) return place
  return undefined
}

export class ConnectionPlaces {
  readonly #limits: PlaceLimits
  readonly #now: () => number
  readonly #all: Pool
  readonly #groups = new Map<string, Pool>()
  /** Connections that were ended to make room for others, since the start. */
  ended = 0

  /** @param now a clock that never goes back, in ms */
  constructor(limits: PlaceLimits, now: () => number = () => performance.now()) {
    this.#limits = limits
    this.#now = now
    this.#all = new Pool('', limits.connections)
  }

  get open(): number {
    return this.#all.size
  }

  get proven(): number {
    return this.#all.proven
  }

  /** Groups of addresses that are counted: bounded by the number of connections. */
  get groups(): number {
    return this.#groups.size
  }

  /**
   * Takes a place for a connection, ending others if need be. Undefined: there is none, for everything is in use.
   * @param groups the groups it is counted in, narrowest first; none for a trusted proxy, which speaks for many
   */
  enter(groups: readonly AddressGroup[], end: () => void): Place | undefined {
    const pools = [...groups.map(group => this.#pool(group)), this.#all]
    for (const pool of pools) {
      if (!pool.full) continue
      const oldest = pool.oldest(this.#now())
      if (oldest === undefined) {
        this.#forgetEmpty(pools)
        return undefined
      }
      this.ended++
      this.leave(oldest)
      oldest.end()
    }
    const place = new Place(pools, this.#now(), end)
    for (const pool of pools) {
      if (pool !== this.#all) this.#groups.set(pool.name, pool)
      pool.put(place)
    }
    return place
  }

  /** Gives a place back; doing so again changes nothing. */
  leave(place: Place): void {
    if (place.left) return
    place.left = true
    for (const pool of place.pools) pool.remove(place)
    this.#forgetEmpty(place.pools)
  }

  /** A request has come. True: this connection has had its share without a key, and its answer should be the last. */
  began(place: Place): boolean {
    place.requests++
    place.working++
    place.answering++
    return !place.proven && (place.requests >= UNPROVEN_REQUESTS || this.#now() - place.since >= UNPROVEN_MS)
  }

  /** The program has written the whole answer. */
  worked(place: Place): void {
    place.working--
  }

  /** The client has the answer, or the connection has ended. */
  answered(place: Place): void {
    place.answering--
  }

  /** A request on this connection was authenticated. */
  proved(place: Place): void {
    if (place.left) return
    place.proven = true
    for (const pool of place.pools) pool.put(place)
  }

  #pool({ name, factor }: AddressGroup): Pool {
    return this.#groups.get(name) ?? new Pool(name, this.#limits.perAddress * factor)
  }

  #forgetEmpty(pools: readonly Pool[]): void {
    for (const pool of pools) if (pool.size === 0) this.#groups.delete(pool.name)
  }
}
