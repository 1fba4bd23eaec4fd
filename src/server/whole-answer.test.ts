import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkWholeSize } from './whole-answer.ts'

test('a whole answer has a number of log probabilities at most, counted by what it can have', () => {
  const check = (logprobs: number | undefined, maxTokens: number, context = 1 << 20): void =>
    checkWholeSize(logprobs, { maxTokens, context, promptBounds: [1] })
  const refused = { code: 'VERIT_REQUEST', message: /^max_tokens must be at most 24966 .*\. Ask for a stream/ }
  check(20, 24_966)
  assert.throws(() => check(20, 24_967), refused)
  check(20, 1 << 20, 24_966) // the context ends the answer before
  check(0, 1 << 19)
  assert.throws(() => check(0, (1 << 19) + 1), { code: 'VERIT_REQUEST' })
  check(undefined, 1 << 20)
})
