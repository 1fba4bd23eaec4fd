/**
 * R2 of docs/internals/arithmetic.md: reductions in 16 lanes, then a tree; and scratch rows for the reference
 * implementations.
 */
import { fma32 } from '../lib/float.ts'

const lanes = new Float32Array(16)

/** Adds up x[from … from + n). */
export function sumRow(x: ArrayLike<number>, from: number, n: number): number {
  lanes.fill(0)
  for (let i = 0; i < n; i++) lanes[i & 15] = lanes[i & 15]! + x[from + i]!
  return sumLanes()
}

/** Adds up x[xFrom + i]·y[yFrom + i]. */
export function dotRow(x: ArrayLike<number>, xFrom: number, y: ArrayLike<number>, yFrom: number, n: number): number {
  lanes.fill(0)
  for (let i = 0; i < n; i++) lanes[i & 15] = fma32(x[xFrom + i]!, y[yFrom + i]!, lanes[i & 15]!)
  return sumLanes()
}

/** The largest of x[from … from + n); -Infinity for none. */
export function maxRow(x: ArrayLike<number>, from: number, n: number): number {
  lanes.fill(-Infinity)
  for (let i = 0; i < n; i++) lanes[i & 15] = lanes[i & 15]! > x[from + i]! ? lanes[i & 15]! : x[from + i]!
  for (let s = 8; s > 0; s >>= 1) {
    for (let j = 0; j < s; j++) lanes[j] = lanes[j]! > lanes[j + s]! ? lanes[j]! : lanes[j + s]!
  }
  return lanes[0]!
}

function sumLanes(): number {
  for (let s = 8; s > 0; s >>= 1) {
    for (let j = 0; j < s; j++) lanes[j] = lanes[j]! + lanes[j + s]!
  }
  return lanes[0]!
}

const rows: Float32Array[] = [new Float32Array(64), new Float32Array(64)]

/** Scratch row 0 or 1, at least n long; it keeps old content. */
export function scratch(slot: 0 | 1, n: number): Float32Array {
  if (rows[slot]!.length < n) rows[slot] = new Float32Array(n)
  return rows[slot]!
}
