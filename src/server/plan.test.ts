import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { modelLimits, planOf, worstCase } from './plan.ts'

const limits = { promptTokens: undefined, outputTokens: undefined, context: 100 }
const request = (prompt: object, askedTokens?: number) => ({
  prompt: prompt as { text: string },
  sampling: {},
  askedTokens,
  defaultTokens: 16
})

test(
  'an answer is as long as asked for, else the default, and never longer than the limit; asking for more is ' +
    'refused',
  () => {
    assert.equal(planOf(request({ text: 'x' }, 5), limits).maxTokens, 5)
    assert.equal(planOf(request({ text: 'x' }), limits).maxTokens, 16)
    assert.equal(planOf(request({ text: 'x' }), { ...limits, outputTokens: 4 }).maxTokens, 4)
    assert.equal(planOf(request({ text: 'x' }, 4), { ...limits, outputTokens: 4 }).maxTokens, 4)
    assert.throws(() => planOf(request({ text: 'x' }, 5), { ...limits, outputTokens: 4 }), { code: 'VERIT_REQUEST' })
  }
)

test(
  'tokens are held for no more than the context and the prompt limit allow, and for at least what the prompt ' +
    'should need',
  () => {
    const prompt = fc.oneof(
      fc.string({ maxLength: 90 }).map(text => ({ text })),
      fc.array(fc.nat(9), { maxLength: 90 }).map(tokens => ({ tokens }))
    )
    fc.assert(
      fc.property(
        prompt,
        fc.integer({ min: 91, max: 300 }),
        fc.integer({ min: 0, max: 300 }),
        (p, promptTokens, asked) => {
          const plan = planOf(request(p, asked), { ...limits, promptTokens })
          const longest = Math.min(promptTokens, 100)
          const most = 'text' in p ? Buffer.byteLength(p.text) + 2 : Math.max(1, p.tokens.length)
          assert.equal(plan.promptBounds.at(-1), Math.min(longest, most))
          assert.ok(plan.promptBounds[0]! >= Math.min(longest, Math.max(1, most - 1)))
          for (const bound of plan.promptBounds)
            assert.ok(worstCase(plan, bound) <= 100 && worstCase(plan, bound) >= Math.min(100, bound + asked))
        }
      )
    )
    assert.deepEqual(planOf(request({ tokens: [1, 2, 3] }, 5), limits).promptBounds, [3])
    assert.deepEqual(planOf(request({ messages: [{ role: 'user', content: 'x' }] }, 5), limits).promptBounds, [100])
    assert.deepEqual(
      planOf(request({ messages: [{ role: 'user', content: 'x' }] }, 5), { ...limits, context: 1000 }).promptBounds,
      [289, 1000]
    )
  }
)

test('what the runner says of its model makes the limits smaller, never larger', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5000 }),
      fc.integer({ min: 1, max: 0x7fffffff }),
      fc.option(fc.nat()),
      (operator, claimed, bytes) => {
        const { context } = modelLimits(operator, { context: claimed, ...(bytes !== null && { promptBytes: bytes }) })
        assert.ok(context <= claimed && context <= (operator === 0 ? 1 << 20 : operator))
      }
    )
  )
  const lie = planOf(request({ text: 'x' }, 5000), { ...limits, ...modelLimits(0, { context: 2 }) })
  assert.ok(lie.promptBounds.every(bound => worstCase(lie, bound) <= 2))
})

test('a prompt that cannot fit is refused before anything is held for it', () => {
  const plan = (prompt: object, change = {}): unknown => planOf(request(prompt), { ...limits, ...change })
  const chat = (content: string): object => ({
    messages: [
      { role: 'user', content },
      { role: 'user', content }
    ]
  })
  assert.throws(() => plan({ tokens: Array(100).fill(1) }), {
    code: 'VERIT_PROMPT_LENGTH',
    fields: { tokens: 100, context: 100 }
  })
  assert.throws(() => plan({ tokens: Array(8).fill(1) }, { promptTokens: 7 }), {
    code: 'VERIT_PROMPT_LIMIT',
    fields: { tokens: 8, limit: 7 }
  })
  plan({ text: 'x'.repeat(50) }, { promptBytes: 50 })
  plan(chat('x'.repeat(25)), { promptBytes: 50 })
  for (const prompt of [{ text: 'x'.repeat(51) }, { text: '\u{1f600}'.repeat(13) }, chat('x'.repeat(26))]) {
    assert.throws(() => plan(prompt, { promptBytes: 50 }), {
      code: 'VERIT_PROMPT_LENGTH',
      fields: { tokens: 100, orMore: true, context: 100 }
    })
    assert.throws(() => plan(prompt, { promptBytes: 50, promptTokens: 7 }), { code: 'VERIT_PROMPT_LIMIT' })
  }
  assert.throws(() => plan({ text: 'x'.repeat((1 << 20) + 1) }), { code: 'VERIT_REQUEST' })
  assert.throws(() => plan(chat('x'.repeat((1 << 19) + 1))), { code: 'VERIT_CHAT' })
})
