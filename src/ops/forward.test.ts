import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Philox } from '../lib/philox.ts'
import { attention, writeKeys, writeValues } from './attention.ts'
import { dropout, gelu } from './elementwise.ts'
import { layerNorm } from './layer-norm.ts'
import { crossEntropy, crossEntropyGrad } from './loss.ts'
import { matmul, panels } from './matmul.ts'
import { adamw, clipFactor, squareSum } from './optimizer.ts'
import { dotRow, maxRow, sumRow } from './reduce.ts'
import { rmsNorm } from './rms-norm.ts'
import { rope } from './rope.ts'

const normals = (n: number, stream: number): Float32Array => {
  const out = new Float32Array(n)
  new Philox(9, 70, stream).fillNormal(out)
  return out
}
const near = (got: ArrayLike<number>, want: number[], tolerance = 2e-6): void => {
  for (const [i, w] of want.entries())
    assert.ok(Math.abs(got[i]! - w) <= tolerance * Math.max(1, Math.abs(w)), `element ${i}: ${got[i]}, not ${w}`)
}
const rows = (x: ArrayLike<number>, C: number): number[][] =>
  Array.from({ length: x.length / C }, (_, n) => Array.from({ length: C }, (_v, c) => x[n * C + c]!))
const add = (x: readonly number[]): number => x.reduce((s, v) => s + v, 0)

test('a reduction takes 16 lanes, then the tree 8-4-2-1', () => {
  const x = Float32Array.from({ length: 16 }, (_, i) => 2 ** (i * 1.7 - 10))
  const f = Math.fround
  let level = [...x]
  while (level.length > 1) level = level.slice(0, level.length / 2).map((v, j) => f(v + level[j + level.length / 2]!))
  assert.equal(sumRow(x, 0, 16), level[0])
  assert.equal(
    sumRow(Float32Array.of(1e8, 1, -1e8), 0, 3),
    f(f(1e8 + -1e8) + 1),
    'element 2 joins element 0 before element 1 does'
  )
  assert.equal(maxRow(Float32Array.of(-3, -1, -2), 0, 3), -1)
  assert.equal(maxRow(x, 0, 0), -Infinity)
  assert.equal(dotRow(Float32Array.of(1 + 2 ** -12), 0, Float32Array.of(1 + 2 ** -12), 0, 1), f((1 + 2 ** -12) ** 2))
})

test('products agree with f64 in every layout, to the same bits', () => {
  const [M, Nc, K] = [5, 37, 20]
  const a = normals(M * K, 1)
  const b = normals(K * Nc, 2)
  const at = Float32Array.from(a, (_, i) => a[(i % M) * K + Math.floor(i / M)]!)
  const bt = Float32Array.from(b, (_, i) => b[(i % K) * Nc + Math.floor(i / K)]!)
  const packed = new Float32Array(2 * K * 32)
  panels.run([b], [packed], { Nc, K, layoutB: 0 })
  const want = rows(a, K).flatMap(r => Array.from({ length: Nc }, (_, j) => add(r.map((v, k) => v * b[k * Nc + j]!))))
  let first: Float32Array | null = null
  for (const [x, transposeA] of [
    [a, 0],
    [at, 1]
  ] as const) {
    for (const [y, layoutB] of [
      [b, 0],
      [bt, 1],
      [packed, 2]
    ] as const) {
      const c = new Float32Array(M * Nc)
      matmul.run([x, y], [c], { M, Nc, K, transposeA, layoutB, hasBias: 0 })
      near(c, want)
      first ??= c
      assert.deepEqual(c, first)
    }
  }
})

test('norms agree with their definitions', () => {
  const [N, C] = [3, 21]
  const x = normals(N * C, 1)
  const g = normals(C, 2)
  const b = normals(C, 3)
  const y = new Float32Array(N * C)
  const stats = new Float32Array(2 * N)
  const mean = (r: number[]): number => add(r) / C
  layerNorm.run([x, g, b], [y, stats], { N, C, hasBias: 1, eps: Math.fround(1e-5) })
  near(
    y,
    rows(x, C).flatMap(r =>
      r.map((v, c) => ((v - mean(r)) / Math.sqrt(mean(r.map(u => (u - mean(r)) ** 2)) + 1e-5)) * g[c]! + b[c]!)
    )
  )
  rmsNorm.run([x, g], [y, stats], { N, C, H: 1, eps: Math.fround(1e-5) })
  near(
    y,
    rows(x, C).flatMap(r => r.map((v, c) => (v / Math.sqrt(mean(r.map(u => u * u)) + 1e-5)) * g[c]!))
  )
})

test('rotation by halves keeps lengths and is undone by its inverse', () => {
  const [N, H, D, T] = [4, 2, 6, 5]
  const angles = Float32Array.from({ length: T * 3 }, (_, i) => Math.floor(i / 3) * ((i % 3) + 1) * 0.4)
  const cos = angles.map(Math.cos)
  const sin = angles.map(Math.sin)
  const positions = Int32Array.of(4, 0, 2, 2)
  const x = normals(N * H * D, 1)
  const y = new Float32Array(x.length)
  const back = new Float32Array(x.length)
  rope.run([x, positions, cos, sin], [y], { N, H, D, T, inverse: 0, R: D })
  rope.run([y, positions, cos, sin], [back], { N, H, D, T, inverse: 1, R: D })
  near(back, [...x])
  assert.deepEqual(y.slice(H * D, 2 * H * D), x.slice(H * D, 2 * H * D), 'position 0 turns nothing')
  near([y[0]!, y[3]!], [x[0]! * cos[12]! - x[3]! * sin[12]!, x[3]! * cos[12]! + x[0]! * sin[12]!])
})

test('attention agrees with softmax(q·k·scale)·v over the rows named', () => {
  const [N, H, G, D, R, T] = [3, 4, 2, 5, 48, 20]
  const q = normals(N * H * D, 1)
  const k = normals(R * G * D, 2)
  const v = normals(R * G * D, 3)
  const keys = new Float32Array(G * R * D)
  const values = new Float32Array(G * R * D)
  const cacheRow = Int32Array.from({ length: R }, (_, i) => R - 1 - i)
  writeKeys.run([k, cacheRow], [keys], { N: R, G, D, R })
  writeValues.run([v, cacheRow], [values], { N: R, G, D, R })
  const tables = [
    [0, 2],
    [1, 0],
    [2, 2]
  ]
  const pages = Int32Array.from(tables.flat())
  const sequence = Int32Array.of(0, 1, 2)
  const length = Int32Array.of(1, 20, 7)
  const o = new Float32Array(N * H * D)
  const p = new Float32Array(N * H * T)
  const scale = Math.fround(0.4)
  attention.run([q, keys, values, pages, sequence, length], [o, p], { N, H, G, D, T, R, S: 3, scale })
  for (let n = 0; n < N; n++) {
    for (let h = 0; h < H; h++) {
      const g = h >> 1
      const at = (x: Float32Array, j: number): number[] =>
        Array.from({ length: D }, (_, d) => x[((R - 1 - tables[n]![j >> 4]! * 16 - (j % 16)) * G + g) * D + d]!)
      const e = Array.from({ length: length[n]! }, (_, j) =>
        Math.exp(scale * add(at(k, j).map((u, d) => u * q[(n * H + h) * D + d]!)))
      )
      near(
        p.slice((n * H + h) * T),
        e.map(u => u / add(e))
      )
      near(
        o.slice((n * H + h) * D),
        Array.from({ length: D }, (_, d) => add(e.map((u, j) => (u / add(e)) * at(v, j)[d]!)))
      )
    }
  }
})

test('cross entropy: a target of -1 counts for nothing, certainty costs nothing', () => {
  const logits = Float32Array.of(1, 2, 3, 50, -50, 0, 1, 1, 1)
  const targets = Int32Array.of(2, 0, -1)
  const loss = new Float32Array(3)
  const stats = new Float32Array(6)
  const dx = new Float32Array(9)
  crossEntropy.run([logits, targets], [loss, stats], { N: 3, V: 3 })
  near(loss, [Math.log(1 + Math.exp(-1) + Math.exp(-2)), 0, 0])
  crossEntropyGrad.run([logits, targets, stats, Float32Array.of(2, 1, 1)], [dx], { N: 3, V: 3 })
  const z = 1 + Math.exp(-1) + Math.exp(-2)
  near(dx, [(2 * Math.exp(-2)) / z, (2 * Math.exp(-1)) / z, 2 * (1 / z - 1), 0, 0, 0, 0, 0, 0])
})

test('gelu and dropout', () => {
  const y = new Float32Array(4)
  gelu.run([Float32Array.of(0, 1, -1, 30)], [y], { N: 1, C: 4 })
  near(y, [0, 0.8413447460685429, -0.15865525393145707, 30])
  const x = new Float32Array(20000).fill(1)
  const out = new Float32Array(20000)
  dropout.run([x, Int32Array.of(1, 2, 3)], [out], {
    N: 1,
    C: 20000,
    purpose: 16,
    threshold: 0.25 * 2 ** 32,
    scale: Math.fround(4 / 3)
  })
  const zeros = out.filter(v => v === 0).length / 20000
  assert.ok(zeros > 0.24 && zeros < 0.26 && Math.abs(add([...out]) / 20000 - 1) < 0.02)
})

test('AdamW: decay up to an element, clipping by the norm, the step of the paper', () => {
  const P = 5000
  const g = normals(P, 1)
  const w = normals(P, 2)
  const m = new Float32Array(P)
  const v = new Float32Array(P)
  const sums = new Float32Array(2)
  const clip = new Float32Array(2)
  squareSum.run([g], [sums], { P })
  clipFactor.run([sums], [clip], { S: 2, maxNorm: 1 })
  const norm = Math.hypot(...g)
  near(clip, [norm, 1 / (norm + 1e-6)])
  clipFactor.run([sums], [clip], { S: 2, maxNorm: 0 })
  assert.equal(clip[1], 1)
  const [lr, beta1, beta2, eps, decay] = [0.01, 0.9, 0.95, 1e-8, 0.1]
  const before = w.slice()
  const hyper = Float32Array.of(beta1, beta2, 1 - lr * decay, lr / (1 - beta1), 1 / Math.sqrt(1 - beta2), eps)
  adamw.run([w, g, m, v, clip, hyper], [w, m, v], { P, decayed: 17 })
  near(
    w,
    [...before].map((x, e) => x * (e < 17 ? 1 - lr * decay : 1) - (lr * g[e]!) / (Math.abs(g[e]!) + eps)),
    1e-5
  )
})
