/**
 * Graph to plan: drops steps that no output needs, keeps the (topological) order of the ops, and places every tensor.
 * Parameters are in 'weights', their gradients at the same offsets in 'gradients', every input, state, constant and
 * output in a buffer of its name, all others in the arena, where tensors with disjoint lifetimes share memory.
 */
import type { Plan } from '../exec/plan.ts'
import { invariant } from '../lib/errors.ts'
import { elementBytes, type Dim, type DType, type SymbolName } from '../ops/sizes.ts'
import { planArena, type Block } from './arena.ts'
import { copy } from './gradient.ts'
import type { Graph, Node, Tensor } from './graph.ts'
import { weightLayout, type Layout } from './layout.ts'
import { PlanBuilder } from './plan-builder.ts'

export interface Place {
  /** Name of the buffer. */
  readonly buffer: string
  /** In bytes. */
  readonly offset: number
  readonly dtype: DType
  readonly shape: readonly Dim[]
}

export interface Compiled {
  readonly plan: Plan
  /** Parameters, inputs, states, constants and outputs by name; gradients as 'grad.<parameter>'. */
  readonly directory: ReadonlyMap<string, Place>
  readonly layout: Layout
  /** Buffers to hand to every run. */
  readonly constants: Readonly<Record<string, Float32Array | Int32Array>>
}

export interface CompileOptions {
  /** The largest value of each symbol. */
  readonly limits: Readonly<Record<SymbolName, number>>
  readonly outputs: Readonly<Record<string, Tensor>>
  /** The result of `gradient`. Default none. */
  readonly gradients?: ReadonlyMap<Tensor, Tensor>
  /** Whether intermediate tensors share memory. Default true; false is for tests. */
  readonly reuse?: boolean
}

/** Compiles the part of a graph that its outputs, gradients and states need. */
export function compile(
  graph: Graph,
  { limits, outputs, gradients = new Map(), reuse = true }: CompileOptions
): Compiled {
  const layout = weightLayout(graph)
  const places = new Map<Tensor, Place>()
  const directory = new Map<string, Place>()
  const put = (name: string, tensor: Tensor, buffer: string, offset = 0): void => {
    invariant(!directory.has(name), `two tensors are called ${name}`)
    const place = { buffer, offset, dtype: tensor.dtype, shape: tensor.shape }
    directory.set(name, place)
    places.set(tensor, place)
  }
  const offsets = new Map(layout.entries.map(e => [e.name, e.offset]))
  for (const p of graph.parameters) put(p.name, p, 'weights', offsets.get(p.name))
  for (const [p, g] of gradients) put(`grad.${p.name}`, g, 'gradients', offsets.get(p.name))
  const roots = new Set(gradients.values())
  for (const [name, t] of Object.entries(outputs)) {
    const own = places.has(t) || t.kind !== 'computed' ? copy(graph, t) : t
    put(name, own, name)
    roots.add(own)
  }

  const nodes = liveNodes(graph, roots)
  const read = new Set(nodes.flatMap(n => n.inputs))
  for (const t of graph.tensors) {
    if ((t.kind === 'input' || t.kind === 'constant') && read.has(t)) put(t.name, t, t.name)
    if (t.kind === 'state' && (read.has(t) || nodes.some(n => n.outputs.includes(t)))) put(t.name, t, t.name)
  }

  const elements = (t: Tensor): number =>
    t.shape.reduce<number>((n, d) => n * (typeof d === 'number' ? d : limits[d]), 1)
  const builder = new PlanBuilder()
  const arena = placeIntermediates(nodes, places, t => elements(t) * elementBytes[t.dtype], reuse)
  // the whole of it, so that the buffer is as long as the layout
  if (layout.bytes > 0) builder.tensor('weights', 'f32', layout.bytes / 4)
  if (gradients.size > 0) builder.tensor('gradients', 'f32', layout.bytes / 4)
  const indices = new Map<Tensor, number>()
  const indexOf = (t: Tensor | null): number => {
    if (!t) return -1
    let index = indices.get(t)
    if (index === undefined) {
      const place = places.get(t) ?? { buffer: 'arena', offset: arena.get(t)! }
      indices.set(t, (index = builder.tensor(place.buffer, t.dtype, elements(t), place.offset)))
    }
    return index
  }
  for (const n of nodes) {
    const kept = n.outputs.map((t, i) =>
      t && n.op.outputs[i]!.endsWith('?') && !read.has(t) && !places.has(t) ? null : t
    )
    builder.step(n.op.name, n.inputs.map(indexOf), kept.map(indexOf), n.a)
  }
  const constants = Object.fromEntries(
    [...graph.constants].filter(([t]) => places.has(t)).map(([t, data]) => [t.name, data])
  )
  return { plan: builder.build(limits), directory, layout, constants }
}

/** The nodes that the roots, or any state, depend on, in order. */
function liveNodes(graph: Graph, live: Set<Tensor>): Node[] {
  const kept: Node[] = []
  for (const node of [...graph.nodes].reverse()) {
    if (!node.outputs.some(t => t && (live.has(t) || t.kind === 'state'))) continue
    kept.push(node)
    for (const t of node.inputs) if (t) live.add(t)
  }
  return kept.reverse()
}

/**
 * Arena offsets of the tensors that are not placed yet. An elementwise op reuses the memory of an input that ends with
 * it.
 */
function placeIntermediates(
  nodes: readonly Node[],
  places: ReadonlyMap<Tensor, Place>,
  bytesOf: (t: Tensor) => number,
  reuse: boolean
): Map<Tensor, number> {
  const lastUse = new Map<Tensor, number>()
  for (const [step, n] of nodes.entries()) for (const t of [...n.inputs, ...n.outputs]) if (t) lastUse.set(t, step)
  const blocks: Block[] = []
  const blockOf = new Map<Tensor, number>()
  for (const [step, n] of nodes.entries()) {
    for (const [i, t] of n.outputs.entries()) {
      if (!t || places.has(t) || (n.op.outputs[i]!.endsWith('?') && lastUse.get(t) === step)) continue
      const bytes = bytesOf(t)
      const last = lastUse.get(t)!
      const over =
        i > 0 || !reuse
          ? undefined
          : n.op.inPlace
              ?.map(k => n.inputs[k]!)
              .find(x => blockOf.has(x) && lastUse.get(x) === step && bytesOf(x) === bytes)
      if (over) {
        const block = blockOf.get(over)!
        blocks[block]!.last = last
        blockOf.set(t, block)
      } else {
        blockOf.set(t, blocks.push({ bytes, first: step, last }) - 1)
      }
    }
  }
  const { offsets } = planArena(blocks, reuse)
  return new Map([...blockOf].map(([t, block]) => [t, offsets[block]!]))
}
