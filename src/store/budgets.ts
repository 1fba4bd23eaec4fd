/**
 * The arithmetic of budgets, apart from any database: given the counters that a transaction holds locked, what each
 * reservation and each end of one does to them. For every key and window, used + reserved never exceeds the limit given
 * with the reservation that was granted last.
 */
import { invariant } from '../lib/errors.ts'
import type { BudgetAnswer, BudgetLimits, BudgetUsage, BudgetWindow, Reservation } from './store.ts'

/** The UTC day and month of a moment: 2026-11-22 and 2026-11. */
export function periodsOf(at: Date): { day: string; month: string } {
  const text = at.toISOString()
  return { day: text.slice(0, 10), month: text.slice(0, 7) }
}

export interface Counter {
  used: number
  reserved: number
}

export type BudgetOp =
  | { readonly type: 'reserve'; readonly reservation: Reservation; readonly limits: BudgetLimits }
  | { readonly type: 'settle'; readonly reservation: Reservation; readonly used: number }
  | { readonly type: 'count'; readonly reservation: Reservation }

/** Reads a counter, which begins at nothing. */
export type CounterOf = (keyId: string, period: string) => Counter

/** Does one thing to the counters of its day and month; gives the answer to a reservation. */
export function apply(op: BudgetOp, counterOf: CounterOf): BudgetAnswer | undefined {
  const { reservation } = op
  const day = counterOf(reservation.keyId, reservation.day)
  const month = counterOf(reservation.keyId, reservation.month)
  if (op.type === 'reserve') return reserve(reservation, op.limits, day, month)
  for (const counter of [day, month]) {
    if (op.type === 'settle') {
      // at most the reservation, though only a restored database could have less
      counter.reserved -= Math.min(reservation.tokens, counter.reserved)
      counter.used += Math.min(op.used, reservation.tokens)
    } else counter.used += reservation.tokens
  }
  return undefined
}

function reserve(reservation: Reservation, limits: BudgetLimits, day: Counter, month: Counter): BudgetAnswer {
  const left = (counter: Counter, limit: number | undefined): number =>
    (limit ?? Infinity) - counter.used - counter.reserved
  const usage = (): BudgetUsage => ({ day: copy(day), month: copy(month) })
  const lefts = [
    ['day', left(day, limits.tokensPerDay)],
    ['month', left(month, limits.tokensPerMonth)]
  ] as const
  for (const [window, rest] of lefts) {
    if (reservation.tokens > rest) return { ok: false, window, left: Math.max(0, rest), usage: usage() }
  }
  day.reserved += reservation.tokens
  month.reserved += reservation.tokens
  invariant(
    Number.isSafeInteger(day.used + day.reserved) && Number.isSafeInteger(month.used + month.reserved),
    'a budget counter is too large'
  )
  return { ok: true, reservation, usage: usage() }
}

function copy({ used, reserved }: Counter): BudgetWindow {
  return { used, reserved }
}
