/** Root-mean-square normalisation (Zhang & Sennrich 2019) and its derivatives. */
import { fma32 } from '../lib/float.ts'
import { f32, op } from './op.ts'
import { dotRow, scratch } from './reduce.ts'

const fround = Math.fround

export const rmsNorm = op({
  name: 'rmsNorm',
  inputs: ['x', 'g'],
  outputs: ['y', 'stats'],
  attributes: { N: 'int', C: 'int', eps: 'f32' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.C)], outputs: [f32(a.N, a.C), f32(a.N)] }),
  gradient: b => {
    const [x, g] = b.inputs, stats = b.outputs[1], dy = b.dy[0]
    if (!dy) return [null, null]
    return [b.needs[0] ? b.apply('rmsNormGrad', [x, g, stats, dy])[0] : null, b.needs[1] ? b.apply('rmsNormParamGrad', [x, stats, dy])[0] : null]
  },
  run: ([x, g], [y, stats], { N, C, eps }) => {
    const size = fround(C)
    for (let n = 0; n < N; n++) {
      const o = n * C
      const square = fround(dotRow(x, o, x, o, C) / size)
      const r = fround(1 / fround(Math.sqrt(fround(square + eps))))
      for (let c = 0; c < C; c++) y[o + c] = fround(x[o + c] * r) * g[c]
      stats[n] = r
    }
  },
})

export const rmsNormGrad = op({
  name: 'rmsNormGrad',
  inputs: ['x', 'g', 'stats', 'dy'],
  outputs: ['dx'],
  attributes: { N: 'int', C: 'int' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.C), f32(a.N), f32(a.N, a.C)], outputs: [f32(a.N, a.C)] }),
  run: ([x, g, stats, dy], [dx], { N, C }) => {
    const xhat = scratch(0, C), h = scratch(1, C), size = fround(C)
    for (let n = 0; n < N; n++) {
      const o = n * C, r = stats[n]
      for (let i = 0; i < C; i++) {
        xhat[i] = x[o + i] * r
        h[i] = dy[o + i] * g[i]
      }
      const c = fround(dotRow(h, 0, xhat, 0, C) / size)
      for (let i = 0; i < C; i++) dx[o + i] = r * fma32(-xhat[i], c, h[i])
    }
  },
})

export const rmsNormParamGrad = op({
  name: 'rmsNormParamGrad',
  inputs: ['x', 'stats', 'dy'],
  outputs: ['dg'],
  attributes: { N: 'int', C: 'int' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.N), f32(a.N, a.C)], outputs: [f32(a.C)] }),
  run: ([x, stats, dy], [dg], { N, C }) => {
    dg.fill(0)
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) dg[c] = fma32(dy[n * C + c], fround(x[n * C + c] * stats[n]), dg[c])
    }
  },
})
