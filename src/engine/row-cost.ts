/**
 * The cost of one more row in a run of few rows: it decides whether draft tokens can pay, and at which acceptance rate
 * (acceptance-rates.ts).
 */

const AVX512 = 1 / 3
/**
 * Of BitNet models with AVX2, with AVX-VNNI and without; the last also where drafts are asked for and nothing was
 * measured.
 */
const AVX2VNNI = 3 / 5
const AVX2 = 2 / 3

/**
 * In runs of one row, the dearest of what was measured and a little more (docs/internals/generation.md has the
 * figures), so that drafts lose time nowhere. Undefined: no drafts.
 * @param executor its name: 'native avx512' and the like
 * @param ternary whether the projections are ternary
 * @param speculate true: wherever; false: never; a number: this is the cost; undefined: where it was measured to pay
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
