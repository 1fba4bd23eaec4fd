/** Cross entropy over a vocabulary (two-pass softmax), means, and their derivatives. */
import { exp32, log32 } from '../lib/functions.ts'
import { f32, i32, op } from './op.ts'
import { indexProblem } from './columns.ts'
import { maxRow, scratch, sumRow } from './reduce.ts'

const fround = Math.fround

/** −log softmax(logits)[target] of each row; a target of −1 is not counted. */
export const crossEntropy = op({
  name: 'crossEntropy',
  inputs: ['logits', 'targets'],
  outputs: ['loss', 'stats'],
  attributes: { N: 'int', V: 'int' },
  infer: ([x]) => ({ N: x.shape[0], V: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.V), i32(a.N)], outputs: [f32(a.N), f32(a.N, 2)] }),
  gradient: b => [b.dy[0] && b.apply('crossEntropyGrad', [b.inputs[0], b.inputs[1], b.outputs[1], b.dy[0]])[0], null],
  check: ([, targets], { V }) => indexProblem('targets', targets, -1, V),
  run: ([x, targets], [loss, stats], { N, V }) => {
    const e = scratch(0, V)
    for (let n = 0; n < N; n++) {
      const o = n * V
      const mx = maxRow(x, o, V)
      for (let j = 0; j < V; j++) e[j] = exp32(fround(x[o + j]! - mx))
      const l = sumRow(e, 0, V)
      loss[n] = targets[n]! < 0 ? 0 : log32(l) - fround(x[o + targets[n]!]! - mx)
      stats[2 * n] = mx
      stats[2 * n + 1] = 1 / l
    }
  }
})

export const crossEntropyGrad = op({
  name: 'crossEntropyGrad',
  inputs: ['logits', 'targets', 'stats', 'dloss'],
  outputs: ['dlogits'],
  attributes: { N: 'int', V: 'int' },
  infer: ([x]) => ({ N: x.shape[0], V: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.V), i32(a.N), f32(a.N, 2), f32(a.N)], outputs: [f32(a.N, a.V)] }),
  check: ([, targets], { V }) => indexProblem('targets', targets, -1, V),
  run: ([x, targets, stats, dloss], [dx], { N, V }) => {
    for (let n = 0; n < N; n++) {
      const o = n * V
      const mx = stats[2 * n]
      const inv = stats[2 * n + 1]
      const t = targets[n]
      for (let j = 0; j < V; j++) {
        const p = fround(exp32(fround(x[o + j]! - mx!)) * inv!)
        dx[o + j] = t! < 0 ? 0 : (j === t ? fround(p - 1) : p) * dloss[n]!
      }
    }
  }
})

export const mean = op({
  name: 'mean',
  inputs: ['x'],
  outputs: ['y'],
  attributes: { N: 'int' },
  infer: ([x]) => ({ N: x.shape[0] }),
  operands: a => ({ inputs: [f32(a.N)], outputs: [f32(1)] }),
  gradient: b => [b.dy[0] && b.apply('meanGrad', [b.dy[0]], { N: b.a.N })[0]],
  run: ([x], [y], { N }) => {
    y[0] = sumRow(x, 0, N) / fround(N)
  }
})

export const meanGrad = op({
  name: 'meanGrad',
  inputs: ['dy'],
  outputs: ['dx'],
  attributes: { N: 'int' },
  infer: (_, { N }) => ({ N }),
  operands: a => ({ inputs: [f32(1)], outputs: [f32(a.N)] }),
  run: ([dy], [dx], { N }) => {
    for (let n = 0; n < N; n++) dx[n] = dy[0]! / fround(N)
  }
})
