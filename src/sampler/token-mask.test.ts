/** The token mask on every path of the sampler: the choice is that of logits whose excluded tokens are -∞. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { logprobsOf } from './logprobs.ts'
import { processLogits } from './stages.ts'
import { neededLogits } from './needed-logits.ts'
import type { SamplingOptions } from './parameters.ts'
import { Sampler } from './sampler.ts'
import { allows, applyMask, excludedBy, maskOf } from './token-mask.ts'
import { largestLogits } from './top-logits.ts'

const off: SamplingOptions = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  repetitionWindow: 64,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 1
}

/** Logits, allowed ids and tokens so far of one choice. */
const choice = fc.integer({ min: 1, max: 150 }).chain(vocab =>
  fc.record({
    logits: fc.array(fc.oneof(fc.constantFrom(-2, 0, 0.5, 3), fc.float({ min: -30, max: 30, noNaN: true })), {
      minLength: vocab,
      maxLength: vocab
    }),
    allowed: fc.uniqueArray(fc.nat({ max: vocab - 1 }), { minLength: 1, maxLength: vocab }),
    ids: fc.array(fc.nat({ max: vocab - 1 }), { maxLength: 20 }),
    prompt: fc.nat({ max: 20 })
  })
)

const options = fc.record({
  temperature: fc.constantFrom(0, 0.3, 1, 10),
  topK: fc.constantFrom(0, 1, 3, 40, 500),
  topP: fc.constantFrom(0, 0.5, 0.95, 1),
  minP: fc.constantFrom(0, 0.05, 1),
  repetitionPenalty: fc.constantFrom(0.5, 1, 1.3),
  repetitionWindow: fc.constantFrom(0, 5, 64),
  presencePenalty: fc.constantFrom(-2, 0, 0.7),
  frequencyPenalty: fc.constantFrom(-0.5, 0, 2),
  seed: fc.maxSafeNat()
})

/** The logits with -∞ for excluded tokens. */
const without = (logits: Float32Array, allowed: readonly number[]): Float32Array => {
  const keep = new Set(allowed)
  return logits.map((x, id) => (keep.has(id) ? x : -Infinity))
}

test('a mask has a bit for each token, on both sides of a word', () => {
  for (const vocab of [1, 31, 32, 33, 64, 100]) {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat({ max: vocab - 1 })), allowed => {
        const mask = maskOf(vocab, allowed)
        const keep = new Set(allowed)
        assert.equal(mask.length, Math.ceil(vocab / 32))
        assert.equal(excludedBy(mask, vocab), vocab - keep.size)
        for (let id = 0; id < vocab; id++) assert.equal(allows(mask, id), keep.has(id))
      }),
      { numRuns: 50 }
    )
    assert.equal(
      excludedBy(new Uint32Array(Math.ceil(vocab / 32)).fill(0xffffffff), vocab),
      0,
      'bits beyond the vocabulary do not count'
    )
  }
})

test('masks of another size, masks that allow nothing and ids beyond the vocabulary are bugs of the caller', () => {
  assert.throws(() => applyMask(new Float64Array(33), new Uint32Array(1)), { code: 'VERIT_INTERNAL' })
  assert.throws(() => applyMask(new Float64Array(32), new Uint32Array(2)), { code: 'VERIT_INTERNAL' })
  assert.throws(() => applyMask(new Float64Array(33), new Uint32Array(2)), { code: 'VERIT_INTERNAL' })
  assert.throws(
    () => applyMask(new Float64Array(33), Uint32Array.of(0, 2)),
    { code: 'VERIT_INTERNAL' },
    'only bits beyond the vocabulary'
  )
  for (const id of [-1, 33, 0.5, NaN]) assert.throws(() => maskOf(33, [id]), { code: 'VERIT_INTERNAL' })
})

test(
  'greedy, top-k, top-p, min-p and penalties choose as if excluded tokens had no probability, and leave the ' +
    'logits alone',
  () => {
    fc.assert(
      fc.property(choice, options, ({ logits: values, allowed, ids, prompt }, o) => {
        const logits = Float32Array.from(values)
        const before = logits.slice()
        const promptTokens = Math.min(prompt, ids.length)
        const id = new Sampler(o).choose(logits, ids, promptTokens, maskOf(logits.length, allowed))
        assert.ok(allowed.includes(id))
        assert.equal(id, new Sampler(o).choose(without(logits, allowed), ids, promptTokens))
        assert.deepEqual(logits, before)
      }),
      { numRuns: 3000 }
    )
  }
)

test('a mask that allows all tokens changes no choice', () => {
  fc.assert(
    fc.property(choice, options, ({ logits: values, ids, prompt }, o) => {
      const logits = Float32Array.from(values)
      const promptTokens = Math.min(prompt, ids.length)
      assert.equal(
        new Sampler(o).choose(logits, ids, promptTokens, maskOf(logits.length, logits.keys())),
        new Sampler(o).choose(logits, ids, promptTokens)
      )
    }),
    { numRuns: 1000 }
  )
})

test('the only allowed token is chosen, however improbable; one without probability is an error', () => {
  const logits = Float32Array.of(50, -40, -Infinity)
  const only = (id: number) => (o: Partial<SamplingOptions>) =>
    new Sampler({ ...off, ...o }).choose(logits, [], 0, maskOf(3, [id]))
  for (const o of [{}, { temperature: 0 }, { topK: 2 }, { topP: 0.5, minP: 1 }, { presencePenalty: 2 }]) {
    assert.equal(only(1)(o), 1)
    assert.throws(() => only(2)(o), { code: 'VERIT_LOGITS' })
  }
})

test('log probabilities are over the allowed tokens, and no others are listed', () => {
  fc.assert(
    fc.property(choice, fc.nat({ max: 30 }), fc.nat(), ({ logits: values, allowed }, count, at) => {
      const logits = Float32Array.from(values)
      const before = logits.slice()
      const id = allowed[at % allowed.length]!
      const { logprob, top } = logprobsOf(logits, id, count, maskOf(logits.length, allowed))
      const plain = logprobsOf(without(logits, allowed), id, count)
      assert.equal(logprob, plain.logprob)
      assert.deepEqual(
        top,
        plain.top.filter(t => allowed.includes(t.id))
      )
      assert.equal(top.length, Math.min(count, allowed.length))
      assert.deepEqual(logits, before)
    }),
    { numRuns: 1000 }
  )
})

test('the logits that a masked choice reads are enough for it: all others can be -∞', () => {
  fc.assert(
    fc.property(choice, options, ({ logits: values, allowed, ids, prompt }, o) => {
      const logits = Float32Array.from(values)
      const promptTokens = Math.min(prompt, ids.length)
      const mask = maskOf(logits.length, allowed)
      const needed = neededLogits(o, {
        position: ids.length,
        promptTokens,
        excluded: excludedBy(mask, logits.length),
        logprobs: false
      })
      if (needed === 0) return
      const kept = new Set(largestLogits(logits, needed))
      const screened = logits.map((x, id) => (kept.has(id) ? x : -Infinity))
      assert.equal(
        new Sampler(o).choose(screened, ids, promptTokens, mask),
        new Sampler(o).choose(logits, ids, promptTokens, mask)
      )
    }),
    { numRuns: 2000 }
  )
})

test('the mask comes after the logit processors: a raised score does not bring an excluded token back', () => {
  const scores = Float64Array.of(1, 2, 3)
  processLogits(scores, [2], 0, { ...off, presencePenalty: -2 })
  assert.deepEqual([...scores], [1, 2, 5])
  assert.equal(
    new Sampler({ ...off, temperature: 0, presencePenalty: -2 }).choose(
      Float32Array.of(1, 2, 3),
      [2],
      0,
      maskOf(3, [0, 1])
    ),
    1
  )
})
