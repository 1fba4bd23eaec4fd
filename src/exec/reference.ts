/**
 * The reference executor: runs a plan with the plain loops of src/ops, slow and obvious. Every native kernel is
 * compared with it, and it serves if there is no native library.
 */
import { VeritError } from '../lib/errors.ts'
import type { Data, Op, Value } from '../ops/op.ts'
import { opTable } from '../ops/table.ts'
import {
  elementBytes,
  symbols,
  type Bindings,
  type Buffers,
  type Dim,
  type Executor,
  type LoadedPlan,
  type Plan,
  type SymbolName
} from './plan.ts'

type Sizes = Readonly<Record<SymbolName, number>>

const fail = (problem: string): never => {
  throw new VeritError('VERIT_PLAN', { problem })
}

/** The TypeScript executor. Nothing needs freeing. */
export function referenceExecutor(): Executor {
  return { name: 'reference', threads: 1, bytePermutes: false, allocate, load: plan => new ReferencePlan(plan) }
}

function allocate(bytes: number): ArrayBuffer {
  try {
    return new ArrayBuffer(bytes)
  } catch (e) {
    throw new VeritError('VERIT_MEMORY', { problem: `${bytes} bytes at once` }, e)
  }
}

interface BoundStep {
  readonly row: Op
  readonly name: string
  readonly attributes: (sizes: Sizes) => Record<string, number>
}

class ReferencePlan implements LoadedPlan {
  readonly plan: Plan
  readonly #steps: BoundStep[]
  #arena: ArrayBuffer | null
  #queue: Promise<void> = Promise.resolve()

  constructor(plan: Plan) {
    this.plan = plan
    this.#steps = plan.steps.map((step, i) => {
      const row = opTable.get(step.op) ?? fail(`step ${i}: there is no op ${JSON.stringify(step.op)}`)
      return {
        row,
        name: `step ${i} (${step.op})`,
        attributes: decoder(row, step.attributes, `step ${i} (${step.op})`)
      }
    })
    checkTensors(plan)
    for (let i = 0; i < plan.steps.length; i++) this.#operands(i, plan.limits)
    this.#arena = allocate(plan.bufferBytes[0]!)
  }

  run(buffers: Buffers, bindings: Bindings = {}): Promise<void> {
    const done = this.#queue.then(() => this.#run(buffers, bindings))
    this.#queue = done.catch(() => {})
    return done
  }

  dispose(): void {
    this.#arena = null
  }

  #run(buffers: Buffers, bindings: Bindings): void {
    const { plan } = this
    const arena = this.#arena ?? fail('it was disposed of')
    const sizes = bind(plan, bindings)
    const views = plan.buffers.map((name, b) => {
      if (b === 0) return new Uint8Array(arena)
      const view = Object.hasOwn(buffers, name) ? buffers[name] : undefined
      if (!ArrayBuffer.isView(view)) return fail(`buffer ${name} is missing`)
      if (view.byteLength < plan.bufferBytes[b]!)
        fail(`buffer ${name} has ${view.byteLength} bytes and needs ${plan.bufferBytes[b]}`)
      if (view.byteOffset % 4 !== 0) fail(`buffer ${name} does not begin at a multiple of 4 bytes`)
      return view
    })
    for (const [i, { row, name }] of this.#steps.entries()) {
      const { a, inputs, outputs } = this.#operands(i, sizes)
      const data = (indices: readonly number[], wanted: readonly (Value | null)[]): Data[] =>
        indices.map(
          (t, k) =>
            (t < 0 ? undefined : open(views[plan.tensors[t]!.buffer]!, plan.tensors[t]!.offset, wanted[k]!)) as Data
        )
      const sources = data(plan.steps[i]!.inputs, inputs)
      const problem = row.check?.(sources, a)
      if (problem) fail(`${name}: ${problem}`)
      row.run(sources, data(plan.steps[i]!.outputs, outputs), a)
    }
  }

  /** Operands of step i at the given sizes, checked against the tensors. */
  #operands(
    i: number,
    sizes: Sizes
  ): { a: Record<string, number>; inputs: readonly (Value | null)[]; outputs: readonly (Value | null)[] } {
    const { row, name, attributes } = this.#steps[i]!
    const step = this.plan.steps[i]
    const a = attributes(sizes)
    const { inputs, outputs } = row.operands(a)
    const check = (
      side: string,
      names: readonly string[],
      indices: readonly number[],
      wanted: readonly (Value | null)[],
      optional: boolean
    ): void => {
      if (indices.length !== names.length) fail(`${name} has ${indices.length} ${side}, not ${names.length}`)
      for (const [k, t] of indices.entries()) {
        const want = wanted[k]
        const what = `${name}: ${names[k]!.replace('?', '')}`
        if (want === null ? t === -1 : optional && t === -1 && names[k]!.endsWith('?')) continue
        const tensor = this.plan.tensors[t] ?? fail(`${what} is tensor ${t}, which does not exist`)
        if (want === null) return fail(`${what} must be absent`)
        const bytes = count(want!, what) * elementBytes[want!.dtype]
        if (tensor.dtype !== want!.dtype || tensor.bytes < bytes)
          fail(`${what} is ${tensor.bytes} bytes of ${tensor.dtype}, not ${bytes} of ${want!.dtype}`)
      }
    }
    check('inputs', row.inputs, step!.inputs, inputs, false)
    check('outputs', row.outputs, step!.outputs, outputs, true)
    return { a, inputs, outputs }
  }
}

/** Reads the attributes of a step by name; symbols take their bound value. */
function decoder(row: Op, encoded: Plan['steps'][number]['attributes'], name: string): BoundStep['attributes'] {
  const kinds = Object.entries(row.attributes)
  if (encoded.length !== kinds.length) fail(`${name} has ${encoded.length} attributes, not ${kinds.length}`)
  const read = kinds.map(([key, kind], k): [string, Dim] => {
    const value = encoded[k]
    if (kind === 'f32')
      return 'f32' in value! ? [key, Math.fround(value.f32)] : fail(`${name}: ${key} must be a number`)
    if (!('int' in value!)) return fail(`${name}: ${key} must be an integer`)
    if (
      typeof value.int === 'string' ? !symbols.includes(value.int) : !Number.isSafeInteger(value.int) || value.int < 0
    )
      fail(`${name}: ${key} is ${value.int}`)
    return [key, value.int]
  })
  return sizes => Object.fromEntries(read.map(([key, v]) => [key, typeof v === 'string' ? sizes[v] : v]))
}

function checkTensors(plan: Plan): void {
  if (plan.buffers[0] !== 'arena' || plan.buffers.length !== plan.bufferBytes.length)
    fail('its buffers do not begin with the arena')
  if (plan.bufferBytes.some(b => !Number.isSafeInteger(b) || b < 0)) fail('a buffer has no valid size')
  for (const [i, t] of plan.tensors.entries()) {
    const room = plan.bufferBytes[t.buffer] ?? fail(`tensor ${i} lies in buffer ${t.buffer}, which does not exist`)
    const valid =
      Object.hasOwn(elementBytes, t.dtype) &&
      [t.bytes, t.offset].every(n => Number.isSafeInteger(n) && n >= 0) &&
      t.offset % 64 === 0
    if (!valid || t.offset + t.bytes > room) fail(`tensor ${i} does not lie inside buffer ${plan.buffers[t.buffer]}`)
  }
}

function bind(plan: Plan, bindings: Bindings): Sizes {
  return Object.fromEntries(
    symbols.map(s => {
      const n = bindings[s] ?? plan.limits[s]
      return Number.isSafeInteger(n) && n >= 0 && n <= plan.limits[s]
        ? [s, n]
        : fail(`${s} is ${n}; the plan was made for 0 … ${plan.limits[s]}`)
    })
  ) as Record<SymbolName, number>
}

function count(v: Value, what: string): number {
  const n = v.shape.reduce<number>((product, d) => product * (d as number), 1)
  return Number.isSafeInteger(n) && v.shape.every(d => Number.isSafeInteger(d))
    ? n
    : fail(`${what} cannot have the shape [${v.shape.join(', ')}]`)
}

const arrays = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array
} as const

function open(view: ArrayBufferView, offset: number, v: Value): Data {
  return new arrays[v.dtype](view.buffer as ArrayBuffer, view.byteOffset + offset, count(v, 'it'))
}
