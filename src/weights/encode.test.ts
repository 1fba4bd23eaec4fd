import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { f16Value } from '../lib/half.ts'
import { encodedTypes } from './registry.ts'
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
  for (const type of encodedTypes.filter(name => name.startsWith('Q'))) {
    const weights = new Float32Array(256)
    const cases = [
      [NaN, /weight 40 is NaN/],
      [-Infinity, /weight 40 is -Infinity/],
      [3e38, /too large for|weight 40 is Infinity/]
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

test('Q8_0 keeps weights within half a scale, and a thousandth of it for its rounding', () => {
  fc.assert(
    fc.property(block256, weights => {
      const bytes = encodeWeights('Q8_0', weights, 'w')
      const read = decoded('Q8_0', bytes, 256)
      for (let b = 0; b < 8; b++) {
        const d = f16Value(bytes[b * 34]! | (bytes[b * 34 + 1]! << 8))
        const exact = magnitude(weights.subarray(b * 32, b * 32 + 32)) / 127
        const rounding = Math.max(exact * 2 ** -11, 2 ** -25)
        assert.ok(Math.abs(d - exact) <= rounding * (1 + 1e-6), `${d} for ${exact}`)
        for (let i = b * 32; i < b * 32 + 32; i++) {
          assert.ok(Math.abs(read[i]! - weights[i]!) <= exact / 2 + 128 * rounding, `${read[i]} for ${weights[i]}`)
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

/** Close to normal, with larger weights between: sums of 12 numbers of a congruential generator, exact in binary64. */
function sample(): Float32Array {
  let state = 1
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) / 2 ** 24
  }
  return Float32Array.from({ length: 1 << 16 }, (_, i) => {
    let sum = -6
    for (let k = 0; k < 12; k++) sum += uniform()
    return sum * (i % 97 === 0 ? 0.125 : 0.015625)
  })
}

const weights = sample()

test('the types of 32 weights a block, F16 and BF16 have the bytes of gguf-py', () => {
  const digests = {
    Q4_0: 'aea4df4b31ed2bb9a2c472f93b0b80f340eb63757343d24c0c7c88e96b7ef808',
    Q4_1: '91af3ad4a623bae700e7bbd3b5debaa7aa277fc9e73438264c96847614005372',
    Q5_0: '39ded7e7b3f90c54e53972bfd1ecc09e216c62b61a3d2381bfd205ea0c2dfd8c',
    Q5_1: '9581ef108f736a803f1557c94a366168a8ea9377561c83b5b49aae5cf19249b0',
    Q8_0: '82fc74ce902c173e6d070976928c963b33e33939cdeb00f2102581b0b9ef166b',
    BF16: 'e149261d221ba5e09f92ccafd5f8ab6dabebee6b5dab6ff74ce93dbeb50e78e5',
    F16: '95f94da81708490f85c5dda2cd17382d37fcbcf1be2831c14bb3d25a96dcf61a'
  } as const
  for (const [type, digest] of Object.entries(digests)) {
    const bytes = encodeWeights(type as keyof typeof digests, weights, 'w')
    assert.equal(createHash('sha256').update(bytes).digest('hex'), digest, type)
  }
})

test('the K types lose less than with the quantiser of ggml, in the root mean square', () => {
  // ggml 0.5.0 (`ggml_quantize_chunk` without an importance matrix) on the same weights.
  const ggml = { Q2_K: 0.33594, Q3_K: 0.19321, Q4_K: 0.08853, Q5_K: 0.04511, Q6_K: 0.02581 } as const
  const energy = weights.reduce((sum, w) => sum + w * w, 0)
  for (const [type, limit] of Object.entries(ggml)) {
    const name = type as keyof typeof ggml
    const read = decoded(name, encodeWeights(name, weights, 'w'), weights.length)
    const lost = Math.sqrt(read.reduce((sum, r, i) => sum + (r - weights[i]!) ** 2, 0) / energy)
    assert.ok(lost < limit, `${type}: ${lost}`)
  }
})

test('K types keep each weight near the range of its group, whatever the range', () => {
  const worst = { Q2_K: 0.5, Q3_K: 0.5, Q4_K: 0.12, Q5_K: 0.06 } as const
  fc.assert(
    fc.property(block256, block => {
      fc.pre(magnitude(block) < 2 ** 19) // the largest minimum of Q2_K is 15 times 65,504
      for (const [type, share] of Object.entries(worst)) {
        const name = type as keyof typeof worst
        const read = decoded(name, encodeWeights(name, block, 'w'), 256)
        const bound = Math.max(share * magnitude(block), 2 ** -13)
        block.forEach((w, i) => assert.ok(Math.abs(read[i]! - w) <= bound, `${type}: ${read[i]} for ${w}, ${i}`))
      }
    })
  )
})
