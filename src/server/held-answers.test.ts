import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VeritError } from '../lib/errors.ts'
import type { TokenEvent } from './answer-writer.ts'
import { HeldAnswers } from './held-answers.ts'

const token = (text: string, top?: TokenEvent['top']): TokenEvent => ({
  type: 'token',
  id: 1,
  token: 1,
  text,
  ...(top !== undefined && { logprob: 0, top })
})

test('when answers are too much together, the largest is ended, once, and what ended makes room', () => {
  const held = new HeldAnswers(1)
  const ended: string[] = []
  const open = (name: string) =>
    held.open(why => {
      assert.ok(VeritError.is(why, 'VERIT_ANSWER_MEMORY') && why.status === 503)
      ended.push(name)
    })
  const small = open('small')
  const large = open('large')
  const other = open('other')
  const grow = (answer: typeof small, kibibytes: number): void => {
    for (let i = 0; i < kibibytes; i++) answer.add(token('x'.repeat(512)))
  }
  grow(small, 300)
  grow(large, 500)
  grow(other, 200)
  assert.deepEqual(ended, [])
  grow(small, 100)
  assert.deepEqual(ended, ['large'])
  grow(large, 5000) // it ends; what still comes is not counted
  grow(other, 100)
  assert.deepEqual(ended, ['large'])
  small[Symbol.dispose]()
  grow(open('next'), 700)
  assert.deepEqual(ended, ['large'])
})

test('alternatives count, though their texts are empty', () => {
  const held = new HeldAnswers(1)
  const ended: number[] = []
  const answer = held.open(() => ended.push(1))
  const top = Array.from({ length: 20 }, () => ({ token: 1, text: '', logprob: 0 }))
  for (let i = 0; i < 1000; i++) answer.add(token('', top))
  assert.deepEqual(ended, [1])
})
