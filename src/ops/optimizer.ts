/**
 * AdamW with decoupled decay (Loshchilov & Hutter 2019) over one flat buffer, and clipping by the global norm of the
 * gradient.
 */
import { fma32 } from '../lib/float.ts'
import { ceilDiv, f32, op } from './op.ts'
import { dotRow, sumRow } from './reduce.ts'

const fround = Math.fround

/** The squares of each run of 4096 elements, added up. */
export const squareSum = op({
  name: 'squareSum',
  inputs: ['x'],
  outputs: ['s'],
  attributes: { P: 'int' },
  infer: ([x]) => ({ P: x.shape[0] }),
  operands: a => ({ inputs: [f32(a.P)], outputs: [f32(ceilDiv(a.P, 4096))] }),
  run: ([x], [s], { P }) => {
    for (let i = 0; i * 4096 < P; i++) s[i] = dotRow(x, i * 4096, x, i * 4096, Math.min(4096, P - i * 4096))
  }
})

/** The norm of all gradients, and the factor that scales it down to maxNorm (1 if it is smaller, or maxNorm is 0). */
export const clipFactor = op({
  name: 'clipFactor',
  inputs: ['s'],
  outputs: ['f'],
  attributes: { S: 'int', maxNorm: 'f32' },
  infer: ([s]) => ({ S: s.shape[0] }),
  operands: a => ({ inputs: [f32(a.S)], outputs: [f32(2)] }),
  run: ([s], [f], { S, maxNorm }) => {
    const norm = fround(Math.sqrt(sumRow(s, 0, S)))
    f[0] = norm
    f[1] = maxNorm > 0 && norm > maxNorm ? maxNorm / fround(norm + fround(1e-6)) : 1
  }
})

/**
 * One step in place; hyper = (β₁, β₂, decayFactor, step, rootInv, eps), see docs/internals/arithmetic.md. Weight decay
 * applies to the first `decayed` elements.
 */
export const adamw = op({
  name: 'adamw',
  inputs: ['w', 'g', 'm', 'v', 'f', 'hyper'],
  outputs: ['w', 'm', 'v'],
  attributes: { P: 'int', decayed: 'int' },
  infer: ([w]) => ({ P: w.shape[0] }),
  operands: a => ({
    inputs: [f32(a.P), f32(a.P), f32(a.P), f32(a.P), f32(2), f32(6)],
    outputs: [f32(a.P), f32(a.P), f32(a.P)]
  }),
  run: ([w, g, m, v, f, hyper], [wOut, mOut, vOut], { P, decayed }) => {
    const [beta1, beta2, decayFactor, step, rootInv, eps] = hyper
    const rest1 = fround(1 - beta1!)
    const rest2 = fround(1 - beta2!)
    for (let e = 0; e < P; e++) {
      const grad = fround(g[e]! * f[1]!)
      const m1 = fma32(beta1!, m[e]!, fround(rest1 * grad))
      const v1 = fma32(beta2!, v[e]!, fround(rest2 * fround(grad * grad)))
      const w1 = e < decayed ? fround(w[e]! * decayFactor!) : w[e]
      const root = fround(fround(fround(Math.sqrt(v1)) * rootInv!) + eps!)
      wOut[e] = w1! - fround(step! * fround(m1 / root))
      mOut[e] = m1
      vOut[e] = v1
    }
  }
})
