/** Cases of attention's options: windows, soft caps, sinks and caches of f16. */
import { anyPages, below, distinct, halves, lengths, type Sizes, type Spec } from './cases.ts'

/** N, H, G, D, T, R */
const sizes = [
  [1, 1, 1, 4, 1, 16],
  [3, 2, 1, 5, 20, 48],
  [17, 4, 2, 16, 50, 64],
  [9, 6, 3, 24, 33, 96],
  [5, 8, 2, 64, 70, 160],
  [26, 2, 2, 33, 100, 112],
  [3, 2, 1, 8, 200, 208]
] as const
const options = [
  { window: 1, softcap: 0, hasSinks: 0, half: 0 },
  { window: 7, softcap: 0, hasSinks: 0, half: 1 },
  { window: 16, softcap: 30, hasSinks: 1, half: 0 },
  { window: 40, softcap: 0.5, hasSinks: 1, half: 1 },
  { window: 0, softcap: 2, hasSinks: 0, half: 0 },
  { window: 0, softcap: 0, hasSinks: 1, half: 1 },
  { window: 0, softcap: 0, hasSinks: 0, half: 1 }
]
const nearby = (data: { [i: number]: number; length: number }, { T }: Sizes): void => {
  for (let i = 0; i < data.length; i++) data[i] = 1 + ((i + T - 1 - Math.min(T - 1, 20)) % T)
}

export function attentionSpecs(): Spec[] {
  return sizes.flatMap(([N, H, G, D, T, R], i): Spec[] => {
    const a = { N, H, G, D, T, R, S: 1 + (i % 2), scale: Math.fround(1 / Math.sqrt(D)) }
    const cached = { pages: anyPages, sequence: below('S') }
    return [
      ...['writeKeys', 'writeValues'].flatMap((op): Spec[] =>
        (['special', 'wild'] as const).map(values => ({
          op,
          a: { N, G, D, R, half: 1 },
          fill: { cacheRow: distinct },
          values
        }))
      ),
      ...options.flatMap((o, k): Spec[] => {
        const fill = { ...cached, ...(o.half === 1 && { keys: halves, values: halves }) }
        return [
          { op: 'attention', a: { ...a, ...o }, fill: { ...fill, length: lengths }, compare: ['out.o', 'out.rest'] },
          {
            op: 'attention',
            a: { ...a, ...o, S: 1 },
            fill: { ...fill, sequence: below('S'), length: nearby },
            compare: ['out.o', 'out.rest'],
            values: k % 2 === 0 ? 'plain' : 'wild'
          },
          { op: 'attention', a: { ...a, ...o }, fill: { ...fill, length: data => data.fill(T) } }
        ]
      }),
      { op: 'attentionGrad', a: { N: T * 2, H, G, D, T, scale: a.scale, softcap: 1.5 } },
      { op: 'attentionSinkGrad', a: { N, H, D }, values: 'special' },
      { op: 'attentionSinkGrad', a: { N: 40, H, D } }
    ]
  })
}
