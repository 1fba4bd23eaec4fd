import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bf16ToF32, f16Bits, f16ToF32, f16Value, f32ToBf16, f32ToF16 } from './half.ts'

const all = Uint16Array.from({ length: 65536 }, (_, i) => i)
const isNan16 = (h: number): boolean => (h & 0x7fff) > 0x7c00
const anyBits = fc
  .array(fc.integer({ min: 0, max: 0xffffffff }), { minLength: 1, maxLength: 64 })
  .map(bits => new Float32Array(Uint32Array.from(bits).buffer))

test('all 65,536 half floats decode as Float16Array does, and encode back to themselves', () => {
  const decoded = f16ToF32(all)
  const oracle = new Float16Array(all.buffer)
  const back = f32ToF16(decoded)
  for (let i = 0; i < 65536; i++) {
    assert.ok(Object.is(decoded[i], oracle[i]), `bits ${i}`)
    assert.equal(back[i], isNan16(i) ? i | 0x200 : i)
    if (!isNan16(i)) assert.ok(Object.is(f16Value(i), oracle[i]) && f16Bits(f16Value(i)) === i)
  }
})

test('every midpoint between two half floats, and its neighbours, rounds as Float16Array does', () => {
  const values: number[] = []
  for (let h = 0; h < 0x7c00; h++) {
    const low = f16Value(h)
    const middle = (low + (h === 0x7bff ? 65536 : f16Value(h + 1))) / 2 // exact in binary32
    const bits = new Uint32Array(new Float32Array([middle]).buffer)[0]!
    for (const b of [bits - 1, bits, bits + 1]) values.push(new Float32Array(new Uint32Array([b]).buffer)[0]!)
  }
  const source = Float32Array.from(values.concat(values.map(v => -v)))
  assert.deepEqual(f32ToF16(source), new Uint16Array(new Float16Array(source).buffer))
})

test('any float rounds to half as Float16Array does', () => {
  fc.assert(
    fc.property(anyBits, source => {
      const ours = f32ToF16(source)
      const oracle = new Uint16Array(new Float16Array(source).buffer)
      ours.forEach((h, i) => assert.ok(h === oracle[i] || (isNan16(h) && Number.isNaN(source[i])), `${source[i]}`))
    })
  )
})

test('bfloat16 rounds to nearest even, keeps every bfloat16 value, and never makes a NaN infinite', () => {
  const values = bf16ToF32(all)
  const back = f32ToBf16(values)
  for (let i = 0; i < 65536; i++) assert.equal(back[i], (i & 0x7fff) > 0x7f80 ? i | 0x40 : i)
  fc.assert(
    fc.property(anyBits, source => {
      const bits = new Uint32Array(source.buffer)
      f32ToBf16(source).forEach((h, i) => {
        const value = source[i]!
        if (Number.isNaN(value)) return assert.ok((h & 0x7fff) > 0x7f80)
        // The oracle, in exact integers: (bits + 0x7fff + the kept lowest bit) / 2^16.
        const exact = (BigInt(bits[i]!) + 0x7fffn + ((BigInt(bits[i]!) >> 16n) & 1n)) >> 16n
        assert.equal(h, Number(exact))
      })
    })
  )
})
