/** Layer normalisation (Ba, Kiros & Hinton 2016) and its derivatives. */
import { fma32 } from '../lib/float.ts'
import { f32, op } from './op.ts'
import { dotRow, scratch, sumRow } from './reduce.ts'

const fround = Math.fround

export const layerNorm = op({
  name: 'layerNorm',
  inputs: ['x', 'g', 'b?'],
  outputs: ['y', 'stats'],
  attributes: { N: 'int', C: 'int', hasBias: 'int', eps: 'f32' },
  infer: ([x, , b]) => ({ N: x.shape[0], C: x.shape[1], hasBias: b ? 1 : 0 }),
  operands: a => ({
    inputs: [f32(a.N, a.C), f32(a.C), a.hasBias ? f32(a.C) : null],
    outputs: [f32(a.N, a.C), f32(a.N, 2)]
  }),
  gradient: b => {
    const [x, g] = b.inputs
    const stats = b.outputs[1]
    const dy = b.dy[0]
    if (!dy) return [null, null, null]
    const parameters =
      b.needs[1] || b.needs[2] ? b.apply('layerNormParamGrad', [x, stats, dy], { hasBias: b.a.hasBias }) : []
    return [
      b.needs[0] ? b.apply('layerNormGrad', [x, g, stats, dy])[0] : null,
      parameters[0] ?? null,
      parameters[1] ?? null
    ]
  },
  run: ([x, g, b], [y, stats], { N, C, hasBias, eps }) => {
    const d = scratch(0, C)
    const size = fround(C)
    for (let n = 0; n < N; n++) {
      const o = n * C
      const mean = fround(sumRow(x, o, C) / size)
      for (let c = 0; c < C; c++) d[c] = x[o + c]! - mean
      const variance = fround(dotRow(d, 0, d, 0, C) / size)
      const rstd = fround(1 / fround(Math.sqrt(fround(variance + eps))))
      for (let c = 0; c < C; c++) {
        const xhat = fround(d[c]! * rstd)
        y[o + c] = hasBias ? fma32(xhat, g[c]!, b![c]!) : xhat * g[c]!
      }
      stats[2 * n] = mean
      stats[2 * n + 1] = rstd
    }
  }
})

export const layerNormGrad = op({
  name: 'layerNormGrad',
  inputs: ['x', 'g', 'stats', 'dy'],
  outputs: ['dx'],
  attributes: { N: 'int', C: 'int' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({ inputs: [f32(a.N, a.C), f32(a.C), f32(a.N, 2), f32(a.N, a.C)], outputs: [f32(a.N, a.C)] }),
  run: ([x, g, stats, dy], [dx], { N, C }) => {
    const xhat = scratch(0, C)
    const h = scratch(1, C)
    const size = fround(C)
    for (let n = 0; n < N; n++) {
      const o = n * C
      const mean = stats[2 * n]
      const rstd = stats[2 * n + 1]
      for (let i = 0; i < C; i++) {
        xhat[i] = fround(x[o + i]! - mean!) * rstd!
        h[i] = dy[o + i]! * g[i]!
      }
      const a = fround(sumRow(h, 0, C) / size)
      const c = fround(dotRow(h, 0, xhat, 0, C) / size)
      for (let i = 0; i < C; i++) dx[o + i] = rstd! * fma32(-xhat[i]!, c, fround(h[i]! - a))
    }
  }
})

export const layerNormParamGrad = op({
  name: 'layerNormParamGrad',
  inputs: ['x', 'stats', 'dy'],
  outputs: ['dg', 'db'],
  attributes: { N: 'int', C: 'int', hasBias: 'int' },
  infer: ([x]) => ({ N: x.shape[0], C: x.shape[1] }),
  operands: a => ({
    inputs: [f32(a.N, a.C), f32(a.N, 2), f32(a.N, a.C)],
    outputs: [f32(a.C), a.hasBias ? f32(a.C) : null]
  }),
  run: ([x, stats, dy], [dg, db], { N, C, hasBias }) => {
    dg.fill(0)
    if (hasBias) db.fill(0)
    for (let n = 0; n < N; n++) {
      const o = n * C
      const mean = stats[2 * n]
      const rstd = stats[2 * n + 1]
      for (let c = 0; c < C; c++) {
        dg[c] = fma32(dy[o + c]!, fround(fround(x[o + c]! - mean!) * rstd!), dg[c]!)
        if (hasBias) db[c]! += dy[o + c]!
      }
    }
  }
})
