/**
 * What each op of a forward pass is in ONNX (operator set 17). Activations are [tokens, width], tokens of all sequences
 * one after another; attention alone sees sequences (onnx-attention.ts).
 */
import type { Node } from '../graph/graph.ts'
import { lowerAttention } from './onnx-attention.ts'
import { attributeOf } from './onnx-emitter.ts'
import type { Lowering, OnnxEmitter } from './onnx-emitter.ts'

const input = (e: OnnxEmitter, node: Node, i: number): string => e.nameOf(node.inputs[i])
const inputs = (e: OnnxEmitter, node: Node): string[] =>
  node.inputs.filter(tensor => tensor !== null).map(tensor => e.nameOf(tensor))

/** The same operation of ONNX on the same inputs. */
const plain =
  (op: string): Lowering =>
  (e, node) => [e.op(op, inputs(e, node))]

/** x·Φ(x) = x/2·(1 + erf(x/√2)). */
function gelu(e: OnnxEmitter, x: string): string {
  const erf = e.op('Erf', [e.op('Mul', [x, e.float(Math.SQRT1_2)])])
  return e.op('Mul', [e.op('Mul', [x, e.float(0.5)]), e.op('Add', [erf, e.float(1)])])
}

/** x/2·(1 + tanh(√(2/π)·(x + 0.044715·x³))). */
function geluTanh(e: OnnxEmitter, x: string): string {
  const cube = e.op('Mul', [e.op('Mul', [x, x]), e.op('Mul', [x, e.float(0.044715)])])
  const tanh = e.op('Tanh', [e.op('Mul', [e.op('Add', [x, cube]), e.float(Math.sqrt(2 / Math.PI))])])
  return e.op('Mul', [e.op('Mul', [x, e.float(0.5)]), e.op('Add', [tanh, e.float(1)])])
}

/** f(gate)·up. */
const gated =
  (f: (e: OnnxEmitter, gate: string) => string): Lowering =>
  (e, node) => [e.op('Mul', [f(e, input(e, node, 0)), input(e, node, 1)])]

const matmul: Lowering = (e, node) => {
  const transB = { int: attributeOf(node, 'layoutB') }
  return [e.op('Gemm', inputs(e, node), { transB })]
}

const layerNorm: Lowering = (e, node) => [
  e.op('LayerNormalization', inputs(e, node), { axis: { int: -1 }, epsilon: { float: attributeOf(node, 'eps') } })
]

const rmsNorm: Lowering = (e, node) => {
  const heads = attributeOf(node, 'H')
  const width = attributeOf(node, 'C')
  const given = input(e, node, 0)
  const x = heads === 1 ? given : e.reshape(given, -1, heads, width / heads)
  const mean = e.op('ReduceMean', [e.op('Mul', [x, x])], { axes: { ints: [-1] }, keepdims: { int: 1 } })
  const root = e.op('Sqrt', [e.op('Add', [mean, e.float(attributeOf(node, 'eps'))])])
  const y = e.op('Mul', [e.op('Div', [x, root]), input(e, node, 1)])
  return [heads === 1 ? y : e.reshape(y, -1, width)]
}

/** Pairs (i, i + R/2) of the first R dimensions of each head turn by the angle of their position. */
const rope: Lowering = (e, node) => {
  const [heads, headDim, turned] = [attributeOf(node, 'H'), attributeOf(node, 'D'), attributeOf(node, 'R')]
  const x = e.reshape(input(e, node, 0), -1, heads, headDim)
  const angle = (table: number): string =>
    e.op('Unsqueeze', [e.op('Gather', [input(e, node, table), input(e, node, 1)]), e.ints(1)])
  const [cos, sin] = [angle(2), angle(3)]
  const slice = (from: number, to: number): string => e.op('Slice', [x, e.ints(from), e.ints(to), e.ints(2)])
  const [a, b] = [slice(0, turned / 2), slice(turned / 2, turned)]
  const low = e.op('Sub', [e.op('Mul', [a, cos]), e.op('Mul', [b, sin])])
  const high = e.op('Add', [e.op('Mul', [b, cos]), e.op('Mul', [a, sin])])
  const rest = turned === headDim ? [] : [slice(turned, headDim)]
  return [e.reshape(e.op('Concat', [low, high, ...rest], { axis: { int: 2 } }), -1, heads * headDim)]
}

const split: Lowering = (e, node) => {
  const widths = ['w0', 'w1', 'w2'].map(name => attributeOf(node, name)).filter(width => width > 0)
  return e.onnx.node('Split', [input(e, node, 0), e.ints(...widths)], { axis: { int: 1 } }, widths.length)
}

const softcap: Lowering = (e, node) => {
  const cap = e.float(attributeOf(node, 'cap'))
  return [e.op('Mul', [e.op('Tanh', [e.op('Div', [input(e, node, 0), cap])]), cap])]
}

/** A cache of this run has no rows of its own in ONNX: attention reads the keys and values themselves. */
const written: Lowering = (e, node) => [input(e, node, 0)]

export const onnxLowerings: Readonly<Record<string, Lowering>> = {
  add: plain('Add'),
  addBias: plain('Add'),
  multiply: plain('Mul'),
  scale: plain('Mul'),
  embedding: plain('Gather'),
  matmul,
  layerNorm,
  rmsNorm,
  rope,
  split,
  concat: (e, node) => [e.op('Concat', inputs(e, node), { axis: { int: 1 } })],
  softcap,
  gelu: (e, node) => [gelu(e, input(e, node, 0))],
  geluTanh: (e, node) => [geluTanh(e, input(e, node, 0))],
  geluTanhGate: gated(geluTanh),
  siluGate: gated((e, x) => e.op('Mul', [x, e.op('Sigmoid', [x])])),
  writeKeys: written,
  writeValues: written,
  attention: lowerAttention
}
