/** Ops that work on each element alone: sums, scaling, activations, dropout. */
import { INV_SQRT_2PI, SQRT1_2, erfCore, exp32, expCore } from '../lib/functions.ts'
import { Philox } from '../lib/philox.ts'
import { elementOp, inferFlat, rowsAndColumns } from './element-op.ts'
import { f32, i32, op } from './op.ts'

const fround = Math.fround

export const add = elementOp({
  name: 'add',
  inputs: ['a', 'b'],
  outputs: ['y'],
  inPlace: [0, 1],
  gradient: b => [b.dy[0], b.dy[0]],
  run: ([a, b], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = a[e]! + b[e]!
  }
})

/** Adds a vector to each row. */
export const addBias = op({
  name: 'addBias',
  inputs: ['x', 'bias'],
  outputs: ['y'],
  attributes: rowsAndColumns,
  infer: inferFlat,
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.C)], outputs: [f32(a.N, a.C)] }),
  inPlace: [0],
  gradient: b => {
    const dy = b.dy[0]
    return [dy, dy && b.needs[1] ? b.apply('columnSum', [dy])[0] : null]
  },
  run: ([x, bias], [y], { N, C }) => {
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) y[n * C + c] = x[n * C + c]! + bias[c]!
    }
  }
})

/** Times a number that is bound at run time; no derivative by that number. */
export const scale = op({
  name: 'scale',
  inputs: ['x', 's'],
  outputs: ['y'],
  attributes: rowsAndColumns,
  infer: inferFlat,
  operands: a => ({ inputs: [f32(a.N, a.C), f32(1)], outputs: [f32(a.N, a.C)] }),
  inPlace: [0],
  gradient: b => [b.dy[0] && b.apply('scale', [b.dy[0], b.inputs[1]])[0], null],
  run: ([x, s], [y], { N, C }) => {
    const by = s[0]
    for (let e = 0; e < N * C; e++) y[e] = x[e]! * by!
  }
})

/** The exact GELU x·Φ(x) (Hendrycks & Gimpel 2016), in f64 with one rounding. */
export const gelu = elementOp({
  name: 'gelu',
  inputs: ['x'],
  outputs: ['y'],
  inPlace: [0],
  gradient: b => [b.dy[0] && b.apply('geluGrad', [b.inputs[0], b.dy[0]])[0]],
  run: ([x], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = 0.5 * x[e]! * (1 + erfCore(x[e]! * SQRT1_2))
  }
})

export const geluGrad = elementOp({
  name: 'geluGrad',
  inputs: ['x', 'dy'],
  outputs: ['dx'],
  inPlace: [0, 1],
  run: ([xs, dy], [dx], { N, C }) => {
    for (let e = 0; e < N * C; e++) {
      const x = xs[e]
      const F = 0.5 * (1 + erfCore(x! * SQRT1_2))
      const f = Math.abs(x!) > 30 ? 0 : expCore(x! * x! * -0.5) * INV_SQRT_2PI
      dx[e] = dy[e]! * (F + x! * f)
    }
  }
})

/** relu(gate)²·up, the gate of BitNet's feed-forward. */
export const reluSquareGate = elementOp({
  name: 'reluSquareGate',
  inputs: ['gate', 'up'],
  outputs: ['y'],
  inPlace: [0, 1],
  gradient: b => (b.dy[0] ? b.apply('reluSquareGateGrad', [b.inputs[0], b.inputs[1], b.dy[0]]) : [null, null]),
  run: ([gate, up], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) {
      const r = gate[e]! > 0 ? gate[e] : 0
      y[e] = fround(r! * r!) * up[e]!
    }
  }
})

export const reluSquareGateGrad = elementOp({
  name: 'reluSquareGateGrad',
  inputs: ['gate', 'up', 'dy'],
  outputs: ['dgate', 'dup'],
  run: ([gate, up, dy], [dgate, dup], { N, C }) => {
    for (let e = 0; e < N * C; e++) {
      const r = gate[e]! > 0 ? gate[e] : 0
      dgate[e] = fround(fround(r! + r!) * up[e]!) * dy[e]!
      dup[e] = fround(r! * r!) * dy[e]!
    }
  }
})

/** gate·σ(gate)·up, the gate of Llama's feed-forward (SwiGLU, Shazeer 2020). */
export const siluGate = elementOp({
  name: 'siluGate',
  inputs: ['gate', 'up'],
  outputs: ['y'],
  inPlace: [0, 1],
  gradient: b => (b.dy[0] ? b.apply('siluGateGrad', [b.inputs[0], b.inputs[1], b.dy[0]]) : [null, null]),
  run: ([gate, up], [y], { N, C }) => {
    for (let e = 0; e < N * C; e++) y[e] = fround(gate[e]! / fround(1 + exp32(-gate[e]!))) * up[e]!
  }
})

export const siluGateGrad = elementOp({
  name: 'siluGateGrad',
  inputs: ['gate', 'up', 'dy'],
  outputs: ['dgate', 'dup'],
  run: ([gate, up, dy], [dgate, dup], { N, C }) => {
    for (let e = 0; e < N * C; e++) {
      const below = fround(1 + exp32(-gate[e]!))
      const a = fround(gate[e]! / below)
      const s = fround(1 / below)
      dgate[e] = fround(fround(s + fround(a * fround(1 - s))) * up[e]!) * dy[e]!
      dup[e] = a * dy[e]!
    }
  }
})

/**
 * Keeps an element where its random word reaches the threshold; the word depends on seed, site, micro-step and position
 * alone.
 */
export const dropout = op({
  name: 'dropout',
  inputs: ['x', 'rng'],
  outputs: ['y'],
  attributes: { N: 'int', C: 'int', purpose: 'int', threshold: 'int', scale: 'f32' },
  infer: inferFlat,
  operands: a => ({ inputs: [f32(a.N, a.C), i32(3)], outputs: [f32(a.N, a.C)] }),
  inPlace: [0],
  gradient: b => [
    b.dy[0] &&
      b.apply('dropout', [b.dy[0], b.inputs[1]], {
        purpose: b.a.purpose,
        threshold: b.a.threshold,
        scale: b.a.scale
      })[0],
    null
  ],
  run: ([x, rng], [y], { N, C, purpose, threshold, scale: by }) => {
    const words = new Philox(BigInt(rng[0]! >>> 0) | (BigInt(rng[1]! >>> 0) << 32n), purpose, rng[2]! >>> 0)
    for (let e = 0; e < N * C; e++) y[e] = words.word(e) >= threshold ? x[e]! * by : 0
  }
})
