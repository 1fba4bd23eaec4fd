import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dequantizeRows, quantizeRows, ternarize, ternaryMatmul, unternarize } from './ternary.ts'

test('rows are quantised to int8 with ties to even, the padding is zero, NaN is zero', () => {
  const x = Float32Array.of(127, 0.5, 1.5, -2.5, -127, NaN, 0, 0, 0, 0)
  const q = new Int8Array(32)
  const scale = new Float32Array(2)
  const sum = new Int32Array(2)
  quantizeRows.run([x], [q, scale, sum], { N: 2, K: 5 })
  assert.deepEqual([...q.subarray(0, 16)], [127, 0, 2, -2, -127, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
  assert.deepEqual(
    [...q.subarray(16)],
    Array.from({ length: 16 }, () => 0)
  )
  assert.deepEqual([scale[0], sum[0], sum[1]], [1, 0, 0])
  assert.equal(scale[1], Math.fround(Math.fround(1e-5) / 127))
  const back = new Float32Array(5)
  dequantizeRows.run([q, scale], [back], { N: 1, K: 5 })
  assert.deepEqual([...back], [127, 0, 2, -2, -127])
})

test('weights become -1, 0, 1 around half the mean magnitude, four codes a byte in the order of the contract', () => {
  const K = 18
  const O = 2
  const w = new Float32Array(O * K)
  w.set([2, -2, 0.1, -0.1], 0)
  w[16] = 1 // row 0, second block
  w[K + 5] = -4 // row 1, field 1
  const t = new Uint8Array(2 * 16 * 4)
  const m = new Float32Array(1)
  ternarize.run([w], [t, m], { O, K })
  assert.equal(m[0], Math.fround(Math.fround(9.2) / 36))
  assert.deepEqual([...t.subarray(0, 4)], [0x56, 0x54, 0x55, 0x55]) // row 0, k = 0 … 3 in field 0: 1, -1, 0, 0
  assert.deepEqual([...t.subarray(4, 8)], [0x55, 0x51, 0x55, 0x55]) // row 1, k = 5: byte 1, field 1: -1
  assert.deepEqual([...t.subarray(64, 68)], [0x56, 0x55, 0x55, 0x55]) // row 0, k = 16
  assert.ok(
    t.slice(8, 64).every(b => b === 0x55),
    'padding rows hold code 1'
  )
  const back = new Float32Array(O * K)
  unternarize.run([t, m], [back], { O, K })
  assert.deepEqual([...back].map((v, i) => (v === 0 ? 0 : [v, i])).filter(Boolean), [
    [m[0], 0],
    [-m[0], 1],
    [m[0], 16],
    [-m[0], K + 5]
  ])
})

test('the ternary product is the exact integer product, scaled', () => {
  const N = 3
  const K = 40
  const O = 19
  const x = Float32Array.from({ length: N * K }, (_, i) => ((i * 37) % 23) - 11)
  const w = Float32Array.from({ length: O * K }, (_, i) => ((i * 29) % 17) - 8)
  const q = new Int8Array(N * 48)
  const scale = new Float32Array(N)
  const sum = new Int32Array(N)
  const t = new Uint8Array(2 * 3 * 64)
  const m = new Float32Array(1)
  quantizeRows.run([x], [q, scale, sum], { N, K })
  ternarize.run([w], [t, m], { O, K })
  const y = new Float32Array(N * O)
  const what = new Float32Array(O * K)
  ternaryMatmul.run([q, scale, sum, t, m], [y], { N, O, K })
  unternarize.run([t, m], [what], { O, K })
  for (let n = 0; n < N; n++) {
    assert.equal(
      sum[n],
      q.slice(n * 48, (n + 1) * 48).reduce((s, v) => s + v, 0)
    )
    for (let o = 0; o < O; o++) {
      let acc = 0
      for (let k = 0; k < K; k++) acc += q[n * 48 + k]! * Math.sign(what[o * K + k]!)
      assert.equal(y[n * O + o], Math.fround(acc * Math.fround(m[0]! * scale[n]!)))
    }
  }
})
