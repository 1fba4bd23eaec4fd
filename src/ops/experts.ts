/** Mixture of experts (Shazeer et al. 2017): the choice of experts per token, and the weighted sum of their outputs. */
import { exp32 } from '../lib/functions.ts'
import { fma32, max32 } from '../lib/float.ts'
import { indexProblem } from './columns.ts'
import { f32, i32, op, times, type Data, type Value } from './op.ts'
import { dotRow, maxRow, scratch, sumRow } from './reduce.ts'
import type { Dim } from './sizes.ts'

const fround = Math.fround

/** How logits become weights, by the attribute `gating`: softmax over all, sigmoid, softmax over the chosen. */
export const gatings = ['softmax', 'sigmoid', 'chosen'] as const
export type Gating = (typeof gatings)[number]

/** The smallest sum that weights are divided by, 2⁻¹⁴: the smallest normal f16, as published models have it. */
const LEAST_SUM = 6.103515625e-5

type Sizes = Readonly<Record<'N' | 'E' | 'k' | 'gating' | 'normalise', number>>

/** Placeholder operands if attributes are out of range. */
const valid = (gating: Dim, normalise: Dim): number =>
  [0, 1, 2].includes(gating as number) && [0, 1].includes(normalise as number) ? 1 : NaN
const choices = (a: Record<'N' | 'E' | 'k' | 'gating' | 'normalise', Dim>): Dim => {
  const fits = typeof a.k === 'number' && typeof a.E === 'number' && a.k >= 1 && a.k <= a.E
  return fits ? times(a.k, valid(a.gating, a.normalise)) : NaN
}

function softmax(x: Float32Array, n: number): void {
  const mx = maxRow(x, 0, n)
  for (let i = 0; i < n; i++) x[i] = exp32(fround(x[i]! - mx))
  const inverse = fround(1 / sumRow(x, 0, n))
  for (let i = 0; i < n; i++) x[i] = x[i]! * inverse
}

/** Probabilities of all experts; the logits themselves where the chosen alone have probabilities. */
function gates(logits: Data, from: number, E: number, gating: number): Float32Array {
  const p = scratch(0, E)
  for (let e = 0; e < E; e++) p[e] = logits[from + e]!
  if (gating === 0) softmax(p, E)
  if (gating === 1) for (let e = 0; e < E; e++) p[e] = 1 / fround(1 + exp32(-p[e]!))
  return p
}

/** Weights of the chosen experts before they are normalised. */
function chosen(p: Float32Array, experts: ArrayLike<number>, from: number, { k, gating }: Sizes): Float32Array {
  const q = Float32Array.from({ length: k }, (_, r) => p[experts[from + r]!]!)
  if (gating === 2) softmax(q, k)
  return q
}

/** Whether a comes before b in descending order; NaN comes last. */
const above = (a: number, b: number): boolean => a > b || (a === a && b !== b)

export const topExperts = op({
  name: 'topExperts',
  inputs: ['logits', 'bias?'],
  outputs: ['experts', 'weights'],
  attributes: { N: 'int', E: 'int', k: 'int', gating: 'int', normalise: 'int', hasBias: 'int', scale: 'f32' },
  infer: ([logits, bias], { k, gating = 0, normalise = 0, scale = 1 }) => ({
    N: logits.shape[0],
    E: logits.shape[1],
    k,
    gating,
    normalise,
    hasBias: bias ? 1 : 0,
    scale
  }),
  operands: a => ({
    inputs: [f32(a.N, a.E), a.hasBias ? f32(a.E) : null],
    outputs: [i32(a.N, choices(a)), f32(a.N, choices(a))]
  }),
  gradient: b => {
    const { k, gating, normalise, scale } = b.a
    const dy = b.dy[1]
    return [dy && b.apply('topExpertsGrad', [b.inputs[0], b.outputs[0], dy], { k, gating, normalise, scale })[0], null]
  },
  run: ([logits, bias], [experts, weights], a) => {
    const { N, E, k, gating, normalise, scale } = a
    for (let n = 0; n < N; n++) {
      const p = gates(logits, n * E, E, gating)
      const rank = scratch(1, E)
      const taken = new Set<number>()
      for (let e = 0; e < E; e++) rank[e] = bias ? p[e]! + bias[e]! : p[e]!
      for (let r = 0; r < k; r++) {
        let best = -1
        for (let e = 0; e < E; e++) if (!taken.has(e) && (best < 0 || above(rank[e]!, rank[best]!))) best = e
        taken.add(best)
        experts[n * k + r] = best
      }
      const q = chosen(p, experts, n * k, a)
      const by = normalise
        ? max32(
            q.reduce((s, x) => fround(s + x), 0),
            LEAST_SUM
          )
        : 1
      for (let r = 0; r < k; r++) weights[n * k + r] = fround(q[r]! / by) * scale
    }
  }
})

export const topExpertsGrad = op({
  name: 'topExpertsGrad',
  inputs: ['logits', 'experts', 'dweights'],
  outputs: ['dlogits'],
  attributes: { N: 'int', E: 'int', k: 'int', gating: 'int', normalise: 'int', scale: 'f32' },
  infer: ([logits], { k, gating, normalise, scale }) => ({
    N: logits.shape[0],
    E: logits.shape[1],
    k,
    gating,
    normalise,
    scale
  }),
  operands: a => ({ inputs: [f32(a.N, a.E), i32(a.N, choices(a)), f32(a.N, choices(a))], outputs: [f32(a.N, a.E)] }),
  check: ([, experts], { E }) => indexProblem('experts', experts, 0, E),
  run: ([logits, experts, dweights], [dlogits], a) => {
    const { N, E, k, gating, normalise, scale } = a
    for (let n = 0; n < N; n++) {
      const p = gates(logits, n * E, E, gating)
      const q = chosen(p, experts, n * k, a)
      const d = Float32Array.from({ length: k }, (_, r) => dweights[n * k + r]! * scale)
      if (normalise) {
        const sum = q.reduce((s, x) => fround(s + x), 0)
        const by = max32(sum, LEAST_SUM)
        const mean = sum > LEAST_SUM ? d.reduce((s, x, r) => fma32(x, fround(q[r]! / by), s), 0) : 0
        for (let r = 0; r < k; r++) d[r] = fround(d[r]! - mean) / by
      }
      const c = d.reduce((s, x, r) => fma32(x, q[r]!, s), 0)
      for (let e = 0; e < E; e++) dlogits[n * E + e] = gating === 0 ? p[e]! * fround(0 - c) : 0
      for (let r = 0; r < k; r++) {
        const by = gating === 1 ? fround(d[r]! * q[r]!) : q[r]
        dlogits[n * E + experts[n * k + r]!] = by! * (gating === 1 ? fround(1 - q[r]!) : fround(d[r]! - c))
      }
    }
  }
})

const sumOperands = (
  a: Record<'N' | 'C' | 'k' | 'hasWeights', Dim>
): { all: Value; weights: Value | null; one: Value } => ({
  all: f32(a.N, times(a.k, a.C)),
  weights: a.hasWeights ? f32(a.N, a.k) : null,
  one: f32(a.N, a.C)
})

/** Sum over the experts of a token, each times its weight; without weights the plain sum. */
export const expertSum = op({
  name: 'expertSum',
  inputs: ['y', 'weights?'],
  outputs: ['z'],
  attributes: { N: 'int', C: 'int', k: 'int', hasWeights: 'int' },
  infer: ([y, weights], { k = weights?.shape[1] ?? NaN }) => ({
    N: y.shape[0],
    C: times(y.shape[1] ?? NaN, 1 / Number(k)),
    k,
    hasWeights: weights ? 1 : 0
  }),
  operands: a => {
    const { all, weights, one } = sumOperands(a)
    return { inputs: [all, weights], outputs: [one] }
  },
  gradient: b => {
    const [y, weights] = b.inputs
    const dz = b.dy[0]
    if (!dz) return [null, null]
    return b.apply('expertSumGrad', [weights ? y : null, weights, dz], { k: b.a.k })
  },
  run: ([y, weights], [z], { N, C, k, hasWeights }) => {
    for (let n = 0; n < N; n++) {
      for (let c = 0; c < C; c++) {
        const from = n * k * C + c
        let acc = hasWeights ? fround(weights![n * k]! * y[from]!) : y[from]
        for (let r = 1; r < k; r++)
          acc = hasWeights ? fma32(weights![n * k + r]!, y[from + r * C]!, acc!) : fround(acc! + y[from + r * C]!)
        z[n * C + c] = acc!
      }
    }
  }
})

export const expertSumGrad = op({
  name: 'expertSumGrad',
  inputs: ['y?', 'weights?', 'dz'],
  outputs: ['dy', 'dweights'],
  attributes: { N: 'int', C: 'int', k: 'int', hasWeights: 'int' },
  infer: ([, weights, dz], { k }) => ({ N: dz.shape[0], C: dz.shape[1], k, hasWeights: weights ? 1 : 0 }),
  operands: a => {
    const { all, weights, one } = sumOperands(a)
    return { inputs: [weights && all, weights, one], outputs: [all, weights] }
  },
  run: ([y, weights, dz], [dy, dweights], { N, C, k, hasWeights }) => {
    for (let i = 0; i < N * k; i++) {
      const at = Math.floor(i / k) * C
      if (hasWeights) dweights[i] = dotRow(y!, i * C, dz, at, C)
      for (let c = 0; c < C; c++) dy[i * C + c] = hasWeights ? weights![i]! * dz[at + c]! : dz[at + c]!
    }
  }
})
