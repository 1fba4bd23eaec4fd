/**
 * Cases of test/cases.ts for block-quantised weights: every format, sizes beside 16 outputs and 512 inputs, factors of
 * every kind, codes and activations at their limits.
 */
import { blockFormats, packBlock, type BlockFormat } from '../src/ops/block-formats.ts'
import type { Data } from '../src/ops/op.ts'
import type { Fill, Spec } from './cases.ts'

type Pick = (n: number) => number

/** Finite f16: most near 1, some negative, zero, subnormal or large. */
function half(pick: Pick): number {
  const kinds = [0x8000, 0, 1 + pick(0x3ff), 0x8001 + pick(0x3ff), 0x7bff, 0x0400]
  return pick(10) === 0 ? kinds[pick(kinds.length)]! : pick(2) * 0x8000 + 0x2c00 + pick(0x1400)
}

/** Blocks of a file: random bytes, or the same byte everywhere; factors are finite. */
function rawBlocks(f: BlockFormat, count: number, pick: Pick, byte?: number): Uint8Array {
  const raw = Uint8Array.from({ length: count * f.bytes }, () => byte ?? pick(256))
  for (let b = 0; b < count; b++) {
    // e8m0 scales beyond 2^64 make every result infinite
    if (f.halves.length === 0) raw[b * f.bytes] = pick(6) === 0 ? pick(4) : 110 + pick(40)
    for (const h of f.halves) {
      const bits = byte === undefined ? half(pick) : 0x3c00
      raw[b * f.bytes + h] = bits & 255
      raw[b * f.bytes + h + 1] = bits >> 8
    }
  }
  return raw
}

const raw =
  (f: BlockFormat): Fill =>
  (data, { O, K }, pick) =>
    data.set(rawBlocks(f, (O! * K!) / f.block, pick))

/** Packed matrices. */
const packed =
  (f: BlockFormat, byte?: number): Fill =>
  (data, { O, K, E = 1 }, pick) => {
    const bytes = data.length / E
    for (let e = 0; e < E; e++) {
      const blocks = rawBlocks(f, (O! * K!) / f.block, pick, byte)
      const w = data.subarray(e * bytes, (e + 1) * bytes)
      for (let b = 0; b < blocks.length / f.bytes; b++) {
        packBlock(f, blocks, b * f.bytes, w, Math.floor((b * f.block) / K!), (b * f.block) % K!, K!)
      }
    }
  }

const bytes: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(256)
}

/** Codes of -127 … 127, some blocks of zeros and some of limits. */
const codes: Fill = (data, _, pick) => {
  for (let b = 0; b < data.length; b += 32) {
    const kind = pick(8)
    for (let i = b; i < b + 32; i++) data[i] = kind === 0 ? 0 : kind === 1 ? pick(2) * 254 - 127 : pick(255) - 127
  }
}
const everywhere =
  (value: number): Fill =>
  data =>
    void data.fill(value)

const experts: Fill = (data, { E }, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(E!)
}
const rowIds: Fill = (data, { O }, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(O!)
}

/** Sums of every 16 codes, which products need. */
export function sumCodes(q: Data, sum: Data): void {
  sum.fill(0)
  for (let i = 0; i < 16 * sum.length; i++) sum[i >> 4]! += q[i]!
}

/** One format of each kind that kernels treat alike: these run with more numbers of rows. */
const everyRowCount = ['Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q8_0', 'Q2_K', 'Q3_K', 'Q6_K']

function specsOf(f: BlockFormat): Spec[] {
  const one = f.block
  const several = f.block === 32 ? 544 : 768
  const w = packed(f)
  const sizes = [
    [1, 5, several],
    [2, 33, one],
    [3, 16, one],
    [5, 20, 2 * one],
    [9, 40, one],
    [33, 19, several]
  ] as const
  const product = (N: number, O: number, fill: Record<string, Fill>): Spec => {
    return { op: `matmul${f.name}`, a: { N, O, K: one }, fill }
  }
  const rowCounts = everyRowCount.includes(f.name) ? [4, 6, 7, 8, 10, 12, 13, 21] : []
  const limits = [-127, 127].flatMap(x => [0, 255].map(byte => ({ q: everywhere(x), w: packed(f, byte) })))
  return [
    ...sizes.map(([N, O, K], i): Spec => ({
      op: `matmul${f.name}`,
      a: { N, O, K },
      values: i % 2 ? 'special' : 'plain',
      fill: { q: codes, w }
    })),
    ...rowCounts.map(N => product(N, 17, { q: codes, w })),
    // a case is named by its sizes: other numbers of outputs for other limits
    ...limits.flatMap((fill, i) => [1, 13].map(N => product(N, 2 + i, fill))),
    ...[2, 9].map((N): Spec => ({ ...product(N, 18, { q: codes, w: bytes }), values: 'wild' })),
    ...[
      [1, 17, 4, 2, 1],
      [5, 20, 3, 2, 2],
      [13, 33, 2, 2, 1],
      [2, 16, 40, 3, 3]
    ].map(([N, O, E, k, U]): Spec => ({
      op: `expertMatmul${f.name}`,
      a: { N: N!, O: O!, K: one, E: E!, k: k!, U: U! },
      fill: { q: codes, w, experts }
    })),
    { op: `rows${f.name}`, a: { N: 5, O: 33, K: several }, fill: { w, ids: rowIds } },
    { op: `rows${f.name}`, a: { N: 2, O: 16, K: one }, fill: { w: bytes, ids: rowIds } },
    ...[
      [1, one],
      [17, several],
      [32, one]
    ].map(([O, K]): Spec => ({ op: `repack${f.name}`, a: { O: O!, K: K! }, fill: { raw: raw(f) } }))
  ]
}

export function blockSpecs(): Spec[] {
  return [
    ...[
      [1, 32],
      [3, 64],
      [5, 544],
      [40, 96]
    ].flatMap(([N, K]) =>
      (['plain', 'special', 'wild'] as const).map((values): Spec => ({
        op: 'quantizeBlocks',
        a: { N: N!, K: K! },
        values
      }))
    ),
    ...blockFormats.flatMap(specsOf),
    // more rows than one slice of activations has, and several slices of inputs
    { op: 'matmulQ4_0', a: { N: 200, O: 34, K: 64 }, fill: { q: codes, w: packed(blockFormats[0]!) } },
    { op: 'matmulQ4_0', a: { N: 9, O: 49, K: 1600 }, fill: { q: codes, w: packed(blockFormats[0]!) } }
  ]
}
