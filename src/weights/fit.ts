/**
 * Scales for groups of weights: the search that all K types share. Both functions try a grid of scales, work out the
 * codes of each, fit scale and minimum to these codes by least squares, and keep the fit with the least error. The
 * grid and the weighting of errors follow `make_qkx2_quants` and `make_qx_quants` of ggml's `ggml-quants.c`; the error
 * is expanded into sums, so that each scale takes one pass.
 */
import { nearest } from './encode-blocks.ts'

/** A grid of scales: the range of the weights is divided by most + first, most + first + step, ... */
export interface Grid {
  readonly first: number
  readonly step: number
  readonly steps: number
}

/** Importance of the error of each weight. */
export type Importance = (weights: Float32Array, from: number, count: number, out: Float64Array) => void

/** Weight i counts rms + |w[i]|: errors of large weights move the output of a layer more. */
export const rmsPlusMagnitude: Importance = (weights, from, count, out) => {
  let square = 0
  for (let i = 0; i < count; i++) square += weights[from + i]! * weights[from + i]!
  const rms = Math.sqrt(square / count)
  for (let i = 0; i < count; i++) out[i] = rms + Math.abs(weights[from + i]!)
}

export interface Fit {
  scale: number
  /** Subtracted: a weight is scale · code - minimum. Not negative. */
  minimum: number
}

const importance = new Float64Array(32)

/**
 * Fits codes from 0 to `most` and a minimum.
 * @param fit receives the result, of the group [from, from + count)
 */
export function fitWithMinimum(
  weights: Float32Array,
  from: number,
  count: number,
  most: number,
  { first, step, steps }: Grid,
  weigh: Importance,
  fit: Fit
): void {
  let low = 0
  let high = weights[from]!
  for (let i = 0; i < count; i++) {
    low = Math.min(low, weights[from + i]!)
    high = Math.max(high, weights[from + i]!)
  }
  fit.scale = 0
  fit.minimum = -low
  if (high === low) return
  weigh(weights, from, count, importance)
  let w = 0
  let wx = 0
  let wxx = 0
  for (let i = 0; i < count; i++) {
    const x = weights[from + i]!
    w += importance[i]!
    wx += importance[i]! * x
    wxx += importance[i]! * x * x
  }
  let least = Infinity
  for (let k = -1; k <= steps; k++) {
    // The first is the plain one: the range divided by the largest code.
    const factor = (k < 0 ? most : most + first + step * k) / (high - low)
    let wq = 0
    let wqq = 0
    let wqx = 0
    for (let i = 0; i < count; i++) {
      const x = weights[from + i]!
      const q = nearest(factor * (x - low), 0, most)
      const t = importance[i]! * q
      wq += t
      wqq += t * q
      wqx += t * x
    }
    const determinant = w * wqq - wq * wq
    if (!(determinant > 0)) continue
    let scale = (w * wqx - wx * wq) / determinant
    let shift = (wqq * wx - wq * wqx) / determinant
    if (shift > 0) {
      shift = 0
      scale = wqx / wqq
    }
    const error =
      wxx - 2 * (scale * wqx + shift * wx) + scale * scale * wqq + 2 * scale * shift * wq + shift * shift * w
    if (!(error < least) || !(scale > 0)) continue
    least = error
    fit.scale = scale
    fit.minimum = -shift
  }
}

/**
 * Fits codes from -reach to reach - 1 without a minimum. The scale may be negative: the largest weight gets the longer
 * end of the codes.
 * @param ends sizes that the largest weight may take in codes, of which all are tried
 */
export function fitScale(
  weights: Float32Array,
  from: number,
  count: number,
  reach: number,
  ends: readonly number[],
  weigh: Importance
): number {
  let extreme = 0
  for (let i = 0; i < count; i++) {
    const x = weights[from + i]!
    if (Math.abs(x) > Math.abs(extreme)) extreme = x
  }
  if (extreme === 0) return 0
  weigh(weights, from, count, importance)
  let best = 0
  let least = Infinity
  for (const end of ends) {
    const factor = end / extreme
    let wqq = 0
    let wqx = 0
    for (let i = 0; i < count; i++) {
      const x = weights[from + i]!
      const q = nearest(x * factor, -reach, reach - 1)
      const t = importance[i]! * q
      wqx += t * x
      wqq += t * q
    }
    if (wqq === 0) continue
    // The error of the best scale for these codes, less a constant.
    const error = -(wqx * wqx) / wqq
    if (error < least) {
      least = error
      best = wqx / wqq
    }
  }
  return best
}
