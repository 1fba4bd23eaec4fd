import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { expCore, logCore } from '../lib/functions.ts'
import { Philox } from '../lib/philox.ts'
import { largestLogits } from './top-logits.ts'
import { logprobsOf } from './logprobs.ts'
import { Sampler } from './sampler.ts'
import type { SamplingOptions } from './parameters.ts'

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

/** The largest first, equal ones by id. */
const inOrder = (logits: Float32Array | Float64Array): number[] =>
  logits
    .keys()
    .toArray()
    .sort((a, b) => (logits[a] === logits[b] ? a - b : logits[a]! > logits[b]! ? -1 : 1))

/** docs/internals/generation.md written down once more, with sorting and lists. */
function naive(logits: Float32Array, ids: number[], promptTokens: number, o: SamplingOptions): number {
  const scores = [...logits]
  const seen = o.repetitionWindow === 0 ? [] : [...new Set(ids.slice(Math.max(0, ids.length - o.repetitionWindow)))]
  for (const id of seen)
    scores[id] = scores[id]! > 0 ? scores[id]! / o.repetitionPenalty : scores[id]! * o.repetitionPenalty
  const answer = ids.slice(promptTokens)
  for (const id of new Set(answer))
    scores[id]! -= o.frequencyPenalty * answer.filter(a => a === id).length + o.presencePenalty
  const max = Math.max(...scores)
  let kept = scores.map((score, id) => ({ id, score })).sort((a, b) => b.score - a.score || a.id - b.id)
  if (o.temperature === 0) return kept[0]!.id
  if (o.topK > 0) kept = kept.slice(0, o.topK)
  const weigh = (score: number): number =>
    (score - max) / o.temperature < -690 ? 0 : expCore((score - max) / o.temperature)
  const byId = (): typeof kept => kept.toSorted((a, b) => a.id - b.id)
  if (o.topP < 1) {
    const enough = o.topP * byId().reduce((sum, c) => sum + weigh(c.score), 0)
    let sum = 0
    let n = 0
    do sum += weigh(kept[n++]!.score)
    while (sum < enough && n < kept.length)
    kept = kept.slice(0, n)
  }
  kept = byId().filter(c => weigh(c.score) >= o.minP && weigh(c.score) > 0)
  const target = new Philox(o.seed, 3, 0).uniform(ids.length) * kept.reduce((sum, c) => sum + weigh(c.score), 0)
  let sum = 0
  for (const c of kept) if ((sum += weigh(c.score)) > target) return c.id
  return kept.at(-1)!.id
}

/** @param longest list of logits */
function comparesWithNaive(longest: number, runs: number): void {
  // Few distinct values, so that there are ties.
  const logit = fc.oneof(
    fc.constantFrom(-2, 0, 0.5, 3),
    fc.float({ min: -30, max: 30, noNaN: true }),
    fc.constant(-Infinity)
  )
  fc.assert(
    fc.property(
      fc.array(logit, { minLength: 1, maxLength: longest, size: 'max' }).filter(a => a.some(Number.isFinite)),
      fc.array(fc.nat(), { maxLength: 20 }),
      fc.nat({ max: 20 }),
      fc.record({
        temperature: fc.constantFrom(0, 1e-30, 0.3, 0.8, 1, 10),
        topK: fc.oneof(fc.constant(0), fc.nat({ max: longest + 10 })),
        topP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
        minP: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })),
        repetitionPenalty: fc.constantFrom(0.5, 1, 1.3, 10),
        repetitionWindow: fc.nat({ max: 25 }),
        presencePenalty: fc.constantFrom(-2, 0, 0.7),
        frequencyPenalty: fc.constantFrom(-0.5, 0, 2),
        seed: fc.maxSafeNat()
      }),
      (values, history, prompt, options) => {
        const logits = Float32Array.from(values)
        const ids = history.map(id => id % values.length)
        const before = logits.slice()
        assert.equal(
          new Sampler(options).choose(logits, ids, Math.min(prompt, ids.length)),
          naive(logits, ids, Math.min(prompt, ids.length), options)
        )
        assert.deepEqual(logits, before)
      }
    ),
    { numRuns: runs }
  )
}

test('the sampler chooses what a plain implementation of its documentation chooses', () => comparesWithNaive(60, 2000))

test('it does so for longer vocabularies', () => comparesWithNaive(400, 500))

test('a choice depends on the seed and the position, not on the choices before it', () => {
  const logits = new Float32Array(50)
  const sampler = new Sampler({ ...off, seed: 7 })
  const first = Array.from({ length: 20 }, (_, n) => sampler.choose(logits, Array<number>(n).fill(0), 0))
  const again = Array.from({ length: 20 }, (_, n) => sampler.choose(logits, Array<number>(19 - n).fill(0), 0)).reverse()
  assert.deepEqual(again, first)
  assert.ok(new Set(first).size > 5)
  assert.notDeepEqual(
    first,
    Array.from({ length: 20 }, (_, n) => new Sampler({ ...off, seed: 8 }).choose(logits, Array<number>(n).fill(0), 0))
  )
})

test('choices come as often as their probabilities say', () => {
  const logits = Float32Array.of(0, Math.fround(Math.log(2)), Math.fround(Math.log(5)))
  const counts = [0, 0, 0]
  const sampler = new Sampler(off)
  const ids: number[] = []
  for (let n = 0; n < 8000; n++) {
    counts[sampler.choose(logits, ids, 8000)]!++
    ids.push(0)
  }
  for (const [i, expected] of [1000, 2000, 5000].entries())
    assert.ok(Math.abs(counts[i]! - expected) < 150, `${counts}`)
})

test('temperature 0 takes the lowest id of equal logits', () => {
  assert.equal(new Sampler({ ...off, temperature: 0 }).choose(Float32Array.of(1, 4, 4, 4), [], 0), 1)
})

test('logits that are not numbers end the generation with a clear error', () => {
  for (const bad of [Float32Array.of(1, NaN), Float32Array.of(-Infinity, -Infinity), Float32Array.of(Infinity, 0)]) {
    assert.throws(() => new Sampler(off).choose(bad, [], 0), { code: 'VERIT_LOGITS' })
  }
})

test('log probabilities are, to the bit, what the documentation says, and those of the softmax, the best first', () => {
  const logit = fc.oneof(fc.float({ min: -20, max: 20, noNaN: true }), fc.constantFrom(-0, 0, -Infinity, -3e38, 3e38))
  fc.assert(
    fc.property(
      fc.array(logit, { minLength: 1, maxLength: 40 }).filter(a => a.some(Number.isFinite)),
      fc.nat(),
      fc.nat({ max: 50 }),
      (values, at, count) => {
        const logits = Float32Array.from(values)
        const max = Math.max(...logits)
        const id = at % logits.length
        const log = logCore(logits.reduce((sum, x) => sum + (x - max < -690 ? 0 : expCore(x - max)), 0))
        const { logprob, top } = logprobsOf(logits, id, count)
        const of = (i: number): number => Math.max(logits[i]! - max - log, -Number.MAX_VALUE)
        assert.equal(logprob, of(id))
        assert.deepEqual(
          top,
          inOrder(logits)
            .slice(0, count)
            .map(i => ({ id: i, logprob: of(i) }))
        )
        const total = logits.reduce((sum, x) => sum + Math.exp(x - max), 0)
        assert.ok(
          !(Math.abs(logprob - Math.log(Math.exp(logits[id]! - max) / total)) > 1e-9) || logits[id]! - max < -690
        )
      }
    )
  )
})

test('logits without a log probability end the generation with a clear error', () => {
  for (const bad of [Float32Array.of(1, 2, NaN), Float32Array.of(-Infinity, -Infinity), Float32Array.of(0, Infinity)])
    assert.throws(() => logprobsOf(bad, 0, 0), { code: 'VERIT_LOGITS' })
})

test('the largest logits come in descending order, ties by the lower index; a NaN is found anywhere', () => {
  const value = fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(-Infinity, Infinity, -1, -0, 0, 0.5, 3) },
    fc.float({ noNaN: true }),
    fc.constant(NaN)
  )
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 50 }), fc.integer({ min: 1, max: 60 }), (values, count) => {
      for (const logits of [Float32Array.from(values), Float64Array.from(values)]) {
        assert.deepEqual(
          largestLogits(logits, count),
          values.some(Number.isNaN) ? undefined : Int32Array.from(inOrder(logits).slice(0, count))
        )
      }
    }),
    { numRuns: 1000 }
  )
})
