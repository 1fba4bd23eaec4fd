/**
 * Cases of ops that layers of other families than Llama's use: heads that are normalised one by one, partial rotation,
 * tanh.
 */
import type { Sizes, Spec } from './cases.ts'

const positions = (data: { [i: number]: number; length: number }, { T }: Sizes, pick: (n: number) => number): void => {
  for (let i = 0; i < data.length; i++) data[i] = pick(T)
}

export function layerSpecs(): Spec[] {
  const every = ['plain', 'special', 'wild'] as const
  const flat = [
    [1, 1],
    [3, 5],
    [2, 64],
    [5, 100],
    [130, 129]
  ] as const
  return [
    ...(
      [
        [1, 2, 1],
        [3, 3, 16],
        [7, 4, 33],
        [40, 8, 64],
        [3, 2, 600]
      ] as const
    ).flatMap(([N, H, D]) =>
      every.flatMap((values): Spec[] => [
        { op: 'rmsNorm', a: { N, C: H * D, H, eps: 1e-6 }, values },
        { op: 'rmsNormGrad', a: { N, C: H * D, H }, values },
        { op: 'rmsNormParamGrad', a: { N, C: H * D, H }, values }
      ])
    ),
    ...(
      [
        [1, 1, 3, 2],
        [5, 2, 7, 0],
        [17, 3, 64, 40],
        [40, 4, 33, 32]
      ] as const
    ).flatMap(([N, H, D, R]) =>
      [0, 1].map((inverse): Spec => ({
        op: 'rope',
        a: { N, H, D, R, T: 19, inverse },
        values: inverse ? 'special' : 'plain',
        fill: { positions }
      }))
    ),
    ...flat.flatMap(([N, C]) =>
      every.flatMap((values): Spec[] => [
        ...['geluTanh', 'geluTanhGrad', 'geluTanhGate', 'geluTanhGateGrad'].map((op): Spec => ({
          op,
          a: { N, C },
          values
        })),
        ...['softcap', 'softcapGrad'].map((op, i): Spec => ({ op, a: { N, C, cap: i === 0 ? 30 : 0.7 }, values }))
      ])
    )
  ]
}
