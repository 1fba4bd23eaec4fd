import assert from 'node:assert/strict'
import { test } from 'node:test'
import { turn } from './turns.ts'

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
