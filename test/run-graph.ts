/** Runs a compiled graph once on the reference executor: values in by name, typed arrays out by name. */
import { referenceExecutor } from '../src/exec/reference.ts'
import type { Bindings, Executor } from '../src/exec/plan.ts'
import type { Compiled } from '../src/graph/compile.ts'
import type { Data } from '../src/ops/op.ts'
import { elementBytes } from '../src/ops/sizes.ts'

export type Values = Readonly<Record<string, ArrayLike<number>>>

const arrays = {
  f32: Float32Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  i32: Int32Array,
  i8: Int8Array,
  u8: Uint8Array
} as const

/** Zeroed buffers for a compiled graph, and typed arrays over everything in its directory. */
export function openBuffers(c: Compiled): { buffers: Record<string, ArrayBufferView>; data: Map<string, Data> } {
  const buffers: Record<string, ArrayBufferView> = {}
  for (const [b, name] of c.plan.buffers.entries()) if (b > 0) buffers[name] = new Uint8Array(c.plan.bufferBytes[b]!)
  const data = new Map(
    [...c.directory]
      .filter(([, p]) => p.buffer in buffers)
      .map(([name, p]) => {
        const elements = p.shape.reduce<number>((n, d) => n * (typeof d === 'number' ? d : c.plan.limits[d]), 1)
        const view = buffers[p.buffer]
        return [
          name,
          new arrays[p.dtype](
            view!.buffer as ArrayBuffer,
            view!.byteOffset + p.offset,
            Math.min(elements, view!.byteLength / elementBytes[p.dtype])
          )
        ]
      })
  )
  for (const [name, values] of Object.entries(c.constants)) data.get(name)?.set(values)
  return { buffers, data }
}

/**
 * Loads, runs `times` times, and disposes.
 * @returns a reader of whatever the directory names
 */
export async function runGraph(
  c: Compiled,
  values: Values,
  {
    bindings = {},
    executor = referenceExecutor(),
    times = 1
  }: { bindings?: Bindings; executor?: Executor; times?: number } = {}
): Promise<(name: string) => number[]> {
  const { buffers, data } = openBuffers(c)
  for (const [name, v] of Object.entries(values)) data.get(name)?.set(v)
  const loaded = executor.load(c.plan)
  for (let i = 0; i < times; i++) await loaded.run(buffers, bindings)
  loaded.dispose()
  return name => [...data.get(name)!]
}
