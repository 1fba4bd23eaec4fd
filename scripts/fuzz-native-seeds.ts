/** First inputs for scripts/fuzz-native.c: the plans and data of test/cases.ts, in the bytes which that file decodes. */
import { opCases } from '../test/cases.ts'
import type { OpCase } from '../test/cases.ts'
import { symbols } from '../src/exec/plan.ts'
import type { Attribute } from '../src/exec/plan.ts'
import { opTable } from '../src/ops/table.ts'

/** Cases with more numbers than this in one buffer are left to the tests: a run of the fuzzer has to be short. */
const MOST_BYTES = 8192

/** Kinds of places and contents (next_place, next_content). */
const OWN = 0, ABSENT = 2, EARLIER = 3
const LITERAL = 5

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
  if (typeof a.int === 'string') return [0xe0 + (symbols.indexOf(a.int) + 1) % symbols.length]
  return number(a.int)
}

const number = (n: number): number[] => (n < 0xc0 ? [n] : word(n))

/** @param how threads - 1, and the bits for the pool and guard pages. @returns undefined for a case that is too large */
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
    const padded = (list: readonly number[], length: number): number[] => Array.from({ length }, (_, i) => list[i] ?? -1)
    bytes.push(ops.indexOf(op), ...attributes.flatMap(attribute), ...padded(inputs, ins.length).flatMap(place), ...padded(outputs, outs.length).flatMap(place))
  }
  return Buffer.from(bytes)
}

/** @param ops names of the addon's ops, in its order */
export function seeds(ops: readonly string[]): Buffer[] {
  return opCases().map((c, i) => seed(c, ops, i % 16)).filter(s => s !== undefined)
}
