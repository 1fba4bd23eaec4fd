/** Tokens reserved ahead: on the real store, with two gateways, against a plain count of what was granted. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { openStore } from './open-store.ts'
import type { Reservation, Store } from './store.ts'

const dir = mkdtempSync(join(tmpdir(), 'verit-leased-'))
after(() => rmSync(dir, { recursive: true }))
const AT = new Date(Date.UTC(2026, 10, 22, 12))
const open = (): Promise<Store> => openStore({ stateFolder: join(dir, 'state') })
const LIMIT = 20_000
const limits = { tokensPerDay: LIMIT, tokensPerMonth: 1_000_000 }

test(
  'whatever is reserved and settled, by two gateways and in any order, no budget is overshot, and what is used ' +
    'is counted to the token',
  async () => {
    const stores = [await open(), await open()]
    let n = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 0, max: 3000 }), fc.nat(3000), fc.boolean()), { maxLength: 40 }),
        async steps => {
          const key = `key_${String(n++).padStart(12, '0')}`
          let granted = 0
          let used = 0
          const held: { at: number; reservation: Reservation; used: number }[] = []
          for (const [at, tokens, spent, parallel] of steps) {
            // as it happens five times a second: the other keeps no more than a hundredth
            await stores[1 - at]!.budgets.usage(key, AT)
            const asked = await Promise.all(
              Array.from({ length: parallel ? 3 : 1 }, () => stores[at]!.budgets.reserve(key, tokens, limits, AT))
            )
            for (const answer of asked) {
              if (answer.ok) {
                granted += tokens
                held.push({ at, reservation: answer.reservation, used: Math.min(spent, tokens) })
              } else
                // 1 % may lie ahead at the other
                assert.ok(granted + tokens > LIMIT * 0.98, `${tokens} refused at ${granted}, with ${answer.left} left`)
            }
            assert.ok(granted <= LIMIT)
            if (held.length > 3) {
              const { at: by, reservation, used: really } = held.shift()!
              await stores[by]!.budgets.settle(reservation, really)
              await stores[by]!.budgets.settle(reservation, really)
              granted -= reservation.tokens - really
              used += really
            }
          }
          for (const { at, reservation, used: really } of held) {
            await stores[at]!.budgets.settle(reservation, really)
            used += really
          }
          for (const store of stores) await store.budgets.usage(key, AT)
          assert.deepEqual((await stores[0]!.budgets.usage(key, AT)).day, { used, reserved: 0 })
        }
      ),
      { numRuns: 60 }
    )
    for (const store of stores) await store.close()
  }
)

test('one gateway spends its budget to the last token; an unused lease returns after a rest or a close', async () => {
  const [a, b] = [await open(), await open()]
  const reserve = (store: Store, tokens: number) => store.budgets.reserve('key_aaaaaaaaaaaa', tokens, limits, AT)
  const first = await reserve(a, 100)
  assert.ok(first.ok)
  const last = await reserve(a, LIMIT - 100)
  assert.ok(last.ok)
  const over = await reserve(a, 1)
  assert.deepEqual([over.ok, !over.ok && over.left], [false, 0])
  await a.budgets.settle(last.reservation, 0)
  await a.budgets.settle(first.reservation, 50)
  const deadline = performance.now() + 5000
  let other = await reserve(b, LIMIT - 50)
  while (!other.ok && performance.now() < deadline) {
    await new Promise(resolve => setTimeout(resolve, 20))
    other = await reserve(b, LIMIT - 50)
  }
  assert.ok(other.ok)
  await a.close()
  await b.close()
})

test('what a killed gateway held ahead stays counted, and is at most a hundredth', async () => {
  const a = await open()
  const answer = await a.budgets.reserve('key_bbbbbbbbbbbb', 10, limits, AT)
  assert.ok(answer.ok)
  const b = await open() // as if `a` were gone: nobody gives anything back
  const { day } = await b.budgets.usage('key_bbbbbbbbbbbb', AT)
  assert.ok(day.used === 0 && day.reserved >= 10 && day.reserved <= 10 + LIMIT / 100, JSON.stringify(day))
  await b.close()
  await a.close()
})

test('a budget that is changed gives nothing out under the old one', async () => {
  const a = await open()
  const reserve = (tokens: number, tokensPerDay: number) =>
    a.budgets.reserve('key_cccccccccccc', tokens, { tokensPerDay }, AT)
  const one = await reserve(1000, 100_000)
  assert.ok(one.ok)
  const two = await reserve(1, 1000)
  assert.deepEqual([two.ok, !two.ok && two.left], [false, 0])
  await a.close()
})
