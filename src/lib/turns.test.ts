import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Mutex, turn } from './turns.ts'

test('a round of the event loop has one turn, and turns go round in the order of asking', async () => {
  const order: string[] = []
  let round = 0
  const rounds: number[] = []
  const count = (): void => {
    round++
    if (order.length < 9) setImmediate(count)
  }
  setImmediate(count)
  await Promise.all(
    ['a', 'b', 'c'].map(async name => {
      for (let i = 0; i < 3; i++) {
        await turn()
        order.push(name)
        rounds.push(round)
      }
    })
  )
  assert.equal(order.join(''), 'abcabcabc')
  assert.equal(new Set(rounds).size, 9, 'each turn in a round of its own')
})

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
