/** Cases of mixtures of experts for cases.ts. */
import type { Spec } from './cases.ts'
import { below, brainHalves, halves } from './cases.ts'

const every = ['plain', 'special', 'wild'] as const

function choices(): Spec[] {
  const sizes = [
    [1, 1, 1],
    [3, 8, 2],
    [9, 33, 4],
    [20, 128, 8],
    [2, 40, 40]
  ] as const
  return sizes.flatMap(([N, E, k], i) =>
    [0, 1, 2].flatMap(gating =>
      [0, 1].flatMap((normalise): Spec[] => {
        const a = { N, E, k, gating, normalise, hasBias: (i + gating + normalise) % 2, scale: normalise ? 2.5 : 1 }
        return every.flatMap((values): Spec[] => [
          { op: 'topExperts', a, values },
          { op: 'topExpertsGrad', a, values, fill: { experts: below('E') } }
        ])
      })
    )
  )
}

/** Experts of one row, of few and of more rows than are gathered at a time. */
function products(): Spec[] {
  const sizes = [
    [1, 5, 7, 4, 2],
    [1, 70, 40, 9, 3],
    [4, 33, 16, 8, 2],
    [2, 300, 50, 1, 1],
    [40, 64, 20, 3, 2],
    [130, 40, 300, 2, 1],
    [3, 100, 600, 1, 1]
  ] as const
  return sizes.flatMap(([N, O, K, E, k], i) =>
    [0, 1].flatMap((shared): Spec[] => {
      const values = i % 2 ? 'special' : 'plain'
      const experts = below('E')
      const a = { N, O, K, E, k, shared }
      return [
        ...[0, 1, 2, 3, 4].map((layoutB): Spec => {
          const w = layoutB === 3 ? halves : brainHalves
          return { op: 'expertMatmul', a: { ...a, layoutB }, values, fill: { experts, ...(layoutB >= 3 && { w }) } }
        }),
        { op: 'expertMatmulGrad', a, values, fill: { experts } }
      ]
    })
  )
}

function sums(): Spec[] {
  const sizes = [
    [1, 1, 1],
    [3, 16, 2],
    [7, 33, 4],
    [40, 100, 8]
  ] as const
  return sizes.flatMap(([N, C, k]) =>
    [0, 1].flatMap(hasWeights =>
      every.flatMap((values): Spec[] =>
        ['expertSum', 'expertSumGrad'].map(op => ({ op, a: { N, C, k, hasWeights }, values }))
      )
    )
  )
}

export function mixtures(): Spec[] {
  return [...choices(), ...products(), ...sums()]
}
