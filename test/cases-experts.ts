/** Cases of mixtures of experts: every gating, ties, and rows of one expert from none to more than are gathered at a time. */
import { below, brains, halves, type Spec } from './cases.ts'

/** Values with many ties. */
const ties = (data: { [i: number]: number; length: number }, _: unknown, pick: (n: number) => number): void => {
  for (let i = 0; i < data.length; i++) data[i] = pick(3) - 1
}

export function expertSpecs(): Spec[] {
  const every = ['plain', 'special', 'wild'] as const
  return [
    ...[[1, 1, 1], [3, 8, 2], [5, 33, 8], [2, 128, 20]].flatMap(([N, E, k]) => [0, 1, 2].flatMap(gating => every.flatMap((values, i): Spec[] => {
      const a = { N, E, k, gating, normalise: i % 2, scale: i === 2 ? 1 : 2.5 }
      return [{ op: 'topExperts', a: { ...a, hasBias: 0 }, values }, { op: 'topExperts', a: { ...a, hasBias: 1, normalise: 1 - i % 2 }, values, ...(i === 0 && { fill: { logits: ties, bias: ties } }) }]
    }))),
    ...[[1, 1, 1, 1, 1], [1, 4, 64, 70, 8], [7, 2, 33, 40, 3], [60, 3, 300, 20, 2], [5, 2, 16, 290, 4]].flatMap(([N, k, K, O, E], i) => [1, 2, 3, 4].flatMap(layout => [1, k].map((U): Spec => ({
      op: 'expertMatmul', a: { N, k, U, K, O, E, layout, hasBias: (i + layout) % 2 }, values: layout < 3 && U === 1 ? 'special' : 'plain',
      fill: { experts: below('E'), ...(layout >= 3 && { w: layout === 3 ? halves : brains }) },
    })).filter((_, j) => j === 0 || k > 1))),
    ...[[1, 1, 1], [3, 33, 2], [7, 64, 8]].flatMap(([N, C, k]) => every.map((values): Spec => ({ op: 'expertSum', a: { N, C, k }, values }))),
  ]
}
