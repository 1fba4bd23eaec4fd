import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planOf, worstCase } from './plan.ts'

const limits = { promptTokens: undefined, outputTokens: undefined, context: 100 }
const request = (prompt: object, askedTokens?: number) => ({ prompt: prompt as { text: string }, sampling: {}, askedTokens, defaultTokens: 16 })

test('an answer is as long as asked for, else the default, and never longer than the limit; asking for more is refused', () => {
  assert.equal(planOf(request({ text: 'x' }, 5), limits).maxTokens, 5)
  assert.equal(planOf(request({ text: 'x' }), limits).maxTokens, 16)
  assert.equal(planOf(request({ text: 'x' }), { ...limits, outputTokens: 4 }).maxTokens, 4)
  assert.equal(planOf(request({ text: 'x' }, 4), { ...limits, outputTokens: 4 }).maxTokens, 4)
  assert.throws(() => planOf(request({ text: 'x' }, 5), { ...limits, outputTokens: 4 }), { code: 'VERIT_REQUEST' })
})

test('tokens are held for no more than the context and the prompt limit allow, and for at least what the prompt should need', () => {
  fc.assert(fc.property(fc.string({ maxLength: 200 }), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 300 }), (text, promptTokens, asked) => {
    const plan = planOf(request({ text }, asked), { ...limits, promptTokens })
    const longest = Math.min(promptTokens, 100)
    assert.equal(plan.promptBounds.at(-1), longest)
    assert.ok(plan.promptBounds[0]! >= Math.min(longest, Math.max(1, Buffer.byteLength(text))))
    for (const bound of plan.promptBounds) assert.ok(worstCase(plan, bound) <= 100 && worstCase(plan, bound) >= Math.min(100, bound + asked))
  }))
  assert.deepEqual(planOf(request({ tokens: [1, 2, 3] }, 5), limits).promptBounds, [3, 100])
  assert.deepEqual(planOf(request({ messages: [{ role: 'user', content: 'x' }] }, 5), limits).promptBounds, [100])
})
