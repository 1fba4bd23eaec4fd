import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import { Admission } from './admission.ts'

const never = new AbortController().signal
const code =
  (expected: string) =>
  (e: unknown): boolean =>
    VeritError.is(e) && e.code === expected

test('places pass on in order of arrival, and the queue has an end', async () => {
  const admission = new Admission({ parallel: 1, queue: 2 })
  const first = await admission.enter('a', never)
  const order: string[] = []
  const waiting = ['b', 'c'].map(async key => {
    using place = await admission.enter(key, never)
    assert.ok(place !== undefined)
    order.push(key)
  })
  await assert.rejects(admission.enter('d', never), code('VERIT_BUSY'))
  first![Symbol.dispose]()
  await Promise.all(waiting)
  assert.deepEqual(order, ['b', 'c'])
  using again = await admission.enter('d', never)
  assert.ok(again !== undefined)
})

test(
  'a place goes to the key that has the fewest running: a key that asks for much does not keep others ' + 'waiting',
  async () => {
    const admission = new Admission({ parallel: 2, queue: 10 })
    const running = [await admission.enter('a', never), await admission.enter('a', never)]
    const order: string[] = []
    const asked = ['a', 'a', 'b', 'a', 'c', 'b'].map(async key => {
      const place = await admission.enter(key, never)
      order.push(key)
      return place!
    })
    for (const place of running) place![Symbol.dispose]()
    for (const at of [2, 4, 0, 5, 1, 3]) (await asked[at]!)[Symbol.dispose]()
    assert.deepEqual(order, ['b', 'a', 'c', 'b', 'a', 'a'])
  }
)

test('who leaves while waiting frees the place in the queue, and nothing is lost', async () => {
  const admission = new Admission({ parallel: 1, queue: 1 })
  const first = await admission.enter('a', never)
  for (let i = 0; i < 3; i++) {
    const leaving = new AbortController()
    const waiting = admission.enter('b', leaving.signal)
    leaving.abort()
    assert.equal(await waiting, undefined)
  }
  assert.equal(await admission.enter('b', AbortSignal.abort()), undefined)
  first![Symbol.dispose]()
  ;(await admission.enter('b', never))![Symbol.dispose]()
})
