/**
 * Which connections are kept when there are more than slots. Opening a connection is free, so a limit that refuses the
 * newest would let the first comer lock out everybody else. Here the newest gets a slot, and the oldest unauthenticated
 * one is closed.
 *
 * A connection is authenticated once a request on it was. Neither side can take everything: authenticated and
 * unauthenticated connections may each always have a quarter of the slots. The same holds within each group of
 * addresses (address-group.ts). A new connection does not count for a moment, so that its first request can arrive;
 * otherwise the fastest would evict all others before they have sent anything.
 */
import type { AddressGroup } from './address-group.ts'

/** An unauthenticated connection ends after this many requests, or this time, at the end of its current answer. */
const UNPROVEN_REQUESTS = 100
const UNPROVEN_MS = 60_000
/** If few connections are unauthenticated, idle authenticated ones that are older than this are closed first. */
const TIME_TO_PROVE_MS = 1000
/** How long the body of a request may arrive before its connection may be ended to make room, a proven one, too. */
const BODY_MS = 1000
/** How long a connection is new. */
const NEW_MS = 100
/**
 * Maximum of new connections: this many times the slots of their group, and this many in all. Beyond it, the oldest is
 * no longer new.
 */
const NEW_FACTOR = 4
const MOST_NEW = 512

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
  isNew = true
  proven = false
  left = false
  /**
   * Received requests, requests being worked on, and answers being sent: the last includes bytes that the client has
   * not read.
   */
  requests = 0
  working = 0
  answering = 0
  /** Since when the body of its only request arrives. */
  readingSince: number | undefined

  constructor(pools: readonly Pool[], since: number, end: () => void) {
    this.pools = pools
    this.since = since
    this.end = end
  }

  /**
   * Whether it may be closed to make room: never during an answer to an authenticated key, or during its first answer.
   * A slow body does not protect it: it costs its sender nothing.
   */
  isIdle(now: number): boolean {
    if (!this.proven) return this.working === 0 || this.requests > this.working
    if (this.answering > 1) return false
    return this.answering === 0 || (this.readingSince !== undefined && now - this.readingSince > BODY_MS)
  }
}

/** The connections of all clients, or of a group of addresses. */
class Pool {
  readonly name: string
  readonly #limit: number
  readonly #mostNew: number
  /** New and unauthenticated ones in order of arrival, authenticated ones least recently used first. */
  readonly #new = new Set<Place>()
  readonly #unproven = new Set<Place>()
  readonly #proven = new Set<Place>()

  constructor(name: string, limit: number) {
    this.name = name
    this.#limit = limit
    this.#mostNew = Math.min(NEW_FACTOR * limit, MOST_NEW)
  }

  get size(): number {
    return this.#new.size + this.#settled
  }

  get proven(): number {
    return this.#proven.size
  }

  /** Whether connections that are no longer new exceed a limit. */
  get over(): boolean {
    return this.#settled > this.#limit || this.#unproven.size > this.#limit - this.#quarter
  }

  /** Whether there are more than the limit and a quarter, which proven connections may not pass either. */
  get crowded(): boolean {
    return this.#settled > this.#limit + this.#quarter
  }

  /** Whether no connection may come before others have gone: even those for which no room could be made are limited. */
  get full(): boolean {
    return this.size >= this.#limit + this.#mostNew
  }

  /** The oldest new connection, if the limit of new ones is reached. */
  get oldestOfMostNew(): Place | undefined {
    return this.#new.size < this.#mostNew ? undefined : first(this.#new)
  }

  /** The oldest new connection. */
  get oldestNew(): Place | undefined {
    return first(this.#new)
  }

  get #settled(): number {
    return this.#unproven.size + this.#proven.size
  }

  get #quarter(): number {
    return Math.floor(this.#limit / 4)
  }

  /** The connection to end so that others have room. Undefined: all are being answered. */
  victim(now: number): Place | undefined {
    const unproven = firstIdle(this.#unproven, now)
    if (this.#unproven.size > this.#limit - this.#quarter) return unproven
    const crowd = this.#unproven.size > this.#quarter
    if (unproven !== undefined && (crowd || now - unproven.since >= TIME_TO_PROVE_MS)) return unproven
    return (this.#proven.size > this.#quarter ? firstIdle(this.#proven, now) : undefined) ?? unproven
  }

  /** Moves a connection to its current group; an authenticated one becomes the most recently used. */
  put(place: Place): void {
    this.remove(place)
    const places = place.proven ? this.#proven : place.isNew ? this.#new : this.#unproven
    places.add(place)
  }

  remove(place: Place): void {
    for (const places of [this.#new, this.#unproven, this.#proven]) if (places.delete(place)) return
  }
}

function first(places: ReadonlySet<Place>): Place | undefined {
  for (const place of places) return place
  return undefined
}

function firstIdle(places: ReadonlySet<Place>, now: number): Place | undefined {
  for (const place of places) if (place.isIdle(now)) return place
  return undefined
}

export class ConnectionPlaces {
  readonly #limits: PlaceLimits
  readonly #now: () => number
  readonly #all: Pool
  readonly #groups = new Map<string, Pool>()
  #timer: NodeJS.Timeout | undefined
  /**
   * Connections that were ended to make room for others, and those for which no room could be made, since the start.
   */
  ended = 0
  refused = 0

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
   * Takes a new connection in. Undefined: it is refused, because everything is in use.
   * @param groups the groups it is counted in, narrowest first; none for a trusted proxy, which speaks for many
   */
  enter(groups: readonly AddressGroup[], end: () => void): Place | undefined {
    const pools = [...groups.map(group => this.#pool(group)), this.#all]
    for (const pool of pools) {
      const oldest = pool.oldestOfMostNew
      if (oldest !== undefined) this.#settle(oldest)
      if (!pool.full) continue
      this.refused++
      this.#forgetEmpty(pools)
      return undefined
    }
    const place = new Place(pools, this.#now(), end)
    for (const pool of pools) {
      if (pool !== this.#all) this.#groups.set(pool.name, pool)
      pool.put(place)
    }
    this.#timer ??= setTimeout(() => this.settle(), NEW_MS).unref()
    return place
  }

  /** Applies the limits to connections that are no longer new. */
  settle(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const before = this.#now() - NEW_MS
    let oldest = this.#all.oldestNew
    while (oldest !== undefined && oldest.since <= before) {
      this.#settle(oldest)
      oldest = this.#all.oldestNew
    }
    if (oldest !== undefined) this.#timer = setTimeout(() => this.settle(), oldest.since - before).unref()
  }

  /** Frees a place; a second call has no effect. */
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

  /** The body of a request begins to arrive, or has arrived. */
  reads(place: Place, arriving: boolean): void {
    place.readingSince = arriving ? this.#now() : undefined
  }

  /** The client has the answer, or the connection has ended. */
  answered(place: Place): void {
    place.answering--
  }

  /** A request on this connection was authenticated. */
  proved(place: Place): void {
    if (place.left) return
    place.proven = true
    this.#settle(place)
  }

  /**
   * Ends connections until the limits hold with this one. Where none can be ended, this one is, unless it is proven and
   * there are few beyond the limit: others must still be able to come and prove a key.
   */
  #settle(place: Place): void {
    place.isNew = false
    for (const pool of place.pools) pool.put(place)
    for (const pool of place.pools) {
      while (pool.over && !place.left) {
        const victim = pool.victim(this.#now())
        if (victim === undefined && place.proven && !pool.crowded) break // room is made when one of the others ends
        if (victim === undefined) this.refused++
        else this.ended++
        this.#end(victim ?? place)
      }
    }
  }

  #end(place: Place): void {
    this.leave(place)
    place.end()
  }

  #pool({ name, factor }: AddressGroup): Pool {
    return this.#groups.get(name) ?? new Pool(name, this.#limits.perAddress * factor)
  }

  #forgetEmpty(pools: readonly Pool[]): void {
    for (const pool of pools) if (pool.size === 0) this.#groups.delete(pool.name)
  }
}
