/**
 * Elementwise ops made from tanh: the usual approximation of GELU, its gate (GEGLU, Shazeer 2020), and soft caps; and
 * products.
 */
import { tanh32, tanhCore } from '../lib/functions.ts'
import { elementOp } from './element-op.ts'

const fround = Math.fround

/** √(2/π) */
const ROOT = 0.7978845608028654
const CUBE = 0.044715

const inner = (x: number): number => tanhCore(ROOT * (x + CUBE * (x * x * x)))
const value = (x: number): number => 0.5 * x * (1 + inner(x))
function slope(x: number): number {
  const t = inner(x)
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (ROOT * (1 + 3 * CUBE * (x * x)))
}

/** The approximation of GELU with tanh (Hendrycks & Gimpel 2016), in f64 with one rounding. */
export const geluTanh = elementOp({
  name: 'geluTanh',
  inputs: ['x'],
  outputs: ['y'],
  inPlace: [0],
  gradient: b => [b.dy[0] && b.apply('geluTanhGrad', [b.inputs[0], b.dy[0]])[0]],
  run: ([x], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = value(x[e]!)
  }
})

export const geluTanhGrad = elementOp({
  name: 'geluTanhGrad',
  inputs: ['x', 'dy'],
  outputs: ['dx'],
  inPlace: [0, 1],
  run: ([x, dy], [dx], { N, C }) => {
    for (let e = 0; e < N * C; e++) dx[e] = dy[e]! * slope(x[e]!)
  }
})

/** geluTanh(gate)·up, the gate of Gemma's feed-forward. */
export const geluTanhGate = elementOp({
  name: 'geluTanhGate',
  inputs: ['gate', 'up'],
  outputs: ['y'],
  inPlace: [0, 1],
  gradient: b => (b.dy[0] ? b.apply('geluTanhGateGrad', [b.inputs[0], b.inputs[1], b.dy[0]]) : [null, null]),
  run: ([gate, up], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = fround(value(gate[e]!)) * up[e]!
  }
})

export const geluTanhGateGrad = elementOp({
  name: 'geluTanhGateGrad',
  inputs: ['gate', 'up', 'dy'],
  outputs: ['dgate', 'dup'],
  run: ([gate, up, dy], [dgate, dup], { N, C }) => {
    for (let e = 0; e < N * C; e++) {
      dgate[e] = fround(fround(slope(gate[e]!)) * up[e]!) * dy[e]!
      dup[e] = fround(value(gate[e]!)) * dy[e]!
    }
  }
})

/** cap·tanh(x/cap). */
export const softcap = elementOp({
  name: 'softcap',
  inputs: ['x'],
  outputs: ['y'],
  numbers: { cap: 'f32' },
  inferNumbers: ({ cap }) => ({ cap: Number(cap) > 0 ? cap : undefined }),
  inPlace: [0],
  gradient: b => [b.dy[0] && b.apply('softcapGrad', [b.inputs[0], b.dy[0]], { cap: b.a.cap })[0]],
  run: ([x], [y], { N, C, cap }) => {
    for (let e = 0; e < N * C; e++) y[e] = cap * tanh32(fround(x[e]! / cap))
  }
})

export const softcapGrad = elementOp({
  name: 'softcapGrad',
  inputs: ['x', 'dy'],
  outputs: ['dx'],
  numbers: { cap: 'f32' },
  inPlace: [0, 1],
  run: ([x, dy], [dx], { N, C, cap }) => {
    for (let e = 0; e < N * C; e++) {
      const t = tanh32(fround(x[e]! / cap))
      dx[e] = fround(1 - fround(t * t)) * dy[e]!
    }
  }
})

export const multiply = elementOp({
  name: 'multiply',
  inputs: ['a', 'b'],
  outputs: ['y'],
  inPlace: [0, 1],
  gradient: b => [0, 1].map(i => (b.dy[0] && b.needs[i] ? b.apply('multiply', [b.dy[0], b.inputs[1 - i]!])[0] : null)),
  run: ([a, b], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = a[e]! * b[e]!
  }
})
