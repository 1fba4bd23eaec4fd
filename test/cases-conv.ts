/** Cases of the short convolution for cases.ts. */
import type { Spec } from './cases.ts'
import { anyPages, below, lengths } from './cases.ts'

/** Tokens, channels, taps, context and cache rows. */
const sizes = [
  [1, 1, 1, 1, 16],
  [1, 5, 3, 40, 64],
  [7, 16, 4, 5, 32],
  [70, 65, 3, 100, 112],
  [130, 130, 2, 33, 48],
  [3, 70, 20, 18, 32]
] as const

export function shortConvs(): Spec[] {
  return sizes.flatMap(([N, C, L, T, R], i): Spec[] => {
    const a = { N, C, L, T, R, S: 1 + (i % 3) }
    const fill = { pages: anyPages, sequence: below('S'), length: lengths }
    return (['plain', 'special', 'wild'] as const).flatMap((values): Spec[] => [
      { op: 'shortConv', a, values, fill },
      { op: 'shortConvGrad', a: { N: 3 * T, C, L, T }, values }
    ])
  })
}
