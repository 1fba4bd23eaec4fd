/**
 * Plans of one op each, with inputs, that every executor must run to the same bits: all ops, sizes beside and at
 * multiples of 16 and 32, ordinary and special values (zeros of both signs, subnormals, huge numbers, ties; in 'wild'
 * also infinities and NaN), outputs over inputs where that is allowed.
 */
import type { Bindings, Buffers, Plan } from '../src/exec/plan.ts'
import { encodeTernary } from '../src/weights/ternary-tensor.ts'
import { attentionSpecs } from './cases-attention.ts'
import { layerSpecs } from './cases-layers.ts'
import { PlanBuilder } from '../src/graph/plan-builder.ts'
import { roundUp } from '../src/lib/float.ts'
import { Philox } from '../src/lib/philox.ts'
import { putBase3 } from '../src/ops/base3.ts'
import type { Data, Op } from '../src/ops/op.ts'
import type { Dim, DType } from '../src/ops/sizes.ts'
import { ternaryFormats } from '../src/ops/repack.ts'
import { opTable } from '../src/ops/table.ts'
import { shortConvs } from './cases-conv.ts'
import { mixtures } from './cases-experts.ts'
import { blockSpecs, sumCodes } from './block-cases.ts'

export interface OpCase {
  readonly name: string
  readonly plan: Plan
  /** Fresh buffers, inputs filled, outputs zero; `allocate` gives zeroed memory. */
  readonly buffers: (allocate?: (bytes: number) => ArrayBuffer) => Buffers
  /** Names of the buffers that must be equal after the run. */
  readonly compare: string[]
  readonly bindings: Bindings
}

type Values = 'plain' | 'special' | 'wild'
/** Attributes by name. Those that fills read are always there for the ops that use them. */
export type Sizes = Readonly<Record<string, number> & Record<'N' | 'O' | 'K' | 'R' | 'T' | 'format' | 'base3', number>>
/** Fills one input. `pick(n)` is a random integer below n. */
export type Fill = (data: Data, a: Sizes, pick: (n: number) => number) => void

export interface Spec {
  readonly op: string
  readonly a: Readonly<Record<string, number>>
  readonly values?: Values
  /** Inputs that are not plain numbers. */
  readonly fill?: Readonly<Record<string, Fill>>
  readonly compare?: readonly string[]
}

const SPECIAL = [
  0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-45, -1e-45, 5e-39, -1.17e-38, 1e-30, 3, -7, 127, 1e4, -1e4, 1e19, -1e19,
  3.4e38, -3.4e38, 16777216
]
const WILD = [...SPECIAL, Infinity, -Infinity, NaN]

function fillNumbers(data: Data, random: Philox, values: Values): void {
  const pool = values === 'wild' ? WILD : SPECIAL
  const share = values === 'plain' ? 0 : values === 'special' ? 0.3 : 0.05
  for (let i = 0; i < data.length; i++) {
    const special = share > 0 && random.uniform(i + 5000000) < share
    data[i] = special ? pool[random.word(i + 9000000) % pool.length]! : random.normal(i)
  }
}

export const below =
  (size: string, low = 0): Fill =>
  (data, a, pick) => {
    for (let i = 0; i < data.length; i++) data[i] = low + pick(a[size]! - low)
  }
export const constant =
  (...values: number[]): Fill =>
  data =>
    data.set(values)
const everywhere =
  (value: number): Fill =>
  data =>
    void data.fill(value)
/** Distinct rows: the first N of a shuffle of 0 … R-1. */
export const distinct: Fill = (data, { R }, pick) => {
  const rows = Array.from({ length: R }, (_, i) => i)
  for (let i = 0; i < data.length; i++) {
    const j = i + pick(R - i)
    ;[rows[i], rows[j]] = [rows[j]!, rows[i]!]
    data[i] = rows[i]!
  }
}
/** Any page at any place of a table. */
export const anyPages: Fill = (data, { R }, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(R / 16)
}
export const lengths: Fill = (data, { T }, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = 1 + pick(T)
}
export const codes8: Fill = (data, { K }, pick) => {
  const width = roundUp(K, 16)
  for (let i = 0; i < data.length; i++)
    data[i] = i % width < K ? [pick(256) - 128, 127, -128, 0][pick(16) < 13 ? 0 : 1 + pick(3)]! : 0
}
export const ternary: Fill = (data, { O, K }, pick) => {
  const blocks = roundUp(K, 16) / 16
  for (let i = 0; i < data.length; i++) {
    const o = Math.floor(i / (64 * blocks)) * 16 + (Math.floor(i / 4) & 15)
    for (let s = 0; s < 4; s++) {
      const k = (Math.floor(i / 64) % blocks) * 16 + s * 4 + (i & 3)
      data[i]! |= (o < O && k < K ? pick(3) : 1) << (2 * s)
    }
  }
}
/** Finite f16 of every kind. */
export const halves: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) {
    const h = pick(8) === 0 ? pick(65536) : pick(2) * 0x8000 + 0x2c00 + pick(0x2400)
    data[i] = (h & 0x7c00) === 0x7c00 ? h & 0x83ff : h
  }
}
/** Finite bf16 of every kind. */
export const brainHalves: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) {
    const h = pick(8) === 0 ? pick(65536) : pick(2) * 0x8000 + 0x3c00 + pick(0x400)
    data[i] = (h & 0x7f80) === 0x7f80 ? h & 0x80ff : h
  }
}
/** Bytes that writers of the formats make. */
const packedTernary: Fill = (data, { O, K, format }, pick) => {
  const trits = Int8Array.from({ length: O * K }, () => pick(3) - 1)
  data.set(encodeTernary(ternaryFormats[format]!, trits, Float32Array.of(0.5)))
}
/** Any byte where all five inputs are there; codes 0 in the places of the others, as the packer leaves them. */
const base3: Fill = (data, { O, K }, pick) => {
  for (let o = 0; o < O; o++) for (let k = 0; k < K; k++) putBase3(data, o, k, K, pick(3))
}
const bytes: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(256)
}
/** What quantizeFine gives: the parts of numbers of 14 bits, now and then the largest. */
const fine: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(20) === 0 ? 64 : pick(128) - 64
}
const fineSums: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = pick(16 * 8191) - 8 * 8191
}
const q6KBlocks: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = i % 210 === 209 ? pick(2) * 0x80 + pick(0x7c) : pick(256)
}
const q8_0Blocks: Fill = (data, _, pick) => {
  for (let i = 0; i < data.length; i++) data[i] = i % 34 === 1 ? pick(2) * 0x80 + pick(0x7c) : pick(256)
}
const squares: Fill = data => {
  for (let i = 0; i < data.length; i++) data[i] = Math.abs(data[i]!)
}

const shapes = [
  [1, 1],
  [1, 16],
  [3, 5],
  [7, 33],
  [2, 64],
  [5, 100],
  [17, 131],
  [130, 48],
  [3, 1030]
] as const
const matrices = shapes.map(([N, C]) => ({ N, C }))

function matmuls(): Spec[] {
  const sizes = [
    [1, 1, 1],
    [1, 64, 16],
    [2, 33, 7],
    [5, 31, 32],
    [13, 32, 65],
    [14, 48, 100],
    [29, 70, 33],
    [67, 131, 70],
    [3, 17, 1500],
    [40, 300, 50],
    [1, 130, 260],
    [31, 400, 600]
  ] as const
  return sizes.flatMap(([M, Nc, K], i) =>
    [0, 1].flatMap(transposeA =>
      [0, 1, 2, 3, 4].map((layoutB, j): Spec => ({
        op: 'matmul',
        a: { M, Nc, K, transposeA, layoutB, hasBias: (i + j) % 2 },
        ...(layoutB >= 3 && { fill: { b: layoutB === 3 ? halves : brainHalves } }),
        values: (i + j + transposeA) % 3 === 0 ? 'special' : 'plain'
      }))
    )
  )
}

function attentions(): Spec[] {
  const sizes = [
    [1, 1, 1, 4, 1, 16],
    [3, 2, 1, 5, 20, 48],
    [17, 4, 2, 16, 17, 32],
    [9, 6, 3, 24, 33, 96],
    [5, 8, 2, 64, 70, 160],
    [40, 2, 2, 32, 100, 112],
    [3, 2, 1, 8, 300, 320]
  ] as const
  return sizes.flatMap(([N, H, G, D, T, R], i): Spec[] => {
    const a = { N, H, G, D, T, R, S: 1 + (i % 3), scale: Math.fround(1 / Math.sqrt(D)) }
    const spans = { pages: anyPages, sequence: below('S') }
    const full: Fill = data => data.fill(T)
    return [
      { op: 'writeKeys', a: { N, G, D, R }, fill: { cacheRow: distinct } },
      { op: 'writeValues', a: { N, G, D, R }, fill: { cacheRow: distinct }, values: 'wild' },
      { op: 'attention', a, fill: { ...spans, length: full } },
      { op: 'attention', a, fill: { ...spans, length: lengths }, compare: ['out.o'] },
      { op: 'attention', a, values: 'wild', fill: { ...spans, length: full } },
      { op: 'attentionGrad', a: { N: T * 2, H, G, D, T, scale: a.scale } },
      { op: 'attentionGrad', a: { N: T, H, G, D, T, scale: a.scale }, values: 'special' }
    ]
  })
}

function specs(): Spec[] {
  const every: Values[] = ['plain', 'special', 'wild']
  const forValues = (make: (values: Values) => Spec): Spec[] => every.map(make)
  const rng = { rng: constant(0x12345678, -77, 3) }
  const linear = [
    [1, 1, 1],
    [3, 5, 16],
    [2, 16, 33],
    [17, 40, 100],
    [5, 64, 256],
    [33, 70, 130],
    [1, 300, 520]
  ] as const
  return [
    ...matmuls(),
    ...layerSpecs(),
    ...(
      [
        [1, 1],
        [33, 7],
        [64, 16],
        [100, 3]
      ] as const
    ).flatMap(([Nc, K]) => [0, 1].map((layoutB): Spec => ({ op: 'panels', a: { Nc, K, layoutB }, values: 'wild' }))),
    ...matrices.flatMap(a =>
      [
        'columnSum',
        'add',
        'addBias',
        'gelu',
        'geluGrad',
        'reluSquareGate',
        'reluSquareGateGrad',
        'siluGate',
        'siluGateGrad',
        'scale',
        'multiply'
      ].flatMap(op => forValues(values => ({ op, a, values })))
    ),
    ...matrices.flatMap(a =>
      [0, 1].flatMap(hasBias => forValues(values => ({ op: 'layerNorm', a: { ...a, hasBias, eps: 1e-5 }, values })))
    ),
    ...matrices.flatMap(a =>
      [0, 1].map((hasBias): Spec => ({ op: 'layerNormParamGrad', a: { ...a, hasBias }, values: 'special' }))
    ),
    ...matrices.flatMap(a => forValues(values => ({ op: 'rmsNorm', a: { ...a, H: 1, eps: 1e-6 }, values }))),
    ...matrices.flatMap(a =>
      ['layerNormGrad', 'rmsNormGrad', 'rmsNormParamGrad'].flatMap(op =>
        forValues(values => ({ op, a: { ...a, H: 1 }, values }))
      )
    ),
    ...matrices.flatMap(a =>
      ['embedding', 'embeddingGrad'].map((op): Spec => ({
        op,
        a: { ...a, V: 11 },
        values: 'special',
        fill: { ids: below('V') }
      }))
    ),
    ...(
      [
        [1, 0, 0],
        [5, 3, 0],
        [16, 16, 16],
        [33, 1, 70]
      ] as const
    ).flatMap(([w0, w1, w2]) =>
      ['split', 'concat'].map((op): Spec => ({ op, a: { N: 9, w0, w1, w2 }, values: 'wild' }))
    ),
    ...matrices.flatMap((a, i) =>
      forValues(values => ({
        op: 'dropout',
        a: { ...a, purpose: 16 + i, threshold: 858993459, scale: 1.25 },
        values,
        fill: rng
      }))
    ),
    { op: 'dropout', a: { N: 3, C: 50, purpose: 16, threshold: 4294967295, scale: 2 }, fill: rng },
    ...(
      [
        [1, 1, 2],
        [5, 2, 6],
        [17, 3, 32],
        [40, 4, 64]
      ] as const
    ).flatMap(([N, H, D]) =>
      [0, 1].map((inverse): Spec => ({
        op: 'rope',
        a: { N, H, D, R: D, T: 19, inverse },
        values: inverse ? 'special' : 'plain',
        fill: { positions: below('T') }
      }))
    ),
    ...attentions(),
    ...attentionSpecs(),
    ...shortConvs(),
    ...mixtures(),
    ...shapes.flatMap(([N, V]) =>
      ['crossEntropy', 'crossEntropyGrad'].flatMap(op =>
        forValues(values => ({ op, a: { N, V }, values, fill: { targets: below('V', -1) } }))
      )
    ),
    ...[1, 15, 16, 17, 100, 1000].flatMap(N => [
      { op: 'mean', a: { N }, values: 'special' as const },
      { op: 'meanGrad', a: { N } }
    ]),
    ...shapes.flatMap(([N, K]) => forValues(values => ({ op: 'quantizeRows', a: { N, K }, values }))),
    ...shapes.map(([N, K]): Spec => ({ op: 'dequantizeRows', a: { N, K }, fill: { q: codes8 } })),
    ...linear.flatMap(([, O, K]) => forValues(values => ({ op: 'ternarize', a: { O, K }, values }))),
    ...linear.map(([, O, K]): Spec => ({ op: 'unternarize', a: { O, K }, fill: { t: ternary } })),
    ...linear.map(([N, O, K]): Spec => ({ op: 'ternaryMatmul', a: { N, O, K }, fill: { q: codes8, t: ternary } })),
    ...(
      [
        [1, 16],
        [33, 7],
        [64, 16],
        [100, 40]
      ] as const
    ).flatMap(([Nc, K]) =>
      [1, 2].map((half): Spec => ({
        op: 'halfPanels',
        a: { Nc, K, half },
        fill: { w: half === 1 ? halves : brainHalves }
      }))
    ),
    ...(
      [
        [1, 1, 1],
        [5, 40, 100],
        [70, 33, 64]
      ] as const
    ).flatMap(([N, C, V]) =>
      [0, 1, 2].map((half): Spec => ({
        op: 'panelRows',
        a: { N, C, V, half },
        fill: { ids: below('V'), ...(half > 0 && { p: half === 1 ? halves : brainHalves }) }
      }))
    ),
    ...(
      [
        [1, 256],
        [16, 16],
        [3, 256],
        [24, 80],
        [33, 512],
        [17, 768],
        [32, 1284],
        [18, 1536],
        [1, 2816]
      ] as const
    ).flatMap(([O, K]) =>
      [0, 1, 2]
        .filter(format => (O * K) % 128 === 0 && (format === 0 || K % 256 === 0))
        .flatMap(format =>
          [0, 1].map((base3): Spec => ({
            op: 'repackTernary',
            a: { O, K, format, base3 },
            fill: { raw: packedTernary }
          }))
        )
    ),
    ...([...linear, [2, 33, 80], [12, 17, 92], [26, 40, 260]] as const).map(([N, O, K]): Spec => ({
      op: 'ternaryMatmulBase3',
      a: { N, O, K },
      fill: { q: codes8, t: base3 }
    })),
    // every number of rows that has a kernel of its own, and the next
    ...Array.from({ length: 13 }, (_, i) => i + 1).flatMap((N): Spec[] => [
      { op: 'ternaryMatmul', a: { N, O: 40, K: 48 }, fill: { q: codes8, t: ternary } },
      { op: 'ternaryMatmulBase3', a: { N, O: 40, K: 100 }, fill: { q: codes8, t: base3 } },
      { op: 'fineMatmulQ6_K', a: { N, O: 20, K: 256 }, fill: { q: fine, sum: fineSums, codes: bytes, s: bytes } },
      { op: 'fineMatmulQ8_0', a: { N, O: 20, K: 64 }, fill: { q: fine, sum: fineSums, codes: bytes, d: halves } }
    ]),
    // the largest sums that can be: some kernels add up products in 16 bits
    ...[1, 2, 3, 4, 5].flatMap((N): Spec[] => [
      ...[-128, 127].flatMap(x =>
        [0xaa, 0xff].map((t): Spec => ({
          op: 'ternaryMatmul',
          a: { N, O: 20, K: 1056 },
          fill: { q: everywhere(x), t: everywhere(t) }
        }))
      ), // 0xff: what no writer makes
      ...[-128, -64, 64, 127].flatMap((x): Spec[] => [
        {
          op: 'fineMatmulQ6_K',
          a: { N, O: 20, K: 256 },
          fill: { q: everywhere(x), sum: fineSums, codes: everywhere(255), s: everywhere(127) }
        },
        {
          op: 'fineMatmulQ8_0',
          a: { N, O: 20, K: 64 },
          fill: { q: everywhere(x), sum: fineSums, codes: everywhere(255), d: halves }
        }
      ])
    ]),
    ...shapes.flatMap(([N, K]) => forValues(values => ({ op: 'quantizeFine', a: { N, K }, values }))),
    ...(
      [
        [1, 1, 256],
        [3, 16, 512],
        [4, 33, 256],
        [9, 40, 768],
        [6, 1100, 256],
        // More rows than a chunk of either width has, and fewer outputs than inputs.
        [300, 20, 256]
      ] as const
    ).flatMap(([N, O, K]): Spec[] => [
      { op: 'fineMatmulQ6_K', a: { N, O, K }, fill: { q: fine, sum: fineSums, codes: bytes, s: bytes } },
      { op: 'fineRowsQ6_K', a: { N, O, K }, fill: { codes: bytes, s: bytes, ids: below('O') } },
      { op: 'fineRepackQ6_K', a: { O, K }, fill: { raw: q6KBlocks } }
    ]),
    ...(
      [
        [1, 1, 256],
        [3, 16, 512],
        [4, 33, 256],
        [2, 1100, 256],
        [300, 20, 256]
      ] as const
    ).flatMap(([N, O, K], i): Spec[] => [
      { op: 'screenQ6_K', a: { O, K }, fill: { w: halves } },
      { op: 'halfRows', a: { N, C: K + i, V: O }, fill: { w: halves, ids: below('V') } },
      ...[0, 1, 5, 40].map((top): Spec => ({
        op: 'screenLimits',
        a: { N, O, K },
        values: top === 5 ? 'special' : 'plain',
        fill: { top: constant(...Array.from({ length: N }, (_, n) => top + n)) }
      })),
      ...(['plain', 'special'] as const).map((values): Spec => ({
        op: 'screenedMatmul',
        a: { N, O, K },
        values,
        fill: { w: halves, limits: constant(...Array.from({ length: 3 * N }, (_, j) => [0.25, 0.5, 0.75][j % 3]!)) }
      }))
    ]),
    ...[0, 64, 320, 576, (1 << 20) - 64, (2 << 20) + 448].map((N): Spec => ({
      op: 'readProbe',
      a: { N },
      fill: { x: bytes }
    })),
    ...(
      [
        [1, 1],
        [3, 40],
        [7, 0],
        [2, 2000]
      ] as const
    ).map(([N, rounds]): Spec => ({ op: 'dotProbe', a: { N, rounds }, fill: { c: bytes, q: bytes } })),
    ...(
      [
        [1, 1, 32],
        [3, 16, 96],
        [4, 33, 256],
        [9, 40, 544],
        [6, 1100, 64],
        [600, 20, 64]
      ] as const
    ).flatMap(([N, O, K]): Spec[] => [
      { op: 'fineMatmulQ8_0', a: { N, O, K }, fill: { q: fine, sum: fineSums, codes: bytes, d: halves } },
      // what quantizeFine does not give
      { op: 'fineMatmulQ8_0', a: { N, O, K }, fill: { q: bytes, sum: fineSums, codes: bytes, d: halves } },
      { op: 'fineRowsQ8_0', a: { N, O, K }, fill: { codes: bytes, d: halves, ids: below('O') } },
      { op: 'fineRepackQ8_0', a: { O, K }, fill: { raw: q8_0Blocks } }
    ]),
    ...[1, 17, 4096, 4097, 10000].map((P): Spec => ({
      op: 'squareSum',
      a: { P },
      values: P === 17 ? 'special' : 'plain'
    })),
    ...(
      [
        [1, 0],
        [3, 1],
        [40, 100],
        [17, 0.5]
      ] as const
    ).map(([S, maxNorm]): Spec => ({ op: 'clipFactor', a: { S, maxNorm }, fill: { s: squares } })),
    ...(
      [
        [1, 0],
        [64, 64],
        [100, 33],
        [5000, 4090]
      ] as const
    ).flatMap(([P, decayed]) =>
      (['plain', 'special'] as const).map((values): Spec => ({
        op: 'adamw',
        a: { P, decayed },
        values,
        fill: { v: squares, f: constant(2.5, 0.4), hyper: constant(0.9, 0.95, 0.9999, 3e-4, 1.6, 1e-8) }
      }))
    ),
    ...blockSpecs()
  ]
}

export function makeCase(spec: Spec, seed: number, over: number | null, rows: number | null): OpCase {
  const row = opTable.get(spec.op) as Op
  const a = Object.fromEntries(
    Object.entries(row.attributes).map(([k, kind]) => [
      k,
      kind === 'f32' ? Math.fround(spec.a[k] ?? 0) : (spec.a[k] ?? 0)
    ])
  ) as Sizes
  const limits = { rows: rows ?? 1, outputs: 1 }
  const builder = new PlanBuilder()
  const operands = row.operands(rows === null ? a : { ...a, N: rows })
  const inputs: { name: string; dtype: DType }[] = []
  const compare: string[] = []
  const place = (
    prefix: string,
    names: readonly string[],
    k: number,
    shape: readonly Dim[] | undefined,
    dtype: DType | undefined
  ): number => {
    if (!shape || !dtype) return -1
    const name = prefix + names[k]!.replace('?', '')
    if (prefix === '') inputs.push({ name, dtype })
    else if (!spec.compare || spec.compare.includes(name)) compare.push(name)
    return builder.tensor(
      name,
      dtype,
      shape.reduce<number>((n, d) => n * (d as number), 1)
    )
  }
  const ins = operands.inputs.map((o, k) => place('', row.inputs, k, o?.shape, o?.dtype))
  const outs =
    spec.op === 'adamw'
      ? [ins[0]!, ins[2]!, ins[3]!]
      : operands.outputs.map((o, k) =>
          k === 0 && over !== null ? ins[over]! : place('out.', row.outputs, k, o?.shape, o?.dtype)
        )
  if (spec.op === 'adamw') compare.push('w', 'm', 'v')
  if (over !== null) compare.push(row.inputs[over]!)
  builder.step(spec.op, ins, outs, rows === null ? a : { ...a, N: 'rows' })
  const plan = builder.build(limits)
  const buffers: OpCase['buffers'] = (allocate = bytes => new ArrayBuffer(bytes)) => {
    const random = new Philox(seed, 99, 0)
    let drawn = 0
    const pick = (n: number): number => Math.floor(random.uniform(12000000 + drawn++) * n)
    const made: Record<string, ArrayBufferView> = {}
    for (const [b, name] of plan.buffers.entries())
      if (b > 0) made[name] = new Uint8Array(allocate(plan.bufferBytes[b]!), 0, plan.bufferBytes[b])
    for (const [k, { name, dtype }] of inputs.entries()) {
      const tensor = plan.tensors.find(t => plan.buffers[t.buffer] === name)!
      const data = typed(made[name]!, dtype, tensor.bytes)
      if (dtype === 'f32') fillNumbers(data, new Philox(seed, 98, k), spec.values ?? 'plain')
      spec.fill?.[name]?.(data, a, pick)
    }
    if (made['sum'] && made['w'] && made['q'])
      sumCodes(typed(made['q'], 'i8', made['q'].byteLength), typed(made['sum'], 'i32', made['sum'].byteLength))
    if (made['sum'] && spec.op.startsWith('ternaryMatmul'))
      sumRows(made['q'] as Uint8Array, made['sum'] as Uint8Array, a)
    return made
  }
  const attributes = Object.entries(spec.a)
    .map(([k, v]) => `${k}=${v}`)
    .join(' ')
  const name =
    `${seed} ${spec.op} ${attributes} ` +
    `${spec.values ?? 'plain'}${over === null ? '' : ` over ${row.inputs[over]}`}${rows === null ? '' : ` of at most ${rows} rows`}`
  return { name, plan, buffers, compare, bindings: rows === null ? {} : { rows: a['N'] } }
}

/** The sums that quantizeRows would have given with these codes. */
function sumRows(q: Uint8Array, sum: Uint8Array, { N, K }: Sizes): void {
  const codes = typed(q, 'i8', q.byteLength)
  const sums = typed(sum, 'i32', N * 4)
  const width = roundUp(K, 16)
  for (let i = 0; i < N * width; i++) sums[Math.floor(i / width)]! += codes[i]!
}

const arrays = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array
} as const

function typed(view: ArrayBufferView, dtype: DType, bytes: number): Data {
  return new arrays[dtype](view.buffer as ArrayBuffer, view.byteOffset, bytes / arrays[dtype].BYTES_PER_ELEMENT)
}

/** All cases, in a fixed order; inputs depend on a case's number alone. */
export function opCases(): OpCase[] {
  const cases: OpCase[] = []
  for (const spec of specs()) {
    cases.push(makeCase(spec, cases.length, null, null))
    for (const k of opTable.get(spec.op)?.inPlace ?? []) cases.push(makeCase(spec, cases.length, k, null))
    if (spec.values === 'special' && 'N' in spec.a && spec.op !== 'attentionGrad')
      cases.push(makeCase(spec, cases.length, null, spec.a['N'] + 3))
  }
  return cases
}

/**
 * The first difference between two runs of a case, in words; null where all compared buffers have the same bits. NaN
 * equals NaN whatever its payload.
 */
export function difference({ plan, compare }: OpCase, got: Buffers, want: Buffers): string | null {
  for (const name of compare) {
    const tensor = plan.tensors.find(t => plan.buffers[t.buffer] === name)!
    const x = typed(got[name]!, tensor.dtype, tensor.bytes)
    const y = typed(want[name]!, tensor.dtype, tensor.bytes)
    for (let i = 0; i < x.length; i++) {
      if (!Object.is(x[i], y[i])) return `${name}[${i}] is ${x[i]}, not ${y[i]}`
    }
  }
  return null
}
