import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { f16Bits, f16Value } from '../lib/half.ts'
import { ggufTypes } from './gguf-types.ts'
import { encodeWeights } from './quants-write.ts'
import { decodeWeights } from './quants.ts'
import type { WeightType } from './quants.ts'

const decoded = (type: WeightType, bytes: Uint8Array, weights: number): Float32Array => decodeWeights(type, bytes, new Float32Array(weights), 'w')
const refused = (problem: RegExp) => (e: unknown): boolean => VeritError.is(e, 'VERIT_TENSOR') && problem.test(e.fields.problem)
const magnitude = (w: Float32Array): number => w.reduce((most, x) => Math.max(most, Math.abs(x)), 0)

test('blocks are read as gguf-py reads them, to the bit', () => {
  const { cases } = JSON.parse(readFileSync(new URL('../../test/fixtures/quants/quants.json', import.meta.url), 'utf8')) as
    { cases: { type: WeightType; bytes: string; weights: string }[] }
  assert.deepEqual(cases.map(c => c.type).sort(), ['BF16', 'F16', 'Q4_0', 'Q4_K', 'Q6_K', 'Q8_0'])
  for (const { type, bytes, weights } of cases) {
    const expected = new Float32Array(Uint8Array.from(Buffer.from(weights, 'base64')).buffer)
    assert.deepEqual(decoded(type, Buffer.from(bytes, 'base64'), expected.length), expected, type)
  }
})

test('blocks made by hand hold what their layout says', () => {
  const half = (x: number): number[] => [f16Bits(x) & 255, f16Bits(x) >> 8]
  const q8 = decoded('Q8_0', Uint8Array.from([...half(0.5), ...Array.from({ length: 32 }, (_, i) => (i === 31 ? 128 : i))]), 32)
  assert.deepEqual([...q8.subarray(0, 3), q8[31]], [0, 0.5, 1, -64])
  const q4 = decoded('Q4_0', Uint8Array.from([...half(2), 0xf0, ...Array<number>(15).fill(0x88)]), 32)
  assert.deepEqual([q4[0], q4[16], q4[1], q4[17]], [-16, 14, 0, 0])
  // scale and offset of group 0: 1 and 2; of group 7: 63 and 63, in two parts
  const k = new Uint8Array(144)
  k.set([...half(1), ...half(0.5), 1, 0, 0, 0xc0, 2, 0, 0, 0xc0, 0, 0, 0, 0xff])
  k[16] = 3
  k[16 + 96 + 31] = 0xf0
  const q4k = decoded('Q4_K', k, 256)
  assert.deepEqual([q4k[0], q4k[1], q4k[32], q4k[255], q4k[254]], [2, -1, 0, 63 * 15 - 31.5, -31.5])
  // code 63 of weight 255 with the scale -3 of the last group; all others have code 0
  const six = new Uint8Array(210)
  six[127] = 0xf0
  six[191] = 0xc0
  six[192] = 2
  six[207] = 253
  six.set(half(0.25), 208)
  const q6 = decoded('Q6_K', six, 256)
  assert.deepEqual([q6[0], q6[255], q6[254], q6[100]], [-16, 0.25 * -3 * 31, 24, -0])
})

test('scales and values that are not finite are refused, with the place', () => {
  for (const [type, places] of [['Q8_0', [0]], ['Q4_0', [0]], ['Q4_K', [0, 2]], ['Q6_K', [208]]] as const) {
    const { block, bytes } = ggufTypes[type]
    for (const place of places) {
      const data = new Uint8Array(2 * bytes)
      data[bytes + place + 1] = 0x7c
      assert.throws(() => decoded(type, data, 2 * block), refused(new RegExp(`the scale of the block at weight ${block} is Infinity`)))
    }
  }
  assert.throws(() => decoded('F16', Uint8Array.of(0, 0, 0, 0xfc), 2), refused(/weight 1 is -Infinity/))
  assert.throws(() => decoded('BF16', Uint8Array.of(0xc0, 0x7f), 1), refused(/weight 0 is NaN/))
  assert.throws(() => decoded('F32', Uint8Array.of(0, 0, 0x80, 0x7f), 1), refused(/weight 0 is Infinity/))
  for (const type of ['Q8_0', 'Q6_K'] as const) {
    const weights = new Float32Array(256)
    for (const [bad, problem] of [[NaN, /weight 40 is NaN/], [-Infinity, /weight 40 is -Infinity/], [3e38, /too large for/]] as const) {
      weights[40] = bad
      assert.throws(() => encodeWeights(type, weights, 'w'), refused(problem))
    }
  }
})

test('any bytes with finite scales are finite weights, and rows read alone are those of the whole', () => {
  const types = ['Q8_0', 'Q4_0', 'Q4_K', 'Q6_K'] as const
  fc.assert(fc.property(fc.constantFrom(...types), fc.uint8Array({ minLength: 420, maxLength: 420 }), (type, random) => {
    const { block, bytes } = ggufTypes[type]
    const data = random.slice(0, 2 * bytes)
    for (let b = 0; b < 2; b++) for (const place of type === 'Q6_K' ? [209] : type === 'Q4_K' ? [1, 3] : [1]) data[b * bytes + place]! &= 0xbf
    const all = decoded(type, data, 2 * block)
    assert.ok(all.every(Number.isFinite))
    assert.deepEqual(decoded(type, data.subarray(bytes), block), all.subarray(block))
  }))
})

const block256 = fc.tuple(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 256, maxLength: 256 }), fc.integer({ min: -40, max: 20 }), fc.array(fc.integer({ min: -12, max: 0 }), { minLength: 16, maxLength: 16 }))
  .map(([values, power, groups]) => Float32Array.from(values, (v, i) => v * 2 ** (power + groups[i >> 4]!)))

test('what is written as Q8_0 is read within half a scale, and the scale is the smallest that holds the largest weight', () => {
  fc.assert(fc.property(block256, weights => {
    const bytes = encodeWeights('Q8_0', weights, 'w')
    const read = decoded('Q8_0', bytes, 256)
    for (let b = 0; b < 8; b++) {
      const d = f16Value(bytes[b * 34]! | (bytes[b * 34 + 1]! << 8)), most = magnitude(weights.subarray(b * 32, b * 32 + 32))
      assert.ok(127 * d >= most * (1 - 1e-12) && d <= Math.max((most / 127) * (1 + 2 ** -10), most / 127 + 2 ** -24), `${d} for ${most}`)
      for (let i = b * 32; i < b * 32 + 32; i++) assert.ok(Math.abs(read[i]! - weights[i]!) <= (d / 2) * (1 + 1e-6), `${read[i]} for ${weights[i]}`)
    }
    assert.deepEqual(encodeWeights('Q8_0', weights, 'w'), bytes)
  }))
})

test('what is written as Q6_K is read within a sixteenth of the largest weight', () => {
  fc.assert(fc.property(block256, weights => {
    const bytes = encodeWeights('Q6_K', weights, 'w')
    const read = decoded('Q6_K', bytes, 256), bound = Math.max(magnitude(weights) / 16, 2 ** -19)
    weights.forEach((w, i) => assert.ok(Math.abs(read[i]! - w) <= bound, `${read[i]} for ${w}, ${i}`))
    assert.deepEqual(encodeWeights('Q6_K', weights, 'w'), bytes)
  }))
})

test('normal weights lose 0.7 % in Q8_0 and 2 % in Q6_K at most, and zeros none', () => {
  const weights = Float32Array.from({ length: 1 << 15 }, (_, i) => Math.sqrt(-2 * Math.log((((i * 7919) % 32_749) + 1) / 32_750)) * Math.cos(2 * Math.PI * (((i * 104_729) % 32_719) / 32_719)) * 0.02)
  const energy = weights.reduce((sum, w) => sum + w * w, 0)
  for (const [type, limit] of [['Q8_0', 0.007], ['Q6_K', 0.02]] as const) {
    const read = decoded(type, encodeWeights(type, weights, 'w'), weights.length)
    const lost = Math.sqrt(read.reduce((sum, r, i) => sum + (r - weights[i]!) ** 2, 0) / energy)
    assert.ok(lost < limit, `${type}: ${lost}`)
    assert.ok(decoded(type, encodeWeights(type, new Float32Array(256), 'w'), 256).every(w => w === 0))
  }
})
