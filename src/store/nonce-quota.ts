/**
 * A bound on what one credential may make the store remember. The rows of a credential are counted now and then, not at each request, so the bound
 * holds within a hundredth of it for each gateway.
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
  /** ms since 1970 until which all are refused. */
  fullUntil: number
}

export class NonceQuota {
  #database: Database
  #estimates = new Map<string, Estimate>()
  #most: number

  constructor(database: Database, most = NONCES_PER_CREDENTIAL) {
    this.#database = database
    this.#most = most
  }

  /** @throws VeritError VERIT_NONCES when the credential has too many that have not expired */
  async take(credentialId: string): Promise<void> {
    const estimate = this.#estimates.get(credentialId) ?? await this.#count(credentialId)
    if (estimate.fullUntil > Date.now()) throw new VeritError('VERIT_NONCES', { limit: this.#most })
    if (--estimate.left < 0) {
      this.#estimates.delete(credentialId)
      await this.take(credentialId)
    }
  }

  async #count(credentialId: string): Promise<Estimate> {
    const now = Date.now()
    const { n } = await this.#database.run(db => db.selectFrom('verit_nonce').select(eb => eb.fn.countAll<number>().as('n'))
      .where('credential_id', '=', credentialId).where('expires', '>=', now).executeTakeFirstOrThrow())
    const room = this.#most - n
    const estimate = { left: Math.min(room, STEP), fullUntil: room > 0 ? 0 : now + AGAIN_MS }
    if (this.#estimates.size >= REMEMBERED) this.#estimates.clear()
    this.#estimates.set(credentialId, estimate)
    return estimate
  }
}
