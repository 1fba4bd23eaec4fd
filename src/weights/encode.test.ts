import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { f16Value } from '../lib/half.ts'
import type { WeightTypeName } from './registry.ts'
import { decodeWeights, encodeWeights } from './tensor.ts'

const decoded = (type: WeightTypeName, bytes: Uint8Array, weights: number): Float32Array =>
  decodeWeights(type, bytes, new Float32Array(weights), 'w')
const refused =
  (problem: RegExp) =>
  (e: unknown): boolean =>
    VeritError.is(e, 'VERIT_TENSOR') && problem.test(e.fields.problem)
const magnitude = (w: Float32Array): number => w.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

test('values that a type cannot hold are refused, with the place', () => {
  for (const type of ['Q8_0', 'Q6_K'] as const) {
    const weights = new Float32Array(256)
    const cases = [
      [NaN, /weight 40 is NaN/],
      [-Infinity, /weight 40 is -Infinity/],
      [3e38, /too large for/]
    ] as const
    for (const [bad, problem] of cases) {
      weights[40] = bad
      assert.throws(() => encodeWeights(type, weights, 'w'), refused(problem))
    }
  }
  assert.throws(() => encodeWeights('F16', Float32Array.of(1, 65_520), 'w'), refused(/weight 1 is Infinity/))
  assert.throws(() => encodeWeights('F32', Float32Array.of(NaN), 'w'), refused(/weight 0 is NaN/))
})

test('floats are written as they are, or rounded to the nearest half', () => {
  assert.deepEqual([...decoded('F32', encodeWeights('F32', Float32Array.of(0.1, -0), 'w'), 2)], [Math.fround(0.1), -0])
  assert.deepEqual([...decoded('F16', encodeWeights('F16', Float32Array.of(2049, -0), 'w'), 2)], [2048, -0])
})

const block256 = fc
  .tuple(
    fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 256, maxLength: 256 }),
    fc.integer({ min: -40, max: 20 }),
    fc.array(fc.integer({ min: -12, max: 0 }), { minLength: 16, maxLength: 16 })
  )
  .map(([values, power, groups]) => Float32Array.from(values, (v, i) => v * 2 ** (power + groups[i >> 4]!)))

test('Q8_0 keeps weights within half a scale, the smallest scale that holds the largest weight', () => {
  fc.assert(
    fc.property(block256, weights => {
      const bytes = encodeWeights('Q8_0', weights, 'w')
      const read = decoded('Q8_0', bytes, 256)
      for (let b = 0; b < 8; b++) {
        const d = f16Value(bytes[b * 34]! | (bytes[b * 34 + 1]! << 8))
        const most = magnitude(weights.subarray(b * 32, b * 32 + 32))
        const exact = most / 127
        assert.ok(127 * d >= most * (1 - 1e-12), `${d} for ${most}`)
        assert.ok(d <= Math.max(exact * (1 + 2 ** -10), exact + 2 ** -24), `${d} for ${most}`)
        for (let i = b * 32; i < b * 32 + 32; i++) {
          assert.ok(Math.abs(read[i]! - weights[i]!) <= (d / 2) * (1 + 1e-6), `${read[i]} for ${weights[i]}`)
        }
      }
      assert.deepEqual(encodeWeights('Q8_0', weights, 'w'), bytes)
    })
  )
})

test('Q6_K keeps weights within a sixteenth of the largest weight', () => {
  fc.assert(
    fc.property(block256, weights => {
      const bytes = encodeWeights('Q6_K', weights, 'w')
      const read = decoded('Q6_K', bytes, 256)
      const bound = Math.max(magnitude(weights) / 16, 2 ** -19)
      weights.forEach((w, i) => assert.ok(Math.abs(read[i]! - w) <= bound, `${read[i]} for ${w}, ${i}`))
      assert.deepEqual(encodeWeights('Q6_K', weights, 'w'), bytes)
    })
  )
})

test('normal weights lose 0.7 % in Q8_0 and 2 % in Q6_K at most, and zeros none', () => {
  const normal = (i: number): number => {
    const radius = Math.sqrt(-2 * Math.log((((i * 7919) % 32_749) + 1) / 32_750))
    return radius * Math.cos(2 * Math.PI * (((i * 104_729) % 32_719) / 32_719)) * 0.02
  }
  const weights = Float32Array.from({ length: 1 << 15 }, (_, i) => normal(i))
  const energy = weights.reduce((sum, w) => sum + w * w, 0)
  for (const [type, limit] of [
    ['Q8_0', 0.007],
    ['Q6_K', 0.02]
  ] as const) {
    const read = decoded(type, encodeWeights(type, weights, 'w'), weights.length)
    const lost = Math.sqrt(read.reduce((sum, r, i) => sum + (r - weights[i]!) ** 2, 0) / energy)
    assert.ok(lost < limit, `${type}: ${lost}`)
    assert.ok(decoded(type, encodeWeights(type, new Float32Array(256), 'w'), 256).every(w => w === 0))
  }
})
