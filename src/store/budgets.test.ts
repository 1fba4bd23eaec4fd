import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { apply, periodsOf } from './budgets.ts'
import type { Counter } from './budgets.ts'
import type { Reservation } from './store.ts'

test('days and months are UTC', () => {
  assert.deepEqual(periodsOf(new Date('2026-12-31T23:59:59.999-05:00')), { day: '2027-01-01', month: '2027-01' })
})

test(
  'for any order of reservations and ends, used and reserved never exceed the limit of what was granted last, ' +
    'and end at what was used',
  () => {
    const op = fc.record({
      day: fc.integer({ min: 1, max: 3 }),
      tokens: fc.nat(50),
      used: fc.nat(80),
      end: fc.nat(5),
      perDay: fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined }),
      perMonth: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined })
    })
    fc.assert(
      fc.property(fc.array(op, { maxLength: 60 }), ops => {
        const counters = new Map<string, Counter>()
        const counterOf = (keyId: string, period: string): Counter => {
          const id = `${keyId} ${period}`
          if (!counters.has(id)) counters.set(id, { used: 0, reserved: 0 })
          return counters.get(id)!
        }
        const open: Reservation[] = []
        let settled = 0
        for (const { day, tokens, used, end, perDay, perMonth } of ops) {
          if (end === 0 && open.length > 0) {
            const reservation = open.splice(used % open.length, 1)[0]!
            apply({ type: 'settle', reservation, used }, counterOf)
            settled += Math.min(used, reservation.tokens)
            continue
          }
          const reservation = { keyId: 'k', tokens, day: `2026-11-0${day}`, month: '2026-11' }
          const answer = apply(
            { type: 'reserve', reservation, limits: { tokensPerDay: perDay, tokensPerMonth: perMonth } },
            counterOf
          )!
          for (const [window, limit] of [
            ['day', perDay ?? Infinity],
            ['month', perMonth ?? Infinity]
          ] as const) {
            const sum = answer.usage[window].used + answer.usage[window].reserved
            if (answer.ok) assert.ok(sum <= limit)
            else if (answer.window === window)
              assert.ok(sum + tokens > limit && answer.left === Math.max(0, limit - sum))
          }
          if (answer.ok) open.push(reservation)
        }
        const { used, reserved } = counterOf('k', '2026-11')
        assert.deepEqual([used, reserved], [settled, open.reduce((n, r) => n + r.tokens, 0)])
        for (const counter of counters.values()) assert.ok(counter.used >= 0 && counter.reserved >= 0)
      })
    )
  }
)
