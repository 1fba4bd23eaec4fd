/**
 * Binary32 arithmetic in a language whose numbers are binary64 (docs/internals/arithmetic.md, section 1). A single +,
 * -, *, / or sqrt is exact through Math.fround (binary64 has more than 2·24 + 1 bits); a fused multiply-add is not,
 * because fround(a * b + c) rounds twice.
 */

const fround = Math.fround

/**
 * 1.5·2⁵²: adding and subtracting it rounds a binary64 number of magnitude up to 2⁵¹ to the nearest integer, ties to
 * even.
 */
export const ROUND = 6755399441055744

/** 1e-5 as the nearest f32: the floor of quantisation scales. */
export const TINY_SCALE = fround(1e-5)

const F32_MAX = 3.4028234663852886e38
/** Halfway between the largest f32 and 2¹²⁸: from here on, numbers round to infinity (ties to even). */
const OVERFLOW_TIE = 3.4028235677973366e38

/**
 * a·b + c of three f32 numbers with one rounding.
 * The product is exact in binary64, and TwoSum (Knuth) gives the sum as s + e. Rounding s to f32 differs from rounding
 * s + e only if s lies exactly halfway between two f32 neighbours and e is not zero; the sign of e then decides. This
 * is the value of the round-to-odd recipe of the contract.
 */
export function fma32(a: number, b: number, c: number): number {
  const p = a * b
  const s = p + c
  const f = fround(s)
  const g = s + (s - f) // the mirror image of f in s: an f32 only where s is a tie
  if (f === s || fround(g) !== g) return f
  return breakTie(p, c, s, f, g)
}

function breakTie(p: number, c: number, s: number, f: number, g: number): number {
  const back = s - p
  const e = p - (s - back) + (c - back)
  if (e === 0) return f
  if (f === Infinity) return s === OVERFLOW_TIE && e < 0 ? F32_MAX : f
  if (f === -Infinity) return s === -OVERFLOW_TIE && e > 0 ? -F32_MAX : f
  return e > 0 === g > f ? g : f
}

/** The nearest integer, ties to even. NaN and infinities stay. */
export function rne(a: number): number {
  return Math.abs(a) < 2 ** 51 ? a + ROUND - ROUND : a
}

/** The larger one; b if they are equal or a is NaN. */
export function max32(a: number, b: number): number {
  return a > b ? a : b
}

/** n rounded up to a multiple of `step`. */
export function roundUp(n: number, step: number): number {
  return Math.ceil(n / step) * step
}

/** The number of the fewest decimal digits that rounds to the same f32 number: 0.00001, not 0.000009999999747378752. */
export function shortestFloat(value: number): number {
  const rounded = fround(value)
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(rounded.toPrecision(digits))
    if (fround(short) === rounded) return short
  }
  return rounded
}
