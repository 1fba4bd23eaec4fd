import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { keepNucleus } from './nucleus.ts'
import { weigh } from './weights.ts'

/**
 * The definition of docs/internals/generation.md: tokens in descending order, equal ones by id, until their weights add
 * up.
 */
function plain(score: Float64Array, weight: Float64Array, enough: number): Float64Array {
  const kept = new Float64Array(weight.length)
  let sofar = 0
  for (const i of score
    .keys()
    .toArray()
    .sort((a, b) => (score[a] === score[b] ? a - b : score[a]! > score[b]! ? -1 : 1))) {
    sofar += kept[i] = weight[i]!
    if (sofar >= enough) break
  }
  return kept
}

function compare(values: readonly number[], temperature: number, share: number): void {
  const score = Float64Array.from(values)
  const weight = new Float64Array(score.length)
  const max = Math.max(...values)
  const total = weigh(score, weight, max, temperature)
  const expected = plain(score, weight, share * total)
  keepNucleus({ score, weight, max, temperature, total }, share)
  assert.deepEqual(weight, expected)
}

const share = fc.oneof(
  fc.constantFrom(0, 0.5, 0.9, 1 - 2 ** -53, 1 - 1e-12),
  fc.double({ min: 0, max: 1, noNaN: true })
)
const temperature = fc.constantFrom(5e-324, 1e-30, 0.01, 0.3, 0.8, 1, 10)

test('the nucleus is that of the definition, whatever the scores', () => {
  // Few distinct values, so that there are ties; -0 and 0 are equal.
  const score = fc.oneof(
    fc.constantFrom(-2, -0, 0, 0.5, 3),
    fc.double({ min: -30, max: 30, noNaN: true }),
    fc.constantFrom(-Infinity, -1e300, 1e300)
  )
  fc.assert(
    fc.property(
      fc.array(score, { minLength: 1, maxLength: 300, size: 'max' }).filter(a => a.some(Number.isFinite)),
      temperature,
      share,
      compare
    ),
    { numRuns: 1000 }
  )
})

test('the nucleus is that of the definition for long lists, flat and steep, with values in all steps', () => {
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 65, max: 3000 }),
      fc.constantFrom(0.01, 1, 8, 40),
      temperature,
      share,
      (seed, length, width, t, p) => {
        compare(
          Array.from({ length }, (_, i) => width * Math.sin((i + 1) * ((seed % 10007) + 1.7))),
          t,
          p
        )
      }
    ),
    { numRuns: 300 }
  )
})

test('where sums in another order could end elsewhere the nucleus is still that of the definition', () => {
  // Shares that a sum in descending order meets exactly, but for the rounding of a division and a product.
  fc.assert(
    fc.property(
      fc.nat(),
      fc.integer({ min: 65, max: 400 }),
      fc.constantFrom(0.01, 1, 8),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (seed, length, width, part) => {
        const values = Array.from({ length }, (_, i) => width * Math.sin((i + 1) * ((seed % 10007) + 1.7)))
        const score = Float64Array.from(values)
        const weight = new Float64Array(length)
        const total = weigh(score, weight, Math.max(...values), 1)
        const met = score
          .toSorted()
          .subarray(Math.floor(part * length))
          .reduceRight((sum, x) => sum + weight[score.indexOf(x)]!, 0)
        compare(values, 1, Math.min(met / total, 1))
      }
    ),
    { numRuns: 1000 }
  )
  for (let n = 65; n < 200; n++) for (const k of [1, n >> 1, n - 1, n]) compare(Array<number>(n).fill(-7), 1, k / n)
})
