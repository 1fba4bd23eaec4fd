/**
 * The recursive definitions of RFC 9162 (2.1.1, 2.1.3.1, 2.1.4.1), written down as they stand, over a list of leaves in
 * memory: slow, and independent of src/trust, which they check.
 */
import { createHash } from 'node:crypto'

const sha = (...parts: Uint8Array[]): Buffer => {
  const h = createHash('sha256')
  for (const part of parts) h.update(part)
  return h.digest()
}

/** The largest power of two smaller than n, for n > 1. */
function k(n: number): number {
  let power = 1
  while (power * 2 < n) power *= 2
  return power
}

const memory = new Map<string, Buffer>()

/** MTH(D[n]). Hashes are remembered under `name`, which stands for the list the leaves come from, and the range. */
export function mth(d: readonly Uint8Array[], name: string, from = 0, to = d.length): Buffer {
  const label = `${name} ${from} ${to}`
  const known = memory.get(label)
  if (known !== undefined) return known
  const n = to - from
  const h =
    n === 0
      ? sha()
      : n === 1
        ? sha(Uint8Array.of(0), d[from]!)
        : sha(Uint8Array.of(1), mth(d, name, from, from + k(n)), mth(d, name, from + k(n), to))
  memory.set(label, h)
  return h
}

/** PATH(m, D[n]) */
export function path(m: number, d: readonly Uint8Array[], name: string, from = 0, to = d.length): Buffer[] {
  const n = to - from
  if (n === 1) return []
  const split = k(n)
  return m < split
    ? [...path(m, d, name, from, from + split), mth(d, name, from + split, to)]
    : [...path(m - split, d, name, from + split, to), mth(d, name, from, from + split)]
}

/** PROOF(m, D[n]) */
export function proof(m: number, d: readonly Uint8Array[], name: string, from = 0, to = d.length): Buffer[] {
  return subproof(m, d, name, from, to, true)
}

function subproof(m: number, d: readonly Uint8Array[], name: string, from: number, to: number, b: boolean): Buffer[] {
  const n = to - from
  if (m === n) return b ? [] : [mth(d, name, from, to)]
  const split = k(n)
  return m <= split
    ? [...subproof(m, d, name, from, from + split, b), mth(d, name, from + split, to)]
    : [...subproof(m - split, d, name, from + split, to, false), mth(d, name, from, from + split)]
}
