/**
 * Root-mean-square normalisation (Zhang & Sennrich 2019) and its derivatives: of each row, or of each of the H heads of
 * a row.
 */
import { fma32 } from '../lib/float.ts'
import { f32, op, type AtLeast, type Value } from './op.ts'
import { dotRow, scratch } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

const gain = (a: { C: Dim; H: Dim }): Value => f32(Number(a.C) / Number(a.H))
const stats = (a: { N: Dim; H: Dim }): Value => f32(a.N, a.H)
function infer(
  [x]: AtLeast<Value>,
  { H = 1 }: Readonly<Record<string, Dim>>
): { N: Dim | undefined; C: Dim | undefined; H: Dim | undefined } {
  return { N: x.shape[0], C: x.shape[1], H: Number(x.shape[1]) % Number(H) === 0 ? H : undefined }
}

export const rmsNorm = op({
  name: 'rmsNorm',
  inputs: ['x', 'g'],
  outputs: ['y', 'stats'],
  attributes: { N: 'int', C: 'int', H: 'int', eps: 'f32' },
  infer,
  operands: a => ({ inputs: [f32(a.N, a.C), gain(a)], outputs: [f32(a.N, a.C), stats(a)] }),
  gradient: b => {
    const [x, g] = b.inputs
    const rates = b.outputs[1]
    const dy = b.dy[0]
    const heads = { H: b.a.H }
    if (!dy) return [null, null]
    return [
      b.needs[0] ? b.apply('rmsNormGrad', [x, g, rates, dy], heads)[0] : null,
      b.needs[1] ? b.apply('rmsNormParamGrad', [x, rates, dy], heads)[0] : null
    ]
  },
  run: ([x, g], [y, rates], { N, C, H, eps }) => {
    const D = C / H
    const size = fround(D)
    for (let n = 0; n < N * H; n++) {
      const o = n * D
      const square = fround(dotRow(x, o, x, o, D) / size)
      const r = fround(1 / fround(Math.sqrt(fround(square + eps))))
      for (let c = 0; c < D; c++) y[o + c] = fround(x[o + c]! * r) * g[c]!
      rates[n] = r
    }
  }
})

export const rmsNormGrad = op({
  name: 'rmsNormGrad',
  inputs: ['x', 'g', 'stats', 'dy'],
  outputs: ['dx'],
  attributes: { N: 'int', C: 'int', H: 'int' },
  infer,
  operands: a => ({ inputs: [f32(a.N, a.C), gain(a), stats(a), f32(a.N, a.C)], outputs: [f32(a.N, a.C)] }),
  run: ([x, g, rates, dy], [dx], { N, C, H }) => {
    const D = C / H
    const xhat = scratch(0, D)
    const h = scratch(1, D)
    const size = fround(D)
    for (let n = 0; n < N * H; n++) {
      const o = n * D
      const r = rates[n]
      for (let i = 0; i < D; i++) {
        xhat[i] = x[o + i]! * r!
        h[i] = dy[o + i]! * g[i]!
      }
      const c = fround(dotRow(h, 0, xhat, 0, D) / size)
      for (let i = 0; i < D; i++) dx[o + i] = r! * fma32(-xhat[i]!, c, h[i]!)
    }
  }
})

export const rmsNormParamGrad = op({
  name: 'rmsNormParamGrad',
  inputs: ['x', 'stats', 'dy'],
  outputs: ['dg'],
  attributes: { N: 'int', C: 'int', H: 'int' },
  infer,
  operands: a => ({ inputs: [f32(a.N, a.C), stats(a), f32(a.N, a.C)], outputs: [gain(a)] }),
  run: ([x, rates, dy], [dg], { N, C, H }) => {
    const D = C / H
    dg.fill(0)
    for (let n = 0; n < N * H; n++) {
      for (let c = 0; c < D; c++) dg[c] = fma32(dy[n * D + c]!, fround(x[n * D + c]! * rates[n]!), dg[c]!)
    }
  }
})
