import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { VeritError } from '../lib/errors.ts'
import { f16Value, f16Bits } from '../lib/half.ts'
import { readSafetensors } from '../formats/safetensors.ts'
import type { TernaryTypeName } from './registry.ts'
import { decodeTernary, encodeTernary, ternaryBytes } from './ternary-tensor.ts'

const types = ['I2_S', 'TQ1_0', 'TQ2_0'] as const
const blockOf = (type: TernaryTypeName): number => (type === 'I2_S' ? 128 : 256)
const trits = (n: number): fc.Arbitrary<Int8Array> => fc.int8Array({ min: -1, max: 1, minLength: n, maxLength: n })
const scale = fc.float({ min: 2 ** -10, max: 1000, noNaN: true })

/** One 128 x 256 matrix as four other programs packed it. */
const fixturePath = new URL('../../test/fixtures/ternary/one-matrix.safetensors', import.meta.url)
const fixture = readSafetensors(fileURLToPath(fixturePath)).tensors

/** Hugging Face: row r of the matrix is field r div (out/4) of packed row r mod (out/4). */
function unpackHuggingFace(packed: Uint8Array, rows: number, columns: number): Int8Array {
  const quarter = rows / 4
  return Int8Array.from({ length: rows * columns }, (_, i) => {
    const row = Math.floor(i / columns)
    return ((packed[(row % quarter) * columns + (i % columns)]! >> (2 * Math.floor(row / quarter))) & 3) - 1
  })
}

for (const type of types) {
  test(`${type}: a matrix packed by another program has the checkpoint's weights, and packs to the same bytes`, () => {
    const bytes = fixture.get(type)!.data
    const expected = unpackHuggingFace(fixture.get('hf')!.data, 128, 256)
    const inverse = new Float32Array(fixture.get('hf_scale')!.data.buffer)[0]!
    const decoded = decodeTernary(type, bytes, 128 * 256, 'k')
    assert.deepEqual(decoded.trits, expected)
    const exact = Math.fround(1 / inverse)
    for (const s of decoded.scales) assert.equal(s, type === 'I2_S' ? exact : f16Value(f16Bits(exact)))
    assert.deepEqual(encodeTernary(type, decoded.trits, decoded.scales), new Uint8Array(bytes))
  })

  test(`${type}: any trits and scales come back as they were`, () => {
    const block = blockOf(type)
    const tensors = fc
      .integer({ min: 1, max: 4 })
      .chain(n => fc.tuple(trits(n * block), fc.array(scale, { minLength: n, maxLength: n })))
    fc.assert(
      fc.property(tensors, ([values, all]) => {
        const scales = Float32Array.from(type === 'I2_S' ? all.slice(0, 1) : all.map(s => f16Value(f16Bits(s))))
        const bytes = encodeTernary(type, values, scales)
        assert.equal(bytes.length, ternaryBytes(type, values.length))
        const decoded = decodeTernary(type, bytes, values.length, 't')
        assert.deepEqual(decoded.trits, values)
        assert.deepEqual(decoded.scales, scales)
      })
    )
  })

  test(`${type}: any bytes either decode, and then encode to the same bytes, or are refused`, () => {
    const length = ternaryBytes(type, blockOf(type))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length, maxLength: length }), fc.boolean(), (bytes, plausible) => {
        const withoutReserved = (b: number): number => {
          if (type === 'TQ1_0') return Math.ceil(((b % 81) * 3 * 256) / 243)
          return b & (b >> 1) & 0x55 ? b & 0xaa : b
        }
        if (plausible) bytes = bytes.map(withoutReserved)
        if (type === 'I2_S') bytes.fill(0, 36)
        let decoded
        try {
          decoded = decodeTernary(type, bytes, blockOf(type), 't')
        } catch (e) {
          return assert.ok(VeritError.is(e, 'VERIT_TENSOR'))
        }
        assert.deepEqual(encodeTernary(type, decoded.trits, decoded.scales), bytes)
      })
    )
  })

  test(`${type}: a scale that is NaN or infinite is refused`, () => {
    const n = blockOf(type)
    for (const bits of type === 'I2_S' ? [0x7fc00000, 0x7f800000, 0xff800000] : [0x7e00, 0x7c00, 0xfc00]) {
      const bytes = encodeTernary(type, new Int8Array(n), Float32Array.of(1))
      const view = new DataView(bytes.buffer)
      if (type === 'I2_S') view.setUint32(n / 4, bits, true)
      else view.setUint16(bytes.length - 2, bits, true)
      const message = /Tensor w: the scale of block 0, at weight 0, is (NaN|-?Infinity)/
      assert.throws(() => decodeTernary(type, bytes, n, 'w'), message)
    }
  })
}

test('the reserved code is refused with the place of the weight', () => {
  const i2s = encodeTernary('I2_S', new Int8Array(256), Float32Array.of(1))
  i2s[32 + 5] = 0b01_01_11_01 // weight 128 + 64 + 5
  assert.throws(() => decodeTernary('I2_S', i2s, 256, 'blk.0.w'), /Tensor blk\.0\.w: weight 197 has a reserved code/)
  const tq2 = encodeTernary('TQ2_0', new Int8Array(256), Float32Array.of(1))
  tq2[32 + 7] = 0b01_01_11_01 // weight 128 + 32 + 7
  assert.throws(() => decodeTernary('TQ2_0', tq2, 256, 'w'), /weight 167 has a reserved code/)
  const tq1 = encodeTernary('TQ1_0', new Int8Array(256), Float32Array.of(1))
  tq1[48] = 128 // five trits where there is place for four
  assert.throws(() => decodeTernary('TQ1_0', tq1, 256, 'w'), /weight 240 has a reserved code/)
  tq1[48] = 1 // between the codes of 0 and 1: 0 and 2
  assert.throws(() => decodeTernary('TQ1_0', tq1, 256, 'w'), /reserved code/)
})

test('TQ1_0 decodes every byte that a writer makes as ggml does, by multiplication', () => {
  for (let v = 0; v < 243; v++) {
    const byte = Math.ceil((v * 256) / 243)
    const bytes = encodeTernary('TQ1_0', new Int8Array(256), Float32Array.of(1))
    bytes[0] = byte
    const { trits: decoded } = decodeTernary('TQ1_0', bytes, 256, 'w')
    for (let n = 0; n < 5; n++) assert.equal(decoded[32 * n], ((((byte * 3 ** n) & 255) * 3) >> 8) - 1)
  }
})

test('I2_S keeps the scale to the bit, writes it once and leaves the rest of its tail zero', () => {
  const bytes = encodeTernary('I2_S', new Int8Array(128), Float32Array.of(0.1))
  assert.equal(new DataView(bytes.buffer).getFloat32(32, true), Math.fround(0.1))
  assert.deepEqual(bytes.subarray(36), new Uint8Array(28))
})
