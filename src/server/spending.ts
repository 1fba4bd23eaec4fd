/**
 * The maximum cost of a generation, reserved before any work and settled after it: tokens of the minute, slots, and the
 * budgets of day and month. Because the maximum is reserved, a budget cannot be overshot; the rest is refunded.
 */
import type { FastifyReply } from 'fastify'
import { VeritError } from '../lib/errors.ts'
import type { KeyRecord } from '../store/key-store.ts'
import type { Reservation } from '../store/store.ts'
import { ask } from './authenticate.ts'
import type { GatewayContext } from './context.ts'
import { limitsOf, takeTokens, tellBudget } from './rates.ts'
import type { Held } from './rates.ts'

const DAY_SECONDS = 86_400

export class Spending {
  #context: GatewayContext
  #keyId: string
  #held: Held
  #reservation: Reservation | undefined
  #settled: Promise<void> | undefined

  private constructor(context: GatewayContext, keyId: string, held: Held, reservation: Reservation | undefined) {
    this.#context = context
    this.#keyId = keyId
    this.#held = held
    this.#reservation = reservation
  }

  /**
   * Holds `tokens` of everything that limits them.
   * @param lease unique name of the request
   * @throws VeritError VERIT_RATE_LIMIT, VERIT_TOO_MANY, VERIT_BUDGET, VERIT_UNAVAILABLE; nothing is held then
   */
  static async hold(
    context: GatewayContext,
    key: KeyRecord,
    remote: string,
    tokens: number,
    lease: string,
    reply: FastifyReply
  ): Promise<Spending> {
    const { tokensPerDay, tokensPerMonth } = limitsOf(key, context.config)
    const held = await takeTokens(context, key, remote, tokens, lease, reply)
    if (tokensPerDay === undefined && tokensPerMonth === undefined)
      return new Spending(context, key.id, held, undefined)
    try {
      const now = context.store.clock.now()
      const answer = await ask(() =>
        context.store.budgets.reserve(key.id, tokens, { tokensPerDay, tokensPerMonth }, now)
      )
      const left = (limit: number, w: { used: number; reserved: number }): number =>
        Math.max(0, limit - w.used - w.reserved)
      const ends = windowEnds(now)
      if (tokensPerDay !== undefined)
        tellBudget(reply, 'day', tokensPerDay, left(tokensPerDay, answer.usage.day), DAY_SECONDS, ends.day)
      if (tokensPerMonth !== undefined)
        tellBudget(
          reply,
          'month',
          tokensPerMonth,
          left(tokensPerMonth, answer.usage.month),
          ends.monthLength,
          ends.month
        )
      if (!answer.ok) {
        const budget = answer.window === 'day' ? tokensPerDay : tokensPerMonth
        const retryAfter = tokens > (budget ?? 0) ? Infinity : ends[answer.window]
        throw new VeritError('VERIT_BUDGET', { window: answer.window, asked: tokens, left: answer.left, retryAfter })
      }
      return new Spending(context, key.id, held, answer.reservation)
    } catch (e) {
      await held.release(0)
      throw e
    }
  }

  /**
   * Settles the used tokens once; later calls wait for the first. A failure is logged: the reservation then stays
   * counted.
   */
  settle(used: number): Promise<void> {
    this.#settled ??= this.#settle(used).catch((e: unknown) => {
      this.#context.log.error(
        { key: this.#keyId, cause: e instanceof Error ? e.message : String(e) },
        'tokens that were not used could not be given back'
      )
    })
    return this.#settled
  }

  async #settle(used: number): Promise<void> {
    const { budgets, clock } = this.#context.store
    const counted =
      this.#reservation === undefined
        ? budgets.count(this.#keyId, used, clock.now())
        : budgets.settle(this.#reservation, used)
    const [stored, released] = await Promise.allSettled([counted, this.#held.release(used)])
    if (stored.status === 'rejected') throw stored.reason
    if (released.status === 'rejected') throw released.reason
  }
}

/** Seconds until the UTC day and month end, and the length of the month. */
function windowEnds(now: Date): { day: number; month: number; monthLength: number } {
  const [y, m, d] = [now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate()]
  const seconds = (until: number): number => Math.max(1, Math.ceil((until - now.getTime()) / 1000))
  return {
    day: seconds(Date.UTC(y, m, d + 1)),
    month: seconds(Date.UTC(y, m + 1, 1)),
    monthLength: (Date.UTC(y, m + 1, 1) - Date.UTC(y, m, 1)) / 1000
  }
}
