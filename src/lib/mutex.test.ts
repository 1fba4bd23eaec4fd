import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mutex } from './mutex.ts'

test('work runs one at a time, in order, also after a failure', async () => {
  const mutex = new Mutex()
  const order: string[] = []
  const work =
    (name: string, fails = false) =>
    async (): Promise<string> => {
      order.push(`${name} begins`)
      await new Promise(setImmediate)
      order.push(`${name} ends`)
      if (fails) throw new Error(name)
      return name
    }
  const results = await Promise.allSettled([mutex.run(work('a')), mutex.run(work('b', true)), mutex.run(work('c'))])
  assert.deepEqual(
    results.map(r => r.status),
    ['fulfilled', 'rejected', 'fulfilled']
  )
  assert.equal(await mutex.run(work('d')), 'd')
  assert.deepEqual(
    order,
    ['a', 'b', 'c', 'd'].flatMap(n => [`${n} begins`, `${n} ends`])
  )
})
