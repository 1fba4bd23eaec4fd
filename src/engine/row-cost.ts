/**
 * The cost of one more row in a run of few rows: it decides whether draft tokens can pay, and at which acceptance rate
 * (acceptance-rates.ts).
 */

const AVX512 = 1 / 3
/** For BitNet models with AVX2, with and without AVX-VNNI; the last also if drafts are forced without a measurement. */
const AVX2VNNI = 3 / 5
const AVX2 = 2 / 3

/**
 * Cost of an additional row in runs of one row: the highest measured, and a little more (docs/internals/generation.md
 * has the figures), so that drafts never lose time. Undefined: no drafts.
 * @param executor its name, such as 'native avx512'
 * @param ternary whether the projections are ternary
 * @param speculate true: always; false: never; a number: this cost; undefined: where measured to be faster
 */
export function rowCost(
  executor: string,
  ternary: boolean,
  speculate: boolean | number | undefined
): number | undefined {
  if (speculate === false) return undefined
  if (typeof speculate === 'number') return speculate
  if (executor === 'native avx512') return AVX512
  const measured = !ternary
    ? undefined
    : executor === 'native avx2vnni'
      ? AVX2VNNI
      : executor === 'native avx2'
        ? AVX2
        : undefined
  return measured ?? (speculate === true ? AVX2 : undefined)
}
