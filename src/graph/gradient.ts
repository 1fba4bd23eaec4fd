/**
 * Reverse-mode differentiation: walks a graph backwards and adds the ops that compute the loss's derivative by each
 * parameter.
 */
import { VeritError, invariant } from '../lib/errors.ts'
import { shapeText, type AtLeast, type Value } from '../ops/op.ts'
import type { Graph, Node, Tensor } from './graph.ts'

export interface Gradients {
  /** The derivative by each parameter that the loss depends on, of the parameter's shape. */
  readonly gradients: Map<Tensor, Tensor>
  /** f32 [1], the derivative by the loss: 1, or 1/micro-batches. */
  readonly lossScale: Tensor
}

/**
 * Adds the backward ops to a graph.
 * @param loss f32 [1]
 * @param parameters default all f32 parameters
 * @param lossScale f32 [1]; default a new input 'lossScale'
 * @throws VeritError VERIT_SHAPE for an op that has no gradient
 */
export function gradient(
  graph: Graph,
  loss: Tensor,
  parameters?: readonly Tensor[],
  { lossScale }: { lossScale?: Tensor } = {}
): Gradients {
  const wanted = parameters ?? graph.parameters.filter(p => p.dtype === 'f32')
  const seed = lossScale ?? graph.input('lossScale', 'f32', [1])
  const needed = dependents(graph, wanted)
  const derivatives = new Map<Tensor, Tensor>([[loss, seed]])

  for (const node of [...graph.nodes].reverse()) {
    const dy = node.outputs.map(t => (t && derivatives.get(t)) ?? null)
    if (dy.every(d => d === null) || !node.outputs.some(t => t && needed.has(t))) continue
    for (const [i, d] of derive(graph, node, dy, needed).entries()) {
      const x = node.inputs[i]
      if (!x || !d || !needed.has(x)) continue
      const before = derivatives.get(x)
      derivatives.set(x, before ? graph.apply('add', [before, d])[0]! : d)
    }
  }

  const gradients = new Map<Tensor, Tensor>()
  const used = new Set<Tensor>()
  for (const p of wanted) {
    const d = derivatives.get(p)
    if (!d) continue
    // each parameter's gradient has its own place in memory
    const own = d.kind === 'computed' && !used.has(d) ? d : copy(graph, d)
    used.add(own)
    gradients.set(p, own)
  }
  return { gradients, lossScale: seed }
}

/** The tensors that depend on any of the given ones, these included. */
function dependents(graph: Graph, roots: readonly Tensor[]): Set<Tensor> {
  const found = new Set(roots)
  for (const node of graph.nodes) {
    if (!node.inputs.some(t => t && found.has(t))) continue
    for (const t of node.outputs) if (t) found.add(t)
  }
  return found
}

function derive(
  graph: Graph,
  node: Node,
  dy: readonly (Tensor | null)[],
  needed: ReadonlySet<Tensor>
): (Tensor | null)[] {
  if (!node.op.gradient) {
    throw new VeritError('VERIT_SHAPE', {
      op: node.op.name,
      problem: 'it has no gradient',
      shapes: node.inputs.map(shapeText).join(', ')
    })
  }
  return node.op.gradient({
    a: node.a,
    inputs: node.inputs as readonly Value[],
    outputs: node.outputs as readonly Value[],
    dy,
    needs: node.inputs.map(t => t !== null && needed.has(t)),
    apply: (op, inputs, given) =>
      graph.apply(op, inputs as readonly (Tensor | null)[], given) as unknown as AtLeast<Value>,
    producer: value => (graph.producer(value as Tensor)?.inputs as readonly Value[]) ?? null
  }) as (Tensor | null)[]
}

/** A copy of a tensor in memory of its own. */
export function copy(graph: Graph, x: Tensor): Tensor {
  const width = x.shape.at(-1)
  invariant(x.dtype === 'f32' && typeof width === 'number', `${x.name} is ${shapeText(x)}, which cannot be copied`)
  return graph.apply('split', [x], { w0: width }, { fresh: true })[0]!
}
