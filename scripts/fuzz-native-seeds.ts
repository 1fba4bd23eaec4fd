/**
 * First inputs for scripts/fuzz-native.c, in the bytes which that file decodes: the plans and data of test/cases.ts,
 * and plans of several steps, whose data are what models compute.
 */
import { opCases } from '../test/cases.ts'
import type { OpCase } from '../test/cases.ts'
import { symbols } from '../src/exec/plan.ts'
import type { Attribute } from '../src/exec/plan.ts'
import { blockFormats } from '../src/ops/block-formats.ts'
import type { BlockFormat } from '../src/ops/block-formats.ts'
import { encodeAttributes } from '../src/ops/op.ts'
import { opTable } from '../src/ops/table.ts'

/** Cases with more numbers than this in one buffer are left to the tests: a run of the fuzzer has to be short. */
const MOST_BYTES = 8192

/** Kinds of places and contents (next_place, next_content). */
const OWN = 0
const ABSENT = 2
const EARLIER = 3
const SMALL = 1
const REAL = 3
const LITERAL = 5
const MULTIPLES = 7

function word(value: number): number[] {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32LE(value | 0)
  return [0xf0, ...bytes]
}

function attribute(a: Attribute): number[] {
  if ('f32' in a) {
    const bytes = Buffer.alloc(4)
    bytes.writeFloatLE(a.f32)
    return [0xf0, ...bytes]
  }
  if (typeof a.int === 'string') return [0xe0 + ((symbols.indexOf(a.int) + 1) % symbols.length)]
  return number(a.int)
}

const number = (n: number): number[] => (n < 0xc0 ? [n] : word(n))

/**
 * @param how threads - 1, and the bits for the pool and guard pages. @returns undefined for a case that is too large
 */
export function seed({ plan, buffers, bindings }: OpCase, ops: readonly string[], how: number): Buffer | undefined {
  if (plan.bufferBytes.some(n => n > MOST_BYTES)) return undefined
  const data = buffers()
  const bytes = [how, ...symbols.flatMap(s => [...number(plan.limits[s]), ...number(bindings[s] ?? plan.limits[s])])]
  const placed: number[] = []
  const place = (tensor: number): number[] => {
    if (tensor < 0) return [ABSENT]
    if (placed.includes(tensor)) return [EARLIER, placed.indexOf(tensor)]
    placed.push(tensor)
    const { buffer, offset, dtype, bytes: n } = plan.tensors[tensor]!
    const view = data[plan.buffers[buffer]!]!
    const start = Buffer.from(view.buffer, view.byteOffset + offset, Math.min(n, dtype === 'i32' ? 252 : 48))
    return [OWN, LITERAL, start.length, ...start]
  }
  for (const { op, inputs, outputs, attributes } of plan.steps) {
    const { inputs: ins, outputs: outs } = opTable.get(op)!
    const padded = (list: readonly number[], length: number): number[] =>
      Array.from({ length }, (_, i) => list[i] ?? -1)
    bytes.push(
      ops.indexOf(op),
      ...attributes.flatMap(attribute),
      ...padded(inputs, ins.length).flatMap(place),
      ...padded(outputs, outs.length).flatMap(place)
    )
  }
  return Buffer.from(bytes)
}

/**
 * The same case with each size and flag 0 in turn: the check has to refuse it, or kernels get tensors without elements.
 */
function zeroed(c: OpCase): OpCase[] {
  const [step] = c.plan.steps
  return step!.attributes.flatMap((a, i) => {
    if ('f32' in a || a.int === 0) return []
    const attributes = step!.attributes.map((b, j) => (i === j ? { int: 0 } : b))
    return [{ ...c, plan: { ...c.plan, steps: [{ ...step!, attributes }] } }]
  })
}

/** Contents of a tensor of its own: a kind, and what it takes; or the name of a tensor of an earlier step. */
type Place = readonly [kind: number, parameter: number] | Uint8Array | string | null
interface Step {
  readonly op: string
  readonly a: Readonly<Record<string, number>>
  /** By operand name; outputs are called by their own name afterwards. Default: real numbers. */
  readonly places?: Readonly<Record<string, Place>>
}

/** A plan of steps that read what earlier ones wrote: a name means the newest output of that name. */
function chain(steps: readonly Step[], ops: readonly string[], how: number): Buffer {
  const bytes = [how, 1, 1, 1, 1]
  const tensors: string[] = []
  const place = (name: string, p: Place): number[] => {
    if (p === null) return [ABSENT]
    if (typeof p === 'string') return [EARLIER, tensors.lastIndexOf(p)]
    tensors.push(name)
    return p instanceof Uint8Array ? [OWN, LITERAL, p.length, ...p] : [OWN, p[0]! | (p[1]! << 3)]
  }
  for (const { op, a, places = {} } of steps) {
    const row = opTable.get(op)!
    const all = Object.fromEntries(Object.keys(row.attributes).map(name => [name, a[name] ?? 0]))
    bytes.push(ops.indexOf(op), ...encodeAttributes(row, all).flatMap(attribute))
    for (const name of row.inputs)
      bytes.push(...place('', places[name.replace('?', '')] ?? (name.endsWith('?') ? null : [REAL, 3])))
    for (const name of row.outputs)
      bytes.push(
        ...place(
          name.replace('?', ''),
          name.endsWith('?') ? (places[name.replace('?', '')] ?? null) : (places[name] ?? [0, 0])
        )
      )
  }
  return Buffer.from(bytes)
}

const words = (...values: number[]): Uint8Array => new Uint8Array(Int32Array.from(values).buffer)

/** A block of a file, with factors and scales near 1. */
function block(f: BlockFormat, number: number): Uint8Array {
  const raw = Uint8Array.from({ length: f.bytes }, (_, i) => (i * 37 + number * 91) & 255)
  if (f.halves.length === 0) raw[0] = 120 + (number % 8)
  for (const h of f.halves) raw[h + 1] = 0x2c + (number % 8)
  return raw
}

/** A format's ops, with codes, scales and sums that quantizeBlocks gave. */
function blockChains(f: BlockFormat, ops: readonly string[], number: number): Buffer[] {
  const products = [
    [1, 17, 1],
    [2, 33, 2],
    [5, 20, 1],
    [9, 16, 2],
    [40, 49, 1]
  ] as const
  const weights = (O: number, K: number): Step => ({
    op: `repack${f.name}`,
    a: { O, K },
    places: { raw: block(f, number) }
  })
  const codes = { q: 'q', scale: 'scale', sum: 'sum', w: 'w' }
  return [
    ...products.map(([N, O, blocks], i) => {
      const K = f.block * blocks
      return chain(
        [
          { op: 'quantizeBlocks', a: { N, K }, places: { x: [i % 2 ? REAL : 4, i] } },
          weights(O, K),
          { op: `matmul${f.name}`, a: { N, O, K }, places: codes }
        ],
        ops,
        (i * 5) % 16
      )
    }),
    ...[1, 2].map(U => {
      const [N, O, K, E, k] = [5, 7, f.block, 3, 2]
      return chain(
        [
          { op: 'quantizeBlocks', a: { N: N * U, K } },
          weights(E * 16, K),
          { op: `expertMatmul${f.name}`, a: { N, O, K, E, k, U }, places: { ...codes, experts: [SMALL, E - 1] } }
        ],
        ops,
        U + 8
      )
    }),
    chain(
      [
        weights(17, f.block),
        { op: `rows${f.name}`, a: { N: 4, O: 17, K: f.block }, places: { w: 'w', ids: [SMALL, 16] } }
      ],
      ops,
      9
    )
  ]
}

/** Attention over caches that it was given, with every option, and a mixture of experts from choice to sum. */
function modelChains(ops: readonly string[]): Buffer[] {
  const cached = (half: number, window: number, softcap: number, sinks: boolean, N: number): Buffer => {
    const [H, G, D, T, R] = [4, 2, 20, 40, 48]
    const row: Place = [SMALL, 31]
    const write = { a: { N: 30, G, D, R, half } }
    return chain(
      [
        { ...write, op: 'writeKeys', places: { cacheRow: row } },
        { ...write, op: 'writeValues', places: { cacheRow: row } },
        {
          op: 'attention',
          a: { N, H, G, D, T, R, S: 1, scale: 0.25, window, softcap, hasSinks: sinks ? 1 : 0, half },
          places: {
            keys: 'cache',
            values: 'cache',
            pages: [SMALL, 2],
            sequence: [0, 0],
            length: words(T, 1, 17, 33, T - 1),
            ...(sinks && { sinks: [REAL, 1], rest: [0, 0] })
          }
        }
      ],
      ops,
      N % 16
    )
  }
  const experts = (layoutB: number, hasWeights: number, gating: number): Buffer => {
    const [N, E, k, K, O] = [7, 4, 2, 20, 33]
    return chain(
      [
        { op: 'topExperts', a: { N, E, k, gating, normalise: 1, scale: 1.5 } },
        {
          op: 'expertMatmul',
          a: { N, O, K, E, k, shared: 1, layoutB },
          places: { experts: 'experts', ...(layoutB > 2 && { w: Uint8Array.of(0, 0x3c, 0x10, 0xb8) }) }
        },
        {
          op: 'expertSum',
          a: { N, C: O, k, hasWeights },
          places: { y: 'y', ...(hasWeights === 1 && { weights: 'weights' }) }
        }
      ],
      ops,
      layoutB
    )
  }
  return [
    ...[0, 1].flatMap(half => [
      cached(half, 0, 0, false, 1),
      cached(half, 7, 0, false, 5),
      cached(half, 16, 2, true, 20),
      cached(half, 2 ** 31 - 1, 0.5, true, 3)
    ]),
    ...[0, 1, 2, 3, 4].map(layout => experts(layout, layout % 2, layout % 3)),
    chain(
      [
        {
          op: 'shortConv',
          a: { N: 9, C: 20, L: 3, T: 17, R: 32, S: 2 },
          places: { pages: [SMALL, 1], sequence: [SMALL, 1], length: words(17, 1, 3) }
        }
      ],
      ops,
      1
    ),
    chain(
      [{ op: 'rope', a: { N: 5, H: 3, D: 20, R: 12, T: 8, inverse: 0 }, places: { positions: [SMALL, 7] } }],
      ops,
      2
    ),
    chain([{ op: 'writeKeys', a: { N: 3, G: 1, D: 4, R: 64, half: 1 }, places: { cacheRow: [MULTIPLES, 3] } }], ops, 3)
  ]
}

/** @param ops names of the addon's ops, in its order */
export function seeds(ops: readonly string[]): Buffer[] {
  const all = opCases()
  const firsts = [...new Map(all.toReversed().map(c => [c.plan.steps[0]!.op, c])).values()]
  const cases = [...all, ...firsts.flatMap(zeroed)].map((c, i) => seed(c, ops, i % 16)).filter(s => s !== undefined)
  return [...cases, ...blockFormats.flatMap((f, i) => blockChains(f, ops, i)), ...modelChains(ops)]
}
