/**
 * Finds the largest logits, in order; of equal ones the lower id comes first. A vocabulary is long and few of its
 * tokens matter. It also refuses logits that no token can be drawn from.
 */
import { VeritError } from '../lib/errors.ts'

/** The largest element; an error when one is NaN or none is finite: the model's weights are then of no use. */
export function largest(logits: Float32Array | Float64Array): number {
  let max = -Infinity
  for (let i = 0; i < logits.length; i++) {
    const x = logits[i]!
    if (x !== x) throw new VeritError('VERIT_LOGITS', { problem: 'a logit is not a number' })
    if (x > max) max = x
  }
  if (!Number.isFinite(max)) throw new VeritError('VERIT_LOGITS', { problem: `the largest logit is ${max}` })
  return max
}

/** The ids of the `count` (at least 1) largest, ordered as by `largestLogits`; errors as `largest`. */
export function bestLogits(logits: Float32Array | Float64Array, count: number): Int32Array {
  const best = largestLogits(logits, count)
  if (best === undefined || !Number.isFinite(logits[best[0]!]!)) largest(logits)
  return best!
}

/**
 * Little more than one pass for a small count. A NaN is found at any index.
 * @param count at least 1
 * @returns the indices, or undefined if a value is NaN
 */
export function largestLogits(logits: Float32Array | Float64Array, count: number): Int32Array | undefined {
  /** The last of the order at its root: the one to beat. */
  const n = Math.min(count, logits.length)
  const heap = new Int32Array(n)
  for (let i = 0; i < n; i++) {
    if (logits[i]! !== logits[i]!) return undefined
    heap[i] = i
  }
  for (let i = (n >> 1) - 1; i >= 0; i--) sink(heap, n, i, logits)
  // An equal value with a higher index comes later.
  for (let i = n; (i = above(logits, i, logits[heap[0]!]!)) < logits.length; i++) {
    if (logits[i]! !== logits[i]!) return undefined
    heap[0] = i
    sink(heap, n, 0, logits)
  }
  return heap.sort((a, b) => (logits[a] === logits[b] ? a - b : logits[a]! > logits[b]! ? -1 : 1))
}

/**
 * The first index from `from` on whose value is above `least`, or NaN. A separate function, so that V8 compiles it for
 * this alone: it scans nearly all of the vocabulary.
 */
function above(values: Float32Array | Float64Array, from: number, least: number): number {
  while (from < values.length && values[from]! <= least) from++
  return from
}

/** Sifts the element at i down in a heap whose root is the last in the order. */
function sink(heap: Int32Array, n: number, i: number, values: Float32Array | Float64Array): void {
  const later = (a: number, b: number): boolean => (values[a] === values[b] ? a > b : values[a]! < values[b]!)
  const moved = heap[i]!
  for (;;) {
    let child = 2 * i + 1
    if (child >= n) break
    if (child + 1 < n && later(heap[child + 1]!, heap[child]!)) child++
    if (!later(heap[child]!, moved)) break
    heap[i] = heap[child]!
    i = child
  }
  if (n > 0) heap[i] = moved
}
