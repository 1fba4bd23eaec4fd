/**
 * A limit on the nonces of one credential. Rows are counted now and then, not at each request, so the limit holds
 * within 1 % for each gateway.
 */
import { VeritError } from '../lib/errors.ts'
import type { Database } from './tables.ts'

/** Nonces of one credential that have not expired. */
const NONCES_PER_CREDENTIAL = 100_000
const STEP = NONCES_PER_CREDENTIAL / 100
/** A full credential is counted again after this time. */
const AGAIN_MS = 1000
const REMEMBERED = 10_000

interface Estimate {
  /** Uses until the next count. */
  left: number
  /** When the credential was found to be full, ms since 1970; undefined: it was not. */
  fullSince: number | undefined
}

export class NonceQuota {
  #database: Database
  #estimates = new Map<string, Estimate>()
  #now: () => number
  #most: number

  /** @param now ms since 1970, by the time of the store */
  constructor(database: Database, most = NONCES_PER_CREDENTIAL, now: () => number = Date.now) {
    this.#database = database
    this.#now = now
    this.#most = most
  }

  /** @throws VeritError VERIT_NONCES when the credential has too many that have not expired */
  async take(credentialId: string): Promise<void> {
    const estimate = this.#estimates.get(credentialId) ?? (await this.#count(credentialId))
    if (estimate.fullSince !== undefined && this.#now() < estimate.fullSince + AGAIN_MS) {
      throw new VeritError('VERIT_NONCES', { limit: this.#most })
    }
    if (--estimate.left < 0) {
      this.#estimates.delete(credentialId)
      await this.take(credentialId)
    }
  }

  async #count(credentialId: string): Promise<Estimate> {
    const now = this.#now()
    const { n } = await this.#database.run(db =>
      db
        .selectFrom('verit_nonce')
        .select(eb => eb.fn.countAll<number>().as('n'))
        .where('credential_id', '=', credentialId)
        .where('expires', '>=', now)
        .executeTakeFirstOrThrow()
    )
    const room = this.#most - n
    const estimate = { left: Math.min(room, STEP), fullSince: room > 0 ? undefined : now }
    if (this.#estimates.size >= REMEMBERED) this.#estimates.clear()
    this.#estimates.set(credentialId, estimate)
    return estimate
  }
}
