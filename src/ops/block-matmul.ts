/**
 * Products of int8 activations with block-quantised weights, for every format of block-formats.ts: `matmul<type>`,
 * `expertMatmul<type>` (mixture of experts), `rows<type>` (dequantised rows) and `repack<type>` (from the blocks of a
 * file to packed memory). A row of activations has one scale for 32 elements. Integer sums are exact; floats follow
 * one chain (docs/internals/arithmetic.md).
 */
import { fma32, rne } from '../lib/float.ts'
import { f16Value } from '../lib/half.ts'
import { blockFormats, packBlock, packedBytes, panelBytes, unpackRow, type BlockFormat } from './block-formats.ts'
import { indexProblem } from './columns.ts'
import { f32, i32, i8, op, times, u8, type Data, type Op, type Value } from './op.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

const over = (a: Dim, b: number): number => (typeof a === 'number' && a % b === 0 ? a / b : NaN)

/** Codes, scales and sums of N rows of K activations. */
const activations = (N: Dim, K: Dim): Value[] => [i8(N, K), f32(N, over(K, 32)), i32(N, over(K, 16))]

/** Packed memory of `E` matrices: panels of 16 rows. */
function packed(f: BlockFormat, E: Dim, O: Dim, K: Dim): Value {
  if (typeof O !== 'number' || typeof K !== 'number' || !(K > 0) || K % f.block !== 0) return u8(NaN)
  return u8(times(E, Math.ceil(O / 16)), panelBytes(f, K))
}

export const quantizeBlocks = op({
  name: 'quantizeBlocks',
  inputs: ['x'],
  outputs: ['q', 'scale', 'sum'],
  attributes: { N: 'int', K: 'int' },
  infer: ([x]) => ({ N: x.shape[0], K: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.K)], outputs: activations(a.N, a.K) }),
  run: ([x], [q, scale, sum], { N, K }) => {
    sum.fill(0)
    for (let b = 0; b < (N * K) / 32; b++) {
      let largest = 0
      for (let i = 32 * b; i < 32 * b + 32; i++) if (Math.abs(x[i]!) > largest) largest = Math.abs(x[i]!)
      const inverse = fround(127 / largest)
      const known = inverse < Infinity
      scale[b] = known ? largest / 127 : 0
      for (let i = 32 * b; i < 32 * b + 32; i++) {
        const y = known ? fround(x[i]! * inverse) : 0
        q[i] = y !== y ? 0 : Math.max(-127, Math.min(127, rne(y)))
        sum[i >> 4]! += q[i]!
      }
    }
  }
})

/** The problem of activations; null if there is none. Kernels rely on both checks. */
function activationProblem(q: Data, sum: Data): string | null {
  for (let g = 0; g < sum.length; g++) {
    let whole = 0
    for (let i = 16 * g; i < 16 * g + 16; i++) {
      if (q[i] === -128) return `q[${i}] is -128, not in -127 … 127`
      whole += q[i]!
    }
    if (whole !== sum[g]) return `sum[${g}] is ${sum[g]}, not ${whole}`
  }
  return null
}

interface Activations {
  readonly q: Data
  readonly scale: Data
  readonly sum: Data
}

/** y[n] of `rows` [source row, row of y] pairs by the matrix at byte `from` of w. */
function multiply(
  f: BlockFormat,
  x: Activations,
  w: Data,
  from: number,
  y: Data,
  O: number,
  K: number,
  rows: readonly (readonly [number, number])[]
): void {
  const perBlock = 32 / f.group
  for (let o = 0; o < O; o++) {
    const { values, scales, d, weights, addends } = unpackRow(f, w, from, o, K)
    for (const [n, to] of rows) {
      let acc = 0
      for (let b = 0; b < K / 32; b++) {
        const a = x.scale[(n * K) / 32 + b]
        let joined = 0
        for (let g = b * perBlock; g < (b + 1) * perBlock; g++) {
          let whole = 0
          for (let k = g * f.group; k < (g + 1) * f.group; k++) whole += values[k]! * x.q[n * K + k]!
          if (f.joined) joined += scales[g]! * whole
          else acc = fma32(whole, fround(weights[g]! * a!), acc)
        }
        if (f.joined) acc = fma32(joined, fround(d[b * perBlock]! * a!), acc)
        if (!f.addend) continue
        for (let g = b * perBlock; g < (b + 1) * perBlock; g++) {
          let sum = 0
          for (let i = (n * K + g * f.group) / 16; i < (n * K + (g + 1) * f.group) / 16; i++) sum += x.sum[i]!
          acc = fma32(addends[g]!, fround(sum * a!), acc)
        }
      }
      y[to + o] = acc
    }
  }
}

function matmulOf(f: BlockFormat): Op {
  return op({
    name: `matmul${f.name}`,
    inputs: ['q', 'scale', 'sum', 'w'],
    outputs: ['y'],
    attributes: { N: 'int', O: 'int', K: 'int' },
    infer: ([q], { O }) => ({ N: q.shape[0], O, K: q.shape[1] }),
    operands: a => ({ inputs: [...activations(a.N, a.K), packed(f, 1, a.O, a.K)], outputs: [f32(a.N, a.O)] }),
    check: ([q, , sum]) => activationProblem(q, sum),
    run: ([q, scale, sum, w], [y], { N, O, K }) =>
      multiply(
        f,
        { q, scale, sum },
        w,
        0,
        y,
        O,
        K,
        Array.from({ length: N }, (_, n) => [n, n * O])
      )
  })
}

/**
 * Choice j of row n by matrix experts[n][j]. U is 1 where all choices of a row have the same activations, or k where
 * each has its own.
 */
function expertMatmulOf(f: BlockFormat): Op {
  return op({
    name: `expertMatmul${f.name}`,
    inputs: ['q', 'scale', 'sum', 'experts', 'w'],
    outputs: ['y'],
    attributes: { N: 'int', O: 'int', K: 'int', E: 'int', k: 'int', U: 'int' },
    infer: ([q, , , experts], { O, K, E }) => {
      return { N: experts.shape[0], O, K, E, k: experts.shape[1], U: ownRows(q, K, experts) }
    },
    operands: a => ({
      inputs: [...activations(a.N, times(a.U, a.K)), i32(a.N, a.k), packed(f, a.E, a.O, a.K)],
      outputs: [f32(a.N, times(a.k, a.O))]
    }),
    check: ([q, , sum, experts], { E }) => indexProblem('experts', experts, 0, E) ?? activationProblem(q, sum),
    run: ([q, scale, sum, experts, w], [y], { N, O, K, E, k, U }) => {
      for (let e = 0; e < E; e++) {
        const rows: [number, number][] = []
        for (let i = 0; i < N * k; i++) if (experts[i] === e) rows.push([U === 1 ? Math.floor(i / k) : i, i * O])
        if (rows.length > 0) multiply(f, { q, scale, sum }, w, e * packedBytes(f, O, K), y, O, K, rows)
      }
    }
  })
}

/** Rows of activations for each row of choices: 1, or as many as choices; undefined where neither fits. */
function ownRows(q: Value, K: Dim | undefined, experts: Value): Dim | undefined {
  const [width, choices] = [q.shape[1], experts.shape[1]]
  if (K === undefined || width === undefined || choices === undefined) return undefined
  return width === K ? 1 : width === times(choices, K) ? choices : undefined
}

function rowsOf(f: BlockFormat): Op {
  return op({
    name: `rows${f.name}`,
    inputs: ['w', 'ids'],
    outputs: ['y'],
    attributes: { N: 'int', O: 'int', K: 'int' },
    infer: ([, ids], { O, K }) => ({ N: ids.shape[0], O, K }),
    operands: a => ({ inputs: [packed(f, 1, a.O, a.K), i32(a.N)], outputs: [f32(a.N, a.K)] }),
    check: ([, ids], { O }) => indexProblem('ids', ids, 0, O),
    run: ([w, ids], [y], { N, K }) => {
      for (let n = 0; n < N; n++) {
        const { values, weights, addends } = unpackRow(f, w, 0, ids[n]!, K)
        for (let k = 0; k < K; k++) {
          const g = Math.floor(k / f.group)
          const product = fround(weights[g]! * values[k]!)
          y[n * K + k] = f.addend ? product + addends[g]! : product
        }
      }
    }
  })
}

function repackOf(f: BlockFormat): Op {
  return op({
    name: `repack${f.name}`,
    inputs: ['raw'],
    outputs: ['w'],
    attributes: { O: 'int', K: 'int' },
    infer: (_, { O, K }) => ({ O, K }),
    operands: a => ({ inputs: [u8(a.O, over(a.K, f.block) * f.bytes)], outputs: [packed(f, 1, a.O, a.K)] }),
    check: ([raw], { O, K }) => {
      for (let b = 0; b < (O * K) / f.block; b++) {
        // only MXFP4 has a limit, and its scale is the block's first byte
        if (raw[b * f.bytes]! > (f.largestScale ?? 255)) return `the scale of block ${b} is too large`
        for (const h of f.halves) {
          const at = b * f.bytes + h
          const factor = f16Value(raw[at]! | (raw[at + 1]! << 8))
          if (!Number.isFinite(factor)) return `a factor of block ${b} is not a finite number`
        }
      }
      return null
    },
    run: ([raw], [w], { O, K }) => {
      w.fill(0)
      for (let o = 0; o < O; o++) {
        for (let k = 0; k < K; k += f.block) packBlock(f, raw, ((o * K + k) / f.block) * f.bytes, w, o, k, K)
      }
    }
  })
}

/** The four ops of every format. */
export const blockOps: readonly Op[] = blockFormats.flatMap(f => {
  return [matmulOf(f), expertMatmulOf(f), rowsOf(f), repackOf(f)]
})
