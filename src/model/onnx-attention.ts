/**
 * Attention in ONNX, over the keys and values of earlier tokens that the caller hands in and gets back, as ONNX Runtime
 * GenAI does: `past_key_values.L.key` [batch, kvHeads, past, headDim] to `present.L.key`. A query sees the tokens of
 * its sequence up to its own, less those that `attention_mask` [batch, past + new] excludes.
 */
import type { Node } from '../graph/graph.ts'
import { attributeOf } from './onnx-emitter.ts'
import type { OnnxEmitter } from './onnx-emitter.ts'

/** Added to scores that do not count. Not -∞: a row of padding alone would become NaN. */
const EXCLUDED = -3.4e38

/** Layers lowered so far, and masks by window, of one model. */
interface Progress {
  layers: number
  readonly masks: Map<number, string>
  /** Shape of input_ids: batch and new tokens. */
  readonly sizes: string
}

const progressOf = new WeakMap<OnnxEmitter, Progress>()

function progress(e: OnnxEmitter): Progress {
  const known = progressOf.get(e)
  if (known !== undefined) return known
  const made: Progress = { layers: 0, masks: new Map(), sizes: e.op('Shape', ['input_ids']) }
  progressOf.set(e, made)
  return made
}

export function lowerAttention(e: OnnxEmitter, node: Node): string[] {
  const state = progress(e)
  const layer = state.layers++
  const heads = attributeOf(node, 'H')
  const kvHeads = attributeOf(node, 'G')
  const headDim = attributeOf(node, 'D')
  const group = heads / kvHeads
  const sized = (x: string, ...rest: number[]): string =>
    e.op('Reshape', [x, e.op('Concat', [state.sizes, e.ints(...rest)], { axis: { int: 0 } })])
  const transpose = (x: string, ...order: number[]): string => e.op('Transpose', [x], { perm: { ints: order } })

  // [batch, kvHeads, group, new, headDim]
  const q = transpose(sized(e.nameOf(node.inputs[0]), kvHeads, group, headDim), 0, 2, 3, 1, 4)
  const cached = (input: number, what: 'key' | 'value'): string => {
    const fresh = transpose(sized(e.nameOf(node.inputs[input]), kvHeads, headDim), 0, 2, 1, 3)
    const past = e.onnx.input(`past_key_values.${layer}.${what}`, 'float', ['batch', kvHeads, 'past', headDim])
    const present = `present.${layer}.${what}`
    e.onnx.node('Concat', [past, fresh], { axis: { int: 2 } }, [present])
    e.onnx.output(present, 'float', ['batch', kvHeads, 'total', headDim])
    return e.op('Unsqueeze', [present, e.ints(2)])
  }
  const keys = cached(1, 'key')
  const values = cached(2, 'value')

  let scores = e.op('MatMul', [q, transpose(keys, 0, 1, 2, 4, 3)])
  scores = e.op('Mul', [scores, e.float(attributeOf(node, 'scale'))])
  const cap = attributeOf(node, 'softcap')
  if (cap > 0) scores = e.op('Mul', [e.op('Tanh', [e.op('Div', [scores, e.float(cap)])]), e.float(cap)])
  const shares = e.op('Softmax', [e.op('Add', [scores, mask(e, state, attributeOf(node, 'window'))])], {
    axis: { int: -1 }
  })
  const mixed = transpose(e.op('MatMul', [shares, values]), 0, 3, 1, 2, 4)
  return [e.reshape(mixed, -1, heads * headDim)]
}

/** What is added to scores [batch, 1, 1, new, total]: 0, or EXCLUDED. @param window 0: no window */
function mask(e: OnnxEmitter, { masks, sizes }: Progress, window: number): string {
  const known = masks.get(window)
  if (known !== undefined) return known
  const size = (shape: string, index: number): string => e.op('Gather', [shape, e.int(index)])
  const total = size(e.op('Shape', ['attention_mask']), 1)
  const first = e.op('Sub', [total, size(sizes, 1)])
  const query = e.op('Unsqueeze', [e.op('Range', [first, total, e.int(1)]), e.ints(1)])
  const key = e.op('Unsqueeze', [e.op('Range', [e.int(0), total, e.int(1)]), e.ints(0)])
  let seen = e.op('LessOrEqual', [key, query])
  if (window > 0) {
    const oldest = e.op('Sub', [query, e.int(window)])
    seen = e.op('And', [seen, e.op('Greater', [key, oldest])])
  }
  const given = e.op('Unsqueeze', [e.op('Equal', ['attention_mask', e.int(1)]), e.ints(1, 2, 3)])
  const counts = e.op('And', [given, seen])
  const made = e.op('Where', [counts, e.float(0), e.float(EXCLUDED)])
  masks.set(window, made)
  return made
}
