/**
 * Offsets of parameters in the buffer 'weights' (and of their gradients and optimizer moments in buffers of the same
 * layout): matrices first, so that "decays" is one element count, then the rest, both in declared order. Each begins at
 * a multiple of 64 bytes.
 */
import { roundUp } from '../lib/float.ts'
import { elementBytes, type DType } from '../ops/sizes.ts'
import type { Graph } from './graph.ts'

export interface LayoutEntry {
  readonly name: string
  readonly dtype: DType
  readonly shape: readonly number[]
  /** In bytes, both. The gap to the next entry is zero. */
  readonly offset: number
  readonly bytes: number
  /** Whether weight decay applies: an f32 tensor of two dimensions. */
  readonly matrix: boolean
}

export interface Layout {
  readonly entries: readonly LayoutEntry[]
  /** Size of the whole buffer, a multiple of 64. */
  readonly bytes: number
  /** Size of the matrices at its start, a multiple of 64. */
  readonly matrixBytes: number
}

export function weightLayout(graph: Graph): Layout {
  const all = graph.parameters.map(p => ({
    name: p.name,
    dtype: p.dtype,
    shape: p.shape as readonly number[],
    matrix: p.dtype === 'f32' && p.shape.length === 2
  }))
  let end = 0
  let matrixBytes = 0
  const entries = [...all.filter(p => p.matrix), ...all.filter(p => !p.matrix)].map(p => {
    const bytes = p.shape.reduce((n, d) => n * d, elementBytes[p.dtype])
    const entry = { ...p, offset: end, bytes }
    end = roundUp(end + bytes, 64)
    if (p.matrix) matrixBytes = end
    return entry
  })
  return { entries, bytes: end, matrixBytes }
}
