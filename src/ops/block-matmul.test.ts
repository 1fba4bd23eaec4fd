import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blockFormat, blockFormats, packedBytes, packBlock, unpackRow } from './block-formats.ts'
import { blockOps, quantizeBlocks } from './block-matmul.ts'
import { applyShapeRule, i32, i8, f32, u8 } from './op.ts'

test('packed memory takes at most 1.04 times the bytes of the file', () => {
  for (const f of blockFormats) {
    const file = ((4096 * 4096) / f.block) * f.bytes
    const packed = packedBytes(f, 4096, 4096)
    assert.ok(packed >= file && packed <= 1.04 * file, `${f.name}: ${packed} of ${file}`)
  }
})

test(
  'a block of activations has the scale of its largest magnitude; tiny, infinite and missing ones are ' + 'defined',
  () => {
    const x = new Float32Array(6 * 32)
    x.set([254, 1, 3, -254, NaN, 2.5])
    x.set([1e-38], 32)
    x.set([Infinity, 1], 64)
    x.set([NaN], 96)
    x.set([-127], 128)
    const q = new Int8Array(192)
    const scale = new Float32Array(6)
    const sum = new Int32Array(12)
    quantizeBlocks.run([x], [q, scale, sum], { N: 1, K: 192 })
    assert.deepEqual([...q.subarray(0, 6)], [127, 0, 2, -127, 0, 1]) // 0.5 and 1.5 go to even
    assert.deepEqual([...scale], [2, 0, Infinity, 0, 1, 0])
    assert.ok(q.subarray(32, 128).every(v => v === 0))
    assert.deepEqual([...sum], [3, 0, 0, 0, 0, 0, 0, 0, -127, 0, 0, 0])
  }
)

test('a block of Q4_K keeps its codes, scales, minimums and factors in packed memory', () => {
  const f = blockFormat('Q4_K')!
  const raw = Uint8Array.from({ length: 144 }, (_, i) => (i * 37 + 11) & 255)
  raw.set([0x00, 0x3c, 0x00, 0xb8]) // d = 1, dmin = -0.5
  const w = new Uint8Array(packedBytes(f, 1, 256))
  packBlock(f, raw, 0, w, 0, 0, 256)
  const row = unpackRow(f, w, 0, 0, 256)
  assert.deepEqual([row.values[0], row.values[32], row.values[255]], [raw[16]! & 15, raw[16]! >> 4, raw[143]! >> 4])
  assert.deepEqual([row.scales[0], row.addends[0]], [raw[4]! & 63, 0.5 * (raw[8]! & 63)])
  assert.deepEqual(
    [row.scales[4], row.addends[4]],
    [(raw[12]! & 15) | ((raw[4]! >> 6) << 4), 0.5 * ((raw[12]! >> 4) | ((raw[8]! >> 6) << 4))]
  )
})

test('shapes give the sizes of a mixture of experts', () => {
  const op = blockOps.find(o => o.name === 'expertMatmulQ8_0')!
  const w = u8(4 * 3, packedBytes(blockFormat('Q8_0')!, 48, 64) / 3)
  const given = { O: 48, K: 64, E: 4 }
  const sizes = (own: number): unknown =>
    applyShapeRule(op, [i8('rows', own * 64), f32('rows', own * 2), i32('rows', own * 4), i32('rows', 2), w], given).a
  assert.deepEqual(sizes(1), { N: 'rows', O: 48, K: 64, E: 4, k: 2, U: 1 })
  assert.deepEqual(sizes(2), { N: 'rows', O: 48, K: 64, E: 4, k: 2, U: 2 })
  assert.throws(() => sizes(3), { code: 'VERIT_SHAPE' })
})
